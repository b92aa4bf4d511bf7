//! A stream's own URL: reading it from anywhere, and stopping it.

use std::{sync::Arc, time::Duration};

use http::{Method, Response, StatusCode, header, request::Parts};
use percent_encoding::percent_decode_str;
use tokio::time::timeout;

use super::{
    coalesce::{Coalesced, coalesce},
    ending::Ending,
    live::Gateway,
    position::{announcement, start, start_after},
    stream::StreamId,
    token::Scope,
};
use crate::{
    Cursor, EventFormat, StartAt,
    authorize::Reading,
    delivery::{Engine, cursor::Begin},
    dialect::{
        Subscription,
        native::{Native, ReadParams},
        query::raw,
    },
    http::{
        HubBody, Problem,
        request_head::text,
        routes::subscribe::{deliver, ended, subscribe},
    },
    log::LogError,
};

/// How long a request to stop waits until the stream has ended in the log.
const STOP_TIMEOUT: Duration = Duration::from_secs(5);

/// Answers a request to `/streams/<id>`.
pub(super) async fn watch(
    engine: &Arc<Engine>,
    gateway: &Gateway,
    id: &str,
    parts: &Parts,
) -> Result<Response<HubBody>, Problem> {
    let wanted = match parts.method {
        Method::DELETE => Scope::Stop,
        _ => Scope::Read,
    };
    let id = StreamId::parse(id).ok_or_else(Problem::no_such_stream)?;
    let token = token(parts).ok_or_else(|| {
        Problem::forbidden("a stream is opened by its token: ?token=…, or Authorization: Bearer …")
    })?;
    gateway.tokens.check(&token, &id, wanted).map_err(Problem::forbidden)?;
    if !is_known(engine, gateway, &id).await? {
        return Err(Problem::no_such_stream());
    }
    match wanted {
        Scope::Read => read(engine, gateway, &id, parts).await,
        Scope::Stop => stop(gateway, &id).await,
    }
}

/// Subscribes to the stream: after the last event ID, or from its first event on.
async fn read(
    engine: &Arc<Engine>,
    gateway: &Gateway,
    id: &StreamId,
    parts: &Parts,
) -> Result<Response<HubBody>, Problem> {
    let mut params = ReadParams::parse(Some(id.topic().as_str()), parts)?;
    if matches!(params.start, Some(StartAt::After(_))) {
        gateway.metrics.resumed.inc();
    }
    params.start = Some(match params.start {
        None | Some(StartAt::Oldest) => start(&*engine.log, id).await?,
        Some(StartAt::After(asked)) => start_after(&*engine.log, id, asked).await?,
        Some(start) => start,
    });
    // The token has been checked. The events of an answer are private.
    let reading = Reading::whole(id.topic().into());
    match (is_compact(parts)?, &params.start) {
        (true, Some(StartAt::Position { asked, sequence })) => {
            if params.form != EventFormat::Plain {
                return Err(Problem::invalid(
                    "view=compact has events of its own; it takes no envelope and no fields",
                ));
            }
            match coalesce(engine, id, asked, *sequence).await? {
                Some(coalesced) => read_coalesced(engine, reading, coalesced, params, parts).await,
                None => follow(engine, reading, params, parts).await,
            }
        }
        _ => follow(engine, reading, params, parts).await,
    }
}

async fn follow(
    engine: &Arc<Engine>,
    reading: Reading,
    params: ReadParams,
    parts: &Parts,
) -> Result<Response<HubBody>, Problem> {
    let Subscription { begin, keep_alive, .. } = params.into_subscription();
    subscribe(engine, &Native, reading, begin, keep_alive, None, parts).await
}

/// The events so far, joined, and then later events as they come.
async fn read_coalesced(
    engine: &Arc<Engine>,
    reading: Reading,
    coalesced: Coalesced,
    params: ReadParams,
    parts: &Parts,
) -> Result<Response<HubBody>, Problem> {
    let begin = Begin {
        start: StartAt::Position { asked: coalesced.last_event_id, sequence: coalesced.sequence },
        form: EventFormat::Plain,
        start_event: false,
    };
    Ok(match Cursor::open(engine.clone(), reading, begin).await? {
        Some(mut cursor) => {
            cursor.begin_with(coalesced.events);
            deliver(engine, &Native, cursor, params.keep_alive, parts)
        }
        None => ended(),
    })
}

/// Whether the query asks for the compact view.
fn is_compact(parts: &Parts) -> Result<bool, Problem> {
    match raw(parts.uri.query(), "view") {
        None | Some("full") => Ok(false),
        Some("compact") => Ok(true),
        Some(other) => Err(Problem::invalid(format!("view is {other:?}; it is one of: full, compact"))),
    }
}

/// Stops the upstream at once. The events that have arrived stay readable.
async fn stop(gateway: &Gateway, id: &StreamId) -> Result<Response<HubBody>, Problem> {
    if let Some(live) = gateway.find(id) {
        live.stop.send_replace(Some(Ending::Stopped));
        // The upstream is stopped by now; only the log may take longer.
        let _ = timeout(STOP_TIMEOUT, live.ended()).await;
    }
    let mut response = Response::new(HubBody::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    Ok(response)
}

/// Whether there is something to read, now or later. Otherwise, if the log was lost, a reader would wait for ever.
async fn is_known(engine: &Engine, gateway: &Gateway, id: &StreamId) -> Result<bool, LogError> {
    let log = &engine.log;
    Ok(gateway.find(id).is_some()
        || log.closed(&id.topic()).await?.is_some()
        || announcement(&**log, id).await?.is_some())
}

/// The token of a request: in the query, since an `EventSource` sends no headers, or as a bearer token.
fn token(parts: &Parts) -> Option<String> {
    if let Some(token) = raw(parts.uri.query(), "token") {
        return percent_decode_str(token).decode_utf8().ok().map(Into::into);
    }
    let (scheme, token) = text(&parts.headers, header::AUTHORIZATION)?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim().to_owned())
}

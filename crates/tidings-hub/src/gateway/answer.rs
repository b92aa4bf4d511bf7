//! The answer to an SDK that asked for a stream.

use std::{pin::pin, sync::Arc};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response, header, request::Parts};
use http_body::Body;
use tidings_server::Sse;
use tokio::time::sleep;

use super::{
    live::{Gateway, Live, Progress},
    position::{self, locate},
    proxy::proxy,
    request::Asked,
    start::start,
    stream::StreamId,
    target::Target,
    token::Scope,
    wire::Interface,
};
use crate::{
    Cursor, EventFormat, Grant, Hub, StartAt,
    authorize::Reading,
    delivery::cursor::Begin,
    dialect::native::sign_verdict,
    http::{
        HubBody, Problem,
        disconnect::{Disconnect, DisconnectWatch},
        published_body::PublishedBody,
        routes::subscribe::ended,
        service::BoxError,
    },
    log::{LogError, PageLimit},
};

/// Names the stream of a response.
const TIDINGS_STREAM: HeaderName = HeaderName::from_static("tidings-stream");

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// Lets its bearer read and stop the stream.
const TIDINGS_STOP_TOKEN: HeaderName = HeaderName::from_static("tidings-stop-token");

/// Answers a request of an SDK with a subscription to its stream. If it does not ask for a stream, with the answer of the
/// upstream.
pub(super) async fn answer<B>(
    hub: &Hub,
    gateway: &Arc<Gateway>,
    grant: &Grant,
    (interface, target): (Interface, Target),
    parts: &Parts,
    body: B,
) -> Result<Response<HubBody>, Problem>
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let asked = {
        let body = pin!(body);
        let body = PublishedBody::new(body, hub);
        Asked::read(interface, target, parts, body, &gateway.settings, &hub.engine().settings.access).await?
    };
    let disconnect = parts.extensions.get::<Disconnect>().cloned();
    if !asked.wants_stream {
        return proxy(gateway, &parts.method, asked, disconnect).await;
    }
    let started = start(hub, gateway, grant, &parts.headers, &asked).await?;
    let (id, is_new) = (started.id, started.is_new());
    let seen = last_event_id(&parts.headers).filter(|_| !is_new);
    if seen.is_some() {
        gateway.metrics.resumed.inc();
    }
    // The client is a reader from now on, and counts as one while it waits for the head.
    let Some(cursor) = open(hub, &id, seen.as_deref()).await? else { return Ok(ended()) };
    drop(started.first_reader);
    let mut response = match head(gateway, started.live.as_deref(), disconnect.as_ref()).await {
        Head::Opens(headers) => {
            let mut response = Response::new(HubBody::empty());
            response.headers_mut().clone_from(&headers);
            response
        }
        Head::Refuses(response) => return Ok(response),
    };
    if !is_new {
        gateway.metrics.saved.inc();
    }
    if seen.is_some() {
        sign_verdict(response.headers_mut(), cursor.verdict());
    }
    let keep_alive = gateway.settings.heartbeat.keep_alive(interface, hub.engine().settings.heartbeat);
    let mut sse = Sse::new(cursor).private().keep_alive(keep_alive);
    if !gateway.settings.heartbeat.has_comments() {
        sse = sse.without_opening();
    }
    let (head, body) = sse.into_response().into_parts();
    response.headers_mut().extend(head.headers);
    sign(&mut response, gateway, &id);
    let keeps_comments = gateway.settings.heartbeat.has_comments();
    let watched = disconnect.map(|disconnect| DisconnectWatch::by_write(disconnect, keeps_comments));
    *response.body_mut() = HubBody::stream(body, watched);
    Ok(response)
}

/// The last event ID of a client that comes back. The client of a new stream has seen no event of it.
fn last_event_id(headers: &HeaderMap) -> Option<String> {
    let id = headers.get(LAST_EVENT_ID)?;
    (!id.is_empty()).then(|| String::from_utf8_lossy(id.as_bytes()).into_owned())
}

/// A subscription from the first event on, or after the event that was seen last, without the events of the hub. `None` for a
/// client that has all events that there will ever be.
async fn open(hub: &Hub, id: &StreamId, seen: Option<&str>) -> Result<Option<Cursor>, Problem> {
    let start = match seen {
        None => position::start(&*hub.engine().log, id).await?,
        Some(seen) => match locate(&*hub.engine().log, id, seen).await? {
            Ok(position) if has_all(hub, id, position).await? => return Ok(None),
            Ok(sequence) => StartAt::Position { asked: seen.to_owned(), sequence },
            Err(_) => StartAt::Unknown(seen.to_owned()),
        },
    };
    let begin = Begin { start, form: EventFormat::Own, start_event: false };
    // The client has asked for this answer itself.
    Ok(Cursor::open(hub.engine().clone(), Reading::whole(id.topic().into()), begin).await?)
}

/// Whether only the end of the stream follows a position. This form does not show the end, so a client that has seen the event
/// there would come back for ever.
async fn has_all(hub: &Hub, id: &StreamId, position: u64) -> Result<bool, LogError> {
    let log = &hub.engine().log;
    let page = log.read(position, &id.topic().into(), PageLimit { records: 1, bytes: 1 }).await?;
    Ok(page.records.first().is_some_and(|next| next.is_close()))
}

/// The head of the answer, when it is due.
enum Head {
    /// The stream opens, with the headers of the upstream if they are there.
    Opens(Arc<HeaderMap>),
    Refuses(Response<HubBody>),
}

/// Waits for the first event, but not longer than the deadline for the first byte.
async fn head(gateway: &Gateway, live: Option<&Live>, disconnect: Option<&Disconnect>) -> Head {
    let Some(live) = live else { return Head::Opens(Arc::default()) };
    let gone = async {
        match disconnect {
            Some(disconnect) => disconnect.gone().await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        biased;
        progress = live.head() => match progress {
            Progress::Failed(failure) => Head::Refuses(failure.to_response()),
            _ => Head::Opens(live.headers()),
        },
        () = sleep(gateway.settings.first_byte_deadline) => Head::Opens(Arc::default()),
        // The client does not see the answer. But without it, its reader would count until the deadline.
        () = gone => Head::Refuses(Response::new(HubBody::empty())),
    }
}

/// Names the stream, and adds its tokens.
fn sign(response: &mut Response<HubBody>, gateway: &Gateway, id: &StreamId) {
    let visible = |text: String| HeaderValue::try_from(text).expect("base64url is visible ASCII");
    let read = gateway.tokens.issue(id, Scope::Read);
    let mut location = visible(format!("/streams/{id}?token={read}"));
    let mut stop = visible(gateway.tokens.issue(id, Scope::Stop));
    location.set_sensitive(true);
    stop.set_sensitive(true);
    let headers = response.headers_mut();
    headers.insert(TIDINGS_STREAM, visible(id.to_string()));
    headers.insert(header::LOCATION, location);
    headers.insert(TIDINGS_STOP_TOKEN, stop);
}

//! Performs what a dialect has made of a request.

use std::{future::Future, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, header, request::Parts};
use http_body::Body;
use tokio::time::sleep;

use super::{
    HubBody, Problem,
    disconnect::Disconnect,
    routes::{
        history::history,
        publish::publish,
        subscribe::{put_off, subscribe},
        subscribers::{furthest_behind, subscribers},
    },
    service::BoxError,
};
use crate::{
    Grant, Hub, Prefix, Right, Selector, StartAt, Topic,
    authorize::{NotReadable, Reading, UsedTicket},
    dialect::{Dialect, History, Need, Operation, Subscription},
};

/// How long an answer may take before the hub looks whether its client is still there: to look costs a write if a client has
/// stopped sending.
const LEFT_AFTER: Duration = Duration::from_millis(100);

/// Says of an answer for topics by which right its client gets it, and whether that is less than it asked for.
const TIDINGS_ACCESS: HeaderName = HeaderName::from_static("tidings-access");

/// Performs the operation that a request asks for. The parts that a publish does not need are boxed: a future is as large as its
/// largest part, and is moved with each request.
pub(super) async fn perform<B>(
    hub: &Hub,
    dialect: &dyn Dialect,
    grant: &Grant,
    parts: &Parts,
    body: B,
) -> Result<Response<HubBody>, Problem>
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let operation = match dialect.operation(parts, &hub.engine().settings) {
        Ok(operation) => operation,
        Err(refusal) if body.is_end_stream() => return Err(refusal.into()),
        Err(refusal) => return Err(Problem::from(refusal).before_the_end()),
    };
    match operation {
        Operation::Publish(operation) => publish(hub, dialect, grant, operation, parts, body).await,
        Operation::Subscribe(asked) => Box::pin(stream(hub, dialect, grant, asked, parts)).await,
        Operation::History(asked) => Box::pin(page(hub, grant, asked, parts)).await,
        Operation::CountSubscribers(selector) => {
            is_not_reserved(hub, &selector)?;
            subscribers(hub.engine(), grant, selector)
        }
        Operation::ListLag if !grant.has(Right::Subscribers) => {
            Err(Problem::not_granted(Need::Right(Right::Subscribers)))
        }
        Operation::ListLag => Ok(Box::pin(furthest_behind(hub.engine(), grant)).await),
    }
}

async fn stream(
    hub: &Hub,
    dialect: &dyn Dialect,
    grant: &Grant,
    Subscription { selector, begin, keep_alive }: Subscription,
    parts: &Parts,
) -> Result<Response<HubBody>, Problem> {
    let reading = reading(hub, grant, selector)?;
    let is_partial = reading.is_partial;
    let begins_now = begin.start_event && begin.start == StartAt::Tail;
    let held = match hub.engine().settings.access.control() {
        Some(control) => control.open_stream(grant, parts, &reading.selector)?,
        None => None,
    };
    let answer = subscribe(hub.engine(), dialect, reading, begin, keep_alive, held, parts);
    match unless_left(parts, answer).await {
        Ok(response) => Ok(sign(hub, response, grant, is_partial)),
        // An EventSource comes back from a stream that ends, and not from a 503.
        Err(problem) if problem.may_pass() && parts.method == Method::GET => {
            Ok(put_off(hub.engine(), dialect, begins_now))
        }
        Err(problem) => Err(problem),
    }
}

async fn page(
    hub: &Hub,
    grant: &Grant,
    mut asked: History,
    parts: &Parts,
) -> Result<Response<HubBody>, Problem> {
    grant.ticket().map_or(Ok(()), UsedTicket::may_open_all)?;
    let reading = reading(hub, grant, std::mem::take(&mut asked.selector))?;
    let is_partial = reading.is_partial;
    // A long poll waits as a stream does.
    let _place = match hub.engine().settings.access.control() {
        Some(control) if !asked.wait.is_zero() => control.take_place(grant, parts, &reading.selector)?,
        _ => None,
    };
    let response = unless_left(parts, history(hub, reading, asked)).await?;
    Ok(sign(hub, response, grant, is_partial))
}

/// Tells caches and the client for whom the answer is.
fn sign(hub: &Hub, mut response: Response<HubBody>, grant: &Grant, is_partial: bool) -> Response<HubBody> {
    let head = response.headers_mut();
    head.append(header::VARY, HeaderValue::from_static("Accept"));
    let access = match (grant.is_anonymous(), is_partial) {
        (true, false) => "anonymous",
        (true, true) => "anonymous, partial",
        (false, false) => "token",
        (false, true) => "token, partial",
    };
    head.insert(TIDINGS_ACCESS, HeaderValue::from_static(access));
    if hub.engine().settings.access.is_personal() {
        for_this_client_alone(head);
    }
    response
}

/// The part of the requested topics that the request gets. `*` does not find the topics that are reserved for the hub's
/// extension: their updates are private, and no grant is for them.
///
/// # Errors
/// 403 for topics that are reserved, or of which the request may read nothing.
fn reading(hub: &Hub, grant: &Grant, asked: Selector) -> Result<Reading, Problem> {
    is_not_reserved(hub, &asked)?;
    let is_everything = asked.is_everything();
    let reading = grant.reading(asked)?;
    match hub.extension() {
        Some(extension) if is_everything => (reading.unreserved(extension.reserved_topics()))
            .ok_or_else(|| NotReadable { asked: "*".to_owned(), may: grant.readable() }.into()),
        _ => Ok(reading),
    }
}

/// # Errors
/// 403 for topics that are reserved for the hub's extension, and for patterns of such topics.
fn is_not_reserved(hub: &Hub, selector: &Selector) -> Result<(), Problem> {
    let topics = selector.topics().iter().map(Topic::as_str);
    match hub.reserved(topics.chain(selector.prefixes().iter().map(Prefix::as_str))) {
        None => Ok(()),
        Some((name, instead)) => Err(Problem::topic_reserved(name, instead)),
    }
}

/// Tells caches that another client may get another answer.
fn for_this_client_alone(headers: &mut HeaderMap) {
    let rule = headers.get(header::CACHE_CONTROL).and_then(|rule| rule.to_str().ok()).unwrap_or("no-cache");
    if !rule.contains("private") && !rule.contains("no-store") {
        if let Ok(rule) = HeaderValue::try_from(format!("private, {rule}")) {
            headers.insert(header::CACHE_CONTROL, rule);
        }
    }
}

/// The answer that is given while its client is there. Most answers are ready before the hub looks.
async fn unless_left(
    parts: &Parts,
    answer: impl Future<Output = Result<Response<HubBody>, Problem>>,
) -> Result<Response<HubBody>, Problem> {
    let Some(disconnect) = parts.extensions.get::<Disconnect>() else { return answer.await };
    tokio::select! {
        biased;
        answer = answer => answer,
        () = async { sleep(LEFT_AFTER).await; disconnect.gone().await } => Ok(Response::new(HubBody::empty())),
    }
}

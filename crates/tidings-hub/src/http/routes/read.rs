//! `GET` of topics: as an event stream or as JSON, or how many subscribers they have.

use std::{future::Future, time::Duration};

use http::{HeaderMap, HeaderName, HeaderValue, Response, header, request::Parts};
use tokio::time::sleep;

use super::{
    history::history,
    subscribe::subscribe,
    subscribers::{furthest_behind, subscribers},
};
use crate::{
    Grant, Hub, Prefix, Topic,
    dialect::{list::joined, native::ReadParams},
    http::{
        HubBody, Problem,
        accept::{Representation, representation},
        disconnect::Disconnect,
    },
};

/// How long an answer may take before the hub looks whether its client is still there: to look costs a write if a client has
/// stopped sending.
const LEFT_AFTER: Duration = Duration::from_millis(100);

/// Says of an answer for topics that its client gets less than it asked for.
const TIDINGS_ACCESS: HeaderName = HeaderName::from_static("tidings-access");

/// Answers with the updates of topics, as a stream or as a page of history.
pub(crate) async fn read(
    hub: &Hub,
    grant: &Grant,
    path_topic: Option<&str>,
    parts: &Parts,
) -> Result<Response<HubBody>, Problem> {
    let mut params = read_params(hub, path_topic, parts)?;
    let reading = grant.reading(std::mem::take(&mut params.selector))?;
    let (engine, is_partial) = (hub.engine(), reading.is_partial);
    let accept = joined(&parts.headers, header::ACCEPT);
    let representation = representation(accept.as_deref())
        .ok_or_else(|| Problem::not_acceptable(accept.as_deref().unwrap_or_default()))?;
    let answer = async {
        match representation {
            Representation::EventStream => subscribe(engine, reading, params, parts).await,
            Representation::Json => history(hub, reading, params).await,
        }
    };
    let mut response = unless_left(parts, answer).await?;
    response.headers_mut().append(header::VARY, HeaderValue::from_static("Accept"));
    if is_partial {
        response.headers_mut().insert(TIDINGS_ACCESS, HeaderValue::from_static("partial"));
    }
    if engine.settings.access.is_personal() {
        for_this_client_alone(response.headers_mut());
    }
    Ok(response)
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

/// Answers how many subscribers the topics of the query have; without any, which subscriptions lag.
pub(crate) async fn count_subscribers(
    hub: &Hub,
    grant: &Grant,
    parts: &Parts,
) -> Result<Response<HubBody>, Problem> {
    match ReadParams::names_topic(parts) {
        true => subscribers(hub.engine(), grant, read_params(hub, None, parts)?.selector),
        false => Ok(furthest_behind(hub.engine(), grant).await),
    }
}

/// What a request to read asks for.
///
/// # Errors
/// 400 for a value that breaks a rule, 403 for topics that are reserved for the hub's extension. A pattern over all topics does
/// not find those, because their updates are private.
fn read_params(hub: &Hub, path_topic: Option<&str>, parts: &Parts) -> Result<ReadParams, Problem> {
    let params = ReadParams::parse(path_topic, parts)?;
    let Some(extension) = hub.extension() else { return Ok(params) };
    let topics = params.selector.topics().iter().map(Topic::as_str);
    let mut names = topics.chain(params.selector.prefixes().iter().map(Prefix::as_str));
    match names.find_map(|name| Some((name, extension.reserved(name)?))) {
        None => Ok(params),
        Some((name, instead)) => Err(Problem::forbidden(format!("topic {name:?} is reserved: {instead}"))),
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

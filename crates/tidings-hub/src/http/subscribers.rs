//! `GET /subscribers`: how many follow the topics that are named.

use bytes::Bytes;
use http::{HeaderValue, Response, header};
use serde::Serialize;

use super::{HubBody, Problem};
use crate::{dialect::native::ReadParams, hub::Shared};

#[derive(Debug, Serialize)]
struct CountsJson<'a> {
    topics: Vec<CountJson<'a>>,
}

#[derive(Debug, Serialize)]
struct CountJson<'a> {
    topic: &'a str,
    /// Open subscriptions that an update of the topic is for, those with a pattern included.
    subscribers: u64,
}

/// Answers for each topic. Only those who know a topic's name, and may subscribe to it, learn that somebody follows it.
///
/// # Errors
/// 400 for a pattern: what it stands for is not known.
pub(crate) fn subscribers(shared: &Shared, params: &ReadParams) -> Result<Response<HubBody>, Problem> {
    if !params.interest.is_exact() {
        return Err(Problem::invalid("subscribers are counted by topic, and a pattern is none"));
    }
    let topics = params.interest.topics().iter();
    let counts = CountsJson {
        topics: topics
            .map(|topic| CountJson { topic: topic.as_str(), subscribers: shared.audience.of(topic) })
            .collect(),
    };
    let json = serde_json::to_vec(&counts).expect("strings and numbers are JSON");
    let mut response = Response::new(HubBody::from(Bytes::from(json)));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

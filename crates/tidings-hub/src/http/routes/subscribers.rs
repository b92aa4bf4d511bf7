//! `GET /subscribers`: how many subscribers the named topics have. Without a topic: which subscriptions lag, and which have
//! ended.

use std::{num::NonZero, time::Duration};

use bytes::Bytes;
use http::Response;
use serde::Serialize;

use crate::{
    Grant, Prefix, Selector, Topic,
    delivery::{
        Engine,
        lag::{Ended, Seen},
    },
    http::{HubBody, Problem, json::json},
};

/// How many names of a subscription are listed, and how many characters of each.
const MAX_NAMES: usize = 4;
const MAX_NAME_CHARS: usize = 64;

#[derive(Debug, Serialize)]
struct CountsJson<'a> {
    topics: Vec<CountJson<'a>>,
}

#[derive(Debug, Serialize)]
struct CountJson<'a> {
    topic: &'a str,
    /// Open subscriptions that get the updates of the topic, by its name or by a pattern.
    subscribers: u64,
}

/// Answers for each topic. Only a client that knows the name of a topic, and may subscribe to it, learns its number of
/// subscribers.
///
/// # Errors
/// 400 for a pattern: its topics are not known. 403 for a topic that the holder of `grant` may not read.
pub(crate) fn subscribers(
    engine: &Engine,
    grant: &Grant,
    asked: Selector,
) -> Result<Response<HubBody>, Problem> {
    if !asked.is_exact() {
        return Err(Problem::invalid("subscribers are counted by topic, and a pattern is none"));
    }
    let reading = grant.reading(asked)?;
    let topics = reading.selector.topics().iter();
    Ok(respond(&CountsJson {
        topics: topics
            .map(|topic| CountJson { topic: topic.as_str(), subscribers: engine.routing.audience(topic) })
            .collect(),
    }))
}

#[derive(Debug, Serialize)]
struct SurveyJson {
    /// All open subscriptions, including those that are not listed.
    subscribers: i64,
    behind: Vec<OpenJson>,
    ended: Vec<EndedJson>,
}

/// An open subscription. Times are in whole seconds.
#[derive(Debug, Serialize)]
struct OpenJson {
    #[serde(flatten)]
    followed: FollowedJson,
    behind: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    stalled: Option<u64>,
    age: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    protocol: Option<&'static str>,
}

#[derive(Debug, Serialize)]
struct EndedJson {
    #[serde(flatten)]
    followed: FollowedJson,
    reason: &'static str,
    time: String,
    behind: u64,
    age: u64,
}

#[derive(Debug, Serialize)]
struct FollowedJson {
    topics: Vec<String>,
    /// How many more topics there are.
    #[serde(skip_serializing_if = "Option::is_none")]
    more: Option<NonZero<usize>>,
}

/// Lists the subscriptions that are furthest behind, and those that ended last. A client sees a subscription if it may follow the
/// same.
pub(crate) async fn furthest_behind(engine: &Engine, grant: &Grant) -> Response<HubBody> {
    let newest = engine.log.bounds().newest.sequence;
    let mut furthest = engine.loops.furthest(grant).await;
    furthest.merge(&engine.bodies.furthest(newest, grant));
    respond(&SurveyJson {
        subscribers: engine.metrics.subscriptions.get(),
        behind: furthest.iter().map(OpenJson::from).collect(),
        ended: engine.last_ended.of(grant).iter().map(EndedJson::from).collect(),
    })
}

impl From<&Seen> for OpenJson {
    fn from(seen: &Seen) -> OpenJson {
        OpenJson {
            followed: FollowedJson::from(&seen.subscription.selector),
            behind: seen.lag.behind,
            stalled: seen.lag.stalled.as_ref().map(Duration::as_secs),
            age: seen.lag.age.as_secs(),
            protocol: seen.protocol,
        }
    }
}

impl From<&Ended> for EndedJson {
    fn from(ended: &Ended) -> EndedJson {
        EndedJson {
            followed: FollowedJson::from(&ended.subscription.selector),
            reason: ended.reason.as_str(),
            time: humantime::format_rfc3339_millis(ended.time).to_string(),
            behind: ended.lag.behind,
            age: ended.lag.age.as_secs(),
        }
    }
}

impl From<&Selector> for FollowedJson {
    fn from(selector: &Selector) -> FollowedJson {
        let all = selector.is_everything().then(|| "*".to_owned());
        let patterns =
            selector.prefixes().iter().map(Prefix::as_str).map(|prefix| format!("{}*", short(prefix)));
        let topics = selector.topics().iter().map(Topic::as_str).map(short);
        let count = usize::from(selector.is_everything()) + patterns.len() + topics.len();
        let names = all.into_iter().chain(patterns).chain(topics);
        FollowedJson {
            topics: names.take(MAX_NAMES).collect(),
            more: NonZero::new(count.saturating_sub(MAX_NAMES)),
        }
    }
}

/// The name, or its beginning and an ellipsis.
fn short(name: &str) -> String {
    match name.char_indices().nth(MAX_NAME_CHARS) {
        Some((end, _)) => format!("{}…", &name[..end]),
        None => name.to_owned(),
    }
}

fn respond(answer: &impl Serialize) -> Response<HubBody> {
    let answer = serde_json::to_vec(answer).expect("strings and numbers are JSON");
    json(HubBody::from(Bytes::from(answer)), "no-store")
}

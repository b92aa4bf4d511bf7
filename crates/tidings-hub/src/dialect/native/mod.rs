//! Tidings' own dialect: paths, query parameters and headers.

mod answer;
mod body_kind;
pub(crate) mod publish;
mod read;

use std::borrow::Cow;

use http::{HeaderMap, HeaderName, HeaderValue, Method, header, request::Parts};
use percent_encoding::percent_decode_str;

pub(crate) use self::read::{ReadParams, start_at};
use super::{
    Dialect, GET, Need, Operation, POST, Pages, Path, Published, Refusal, Route,
    accept::{Representation, representation},
    list::joined,
    query::pairs,
};
use crate::{Settings, Verdict};

/// Tells a subscriber that named the event it saw last whether it gets all that followed.
const TIDINGS_RESUME: HeaderName = HeaderName::from_static("tidings-resume");

/// Tells a client that events of the types `start`, `gap`, `close`, `access` and `ping` are the hub's own in this response, and
/// not those of a server that happens to use the same names.
const TIDINGS_HUB: HeaderName = HeaderName::from_static("tidings-hub");

const BELOW_TOPICS: &str = "/topics/";
const SUBSCRIBERS: &str = "/subscribers";

/// Tidings' own dialect.
pub(crate) struct Native;

/// The most frequent requests come first.
static TABLE: [Route; 4] = [
    Route::new(Path::Below(BELOW_TOPICS), POST, Need::Publish, Pages::Publishers),
    Route::new(Path::Below(BELOW_TOPICS), GET, Need::Read, Pages::Readers),
    Route::new(Path::Exactly("/topics"), GET, Need::Read, Pages::Readers),
    Route::new(Path::Exactly(SUBSCRIBERS), GET, Need::Read, Pages::Readers),
];

impl Dialect for Native {
    fn table(&self) -> &'static [Route] {
        &TABLE
    }

    fn operation(&self, request: &Parts, settings: &Settings) -> Result<Operation, Refusal> {
        let path = request.uri.path();
        let topic = path.strip_prefix(BELOW_TOPICS);
        match topic {
            Some(topic) if request.method == Method::POST => {
                publish::operation(topic, request, settings).map(Operation::Publish)
            }
            _ if path == SUBSCRIBERS => match pairs(request.uri.query()).any(|(name, _)| name == "topic") {
                true => Ok(Operation::CountSubscribers(ReadParams::parse(None, request)?.selector)),
                false => Ok(Operation::ListLag),
            },
            _ => {
                let params = ReadParams::parse(topic, request)?;
                let accept = joined(&request.headers, header::ACCEPT);
                match representation(accept.as_deref()) {
                    Some(Representation::EventStream) => Ok(Operation::Subscribe(params.into_subscription())),
                    Some(Representation::Json) => Ok(Operation::History(params.into_history())),
                    None => Err(Refusal::not_acceptable(accept.as_deref().unwrap_or_default())),
                }
            }
        }
    }

    fn published(&self, published: &Published<'_>) -> (HeaderValue, Vec<u8>) {
        (HeaderValue::from_static("application/json"), answer::json(published))
    }

    fn sign_stream(&self, head: &mut HeaderMap, verdict: Option<Verdict>) {
        head.insert(TIDINGS_HUB, HeaderValue::from_static("1"));
        sign_verdict(head, verdict);
    }
}

/// Adds the verdict to the head of an answer.
pub(crate) fn sign_verdict(head: &mut HeaderMap, verdict: Option<Verdict>) {
    if let Some(verdict) = verdict {
        let value = match verdict {
            Verdict::Resumed => "resumed",
            Verdict::Gap => "gap",
        };
        head.insert(TIDINGS_RESUME, HeaderValue::from_static(value));
    }
}

fn decode_path(topic: &str) -> Result<Cow<'_, str>, Refusal> {
    // Most names have nothing to decode, and to look for one character is fast.
    if !topic.contains('%') {
        return Ok(Cow::Borrowed(topic));
    }
    percent_decode_str(topic)
        .decode_utf8()
        .map_err(|_| Refusal::invalid(format!("topic {topic:?} is not UTF-8 when it is percent-decoded")))
}

//! A request to read: which topics, from where on, and how.

use std::time::Duration;

use http::request::Parts;
use tidings_server::{KeepAlive, LastEventId};

use super::decode_path;
use crate::{
    EventFormat, MAX_FILTER_BYTES, MAX_FILTERS, Selector, StartAt, TopicFilter, UpdateId,
    delivery::cursor::Begin,
    dialect::{History, Refusal, Subscription, query::pairs},
    log::HubId,
};

/// The largest page of history, in records.
const MAX_LIMIT: usize = 1_000;

/// The longest that a poll of the history waits.
const MAX_WAIT: Duration = Duration::from_secs(60);

const ENVELOPES: [(&str, EventFormat); 2] =
    [("json", EventFormat::Envelope), ("message", EventFormat::MessageEnvelope)];

/// The parameters of a request to read topics.
#[derive(Debug)]
pub(crate) struct ReadParams {
    pub(crate) selector: Selector,
    /// `None` if the request does not say. Subscriptions and history begin at different ends then.
    pub(crate) start: Option<StartAt>,
    pub(crate) start_event: bool,
    pub(crate) form: EventFormat,
    pub(crate) keep_alive: KeepAlive,
    pub(crate) limit: usize,
    pub(crate) wait: Duration,
}

impl ReadParams {
    /// Reads the topic of the path, if there is one, and the query. Unknown parameters are ignored, because clients add their
    /// own.
    pub(crate) fn parse(path_topic: Option<&str>, parts: &Parts) -> Result<ReadParams, Refusal> {
        let query = parts.uri.query();
        let mut params = ReadParams {
            selector: Selector::default(),
            start: None,
            start_event: true,
            form: EventFormat::Plain,
            keep_alive: KeepAlive::comment(),
            limit: 100,
            wait: Duration::ZERO,
        };
        let mut filters = Vec::new();
        if let Some(topic) = path_topic {
            filters.push(TopicFilter::parse(&decode_path(topic)?)?);
        }
        for (name, value) in pairs(query) {
            match &*name {
                "topic" if path_topic.is_some() => {
                    return Err(Refusal::invalid(
                        "a topic is named in the path and another in the query; for several use /topics?topic=a&topic=b",
                    ));
                }
                "topic" => filters.push(TopicFilter::parse(&value?)?),
                "from" => params.start = Some(start_at(&value?)?),
                "start" => {
                    params.start_event = choice("start", &value?, &[("none", false), ("event", true)])?;
                }
                "envelope" => params.form = choice("envelope", &value?, &ENVELOPES)?,
                // An envelope has the topic inside.
                "fields" if params.form != EventFormat::Plain => {}
                "fields" => params.form = choice("fields", &value?, &[("topic", EventFormat::TopicLine)])?,
                "heartbeat" => {
                    let forms = [
                        ("comment", KeepAlive::comment()),
                        ("block", KeepAlive::block()),
                        ("event", KeepAlive::event()),
                        ("none", KeepAlive::none()),
                    ];
                    params.keep_alive = choice("heartbeat", &value?, &forms)?;
                }
                "limit" => params.limit = number("limit", &value?, 1, MAX_LIMIT as u64)? as usize,
                "wait" => params.wait = Duration::from_secs(number("wait", &value?, 0, MAX_WAIT.as_secs())?),
                _ => {}
            }
        }
        if filters.is_empty() {
            return Err(Refusal::invalid(
                "no topic is named; use /topics/news, or /topics?topic=a&topic=b/*",
            ));
        }
        if filters.len() > MAX_FILTERS {
            let count = filters.len();
            return Err(Refusal::invalid(format!(
                "{count} topics are named; at most {MAX_FILTERS} are allowed"
            )));
        }
        let bytes: usize = filters.iter().map(|filter| filter.to_string().len()).sum();
        if bytes > MAX_FILTER_BYTES {
            return Err(Refusal::invalid(format!(
                "the topics that are named have {bytes} bytes together; at most {MAX_FILTER_BYTES} are allowed; name a \
                 pattern such as a/*, or subscribe twice"
            )));
        }
        params.selector = filters.into_iter().collect();
        // An EventSource sends the same URL again when it reconnects, so the last event ID wins over the URL.
        if let Some(id) = LastEventId::from_parts(&parts.headers, query) {
            params.start = Some(StartAt::After(id.as_str().to_owned()));
        }
        Ok(params)
    }

    /// As a subscription. It begins with the next update, unless the request says otherwise.
    pub(crate) fn into_subscription(self) -> Subscription {
        let start = self.start.unwrap_or(StartAt::Tail);
        let begin = Begin { start, form: self.form, start_event: self.start_event };
        Subscription { selector: self.selector, begin, keep_alive: self.keep_alive }
    }

    /// As a page of history. It begins with the oldest update, unless the request says otherwise.
    pub(crate) fn into_history(self) -> History {
        let start = self.start.unwrap_or(StartAt::Oldest);
        History { selector: self.selector, start, limit: self.limit, wait: self.wait }
    }
}

/// A value of `from`.
pub(crate) fn start_at(value: &str) -> Result<StartAt, Refusal> {
    match value {
        "start" => Ok(StartAt::Oldest),
        "end" => Ok(StartAt::Tail),
        id if HubId::parse(id).is_some() || UpdateId::parse(id).is_ok() => Ok(StartAt::After(id.to_owned())),
        _ => Err(Refusal::invalid(format!("from is {value:?}; it is 'start', 'end', or the ID of an event"))),
    }
}

fn choice<T: Clone>(name: &str, value: &str, choices: &[(&str, T)]) -> Result<T, Refusal> {
    choices.iter().find(|(text, _)| *text == value).map(|(_, choice)| choice.clone()).ok_or_else(|| {
        let known: Vec<_> = choices.iter().map(|(text, _)| *text).collect();
        Refusal::invalid(format!("{name} is {value:?}; it is one of: {}", known.join(", ")))
    })
}

fn number(name: &str, value: &str, min: u64, max: u64) -> Result<u64, Refusal> {
    let digits = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
    value.parse().ok().filter(|number| digits && (min..=max).contains(number)).ok_or_else(|| {
        Refusal::invalid(format!("{name} is {value:?}; it is a whole number from {min} to {max}"))
    })
}

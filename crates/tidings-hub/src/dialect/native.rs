//! Tidings' own dialect: paths, query parameters and headers.

use std::{borrow::Cow, time::Duration};

use http::{HeaderMap, HeaderName, request::Parts};
use percent_encoding::percent_decode_str;
use tidings_server::{KeepAlive, LastEventId};

use super::{Refusal, content_type::ContentType, list::joined};
use crate::{
    EventFormat, MAX_FILTER_BYTES, MAX_FILTERS, Selector, StartAt, Topic, TopicFilter, UpdateId, UpdateRetry,
    UpdateType,
    attachments::{FileName, MediaType},
    log::{HubId, IdempotencyKey, turns::Publisher},
};

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// The largest page of history, in records.
const MAX_LIMIT: usize = 1_000;

/// The longest that a poll of the history waits.
const MAX_WAIT: Duration = Duration::from_secs(60);

/// What UTF-8, and the part of it that is ASCII, is called in a `charset`.
const UTF8_NAMES: [&str; 4] = ["utf-8", "utf8", "us-ascii", "ascii"];

const ENVELOPES: [(&str, EventFormat); 2] =
    [("json", EventFormat::Envelope), ("message", EventFormat::MessageEnvelope)];

/// What a request to read topics asks for.
#[derive(Debug)]
pub(crate) struct ReadParams {
    pub(crate) selector: Selector,
    /// `None` where the request doesn't say; subscriptions and history differ in where they begin then.
    pub(crate) start: Option<StartAt>,
    pub(crate) start_event: bool,
    pub(crate) form: EventFormat,
    pub(crate) keep_alive: KeepAlive,
    pub(crate) limit: usize,
    pub(crate) wait: Duration,
}

/// What a request to publish says beside its body.
#[derive(Debug)]
pub(crate) struct PublishParams {
    pub(crate) topic: Topic,
    pub(crate) event_type: Option<UpdateType>,
    pub(crate) id: Option<UpdateId>,
    pub(crate) retry: Option<UpdateRetry>,
    /// The reason with which the topic is closed behind the body.
    pub(crate) close: Option<String>,
    /// What an attachment is called.
    pub(crate) name: Option<FileName>,
    pub(crate) key: Option<IdempotencyKey>,
    /// The connection it came over, if that may publish many things at once.
    pub(crate) publisher: Option<Publisher>,
}

impl ReadParams {
    /// Whether a request names a topic in its query at all.
    pub(crate) fn names_topic(parts: &Parts) -> bool {
        pairs(parts.uri.query()).any(|(name, _)| name == "topic")
    }

    /// Reads the topic of the path, if it names one, and the query. Parameters that are not known are ignored, since
    /// clients add their own.
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
                 pattern as a/*, or subscribe twice"
            )));
        }
        params.selector = filters.into_iter().collect();
        // An EventSource repeats its URL when it reconnects: what it saw last beats what the URL says.
        if let Some(id) = LastEventId::from_parts(&parts.headers, query) {
            params.start = Some(StartAt::After(id.as_str().to_owned()));
        }
        Ok(params)
    }
}

impl PublishParams {
    pub(crate) fn parse(
        path_topic: &str,
        parts: &Parts,
        max_retry: Duration,
    ) -> Result<PublishParams, Refusal> {
        let mut params = PublishParams {
            topic: Topic::parse(&decode_path(path_topic)?)?,
            event_type: None,
            id: None,
            retry: None,
            close: None,
            name: None,
            publisher: parts.extensions.get().cloned(),
            key: None,
        };
        for (name, value) in pairs(parts.uri.query()) {
            match &*name {
                "type" => params.event_type = Some(UpdateType::parse(&value?)?),
                "id" => params.id = Some(UpdateId::parse(&value?)?),
                "retry" => params.retry = Some(UpdateRetry::parse_millis(&value?, max_retry)?),
                "close" => params.close = Some(value?),
                "name" => params.name = Some(file_name(&value?)?),
                "private" => {
                    return Err(Refusal::forbidden(
                        "private updates need an access rule that can grant them to somebody, and this hub has none",
                    ));
                }
                _ => {}
            }
        }
        if let Some(key) = parts.headers.get(IDEMPOTENCY_KEY) {
            params.key = Some(IdempotencyKey::parse(&String::from_utf8_lossy(key.as_bytes()))?);
        }
        Ok(params)
    }

    /// Whether something is said that only one update can have.
    pub(crate) fn describes_one_update(&self) -> bool {
        self.event_type.is_some() || self.id.is_some() || self.retry.is_some()
    }
}

/// What kind of body is published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum BodyKind {
    /// One update: the body is its data.
    Text,
    /// Many updates, as an event stream.
    EventStream,
    /// Many updates, a JSON object a line.
    Ndjson,
    /// One update, which announces the body as a file.
    Attachment(MediaType),
}

impl BodyKind {
    /// The kind of the types that most publishers send, letter by letter: a publish need not take them apart.
    fn usual(headers: &HeaderMap) -> Option<BodyKind> {
        let mut lines = headers.get_all(http::header::CONTENT_TYPE).iter();
        let (Some(line), None) = (lines.next(), lines.next()) else { return None };
        match line.as_bytes() {
            b"text/plain" | b"application/json" | b"application/x-www-form-urlencoded" => {
                Some(BodyKind::Text)
            }
            b"text/event-stream" => Some(BodyKind::EventStream),
            b"application/x-ndjson" => Some(BodyKind::Ndjson),
            _ => None,
        }
    }

    /// Decides by `Content-Type`. A form counts as text, because that is what `curl -d` calls what it sends.
    pub(crate) fn of(headers: &HeaderMap) -> Result<BodyKind, Refusal> {
        if let Some(kind) = BodyKind::usual(headers) {
            return Ok(kind);
        }
        let no_type = |text: &str| {
            Refusal::unsupported_body(format!(
                "Content-Type is {text:?}, which is no media type of at most 255 bytes, such as image/png"
            ))
        };
        let values = joined(headers, http::header::CONTENT_TYPE).unwrap_or_default();
        let Some(content_type) = ContentType::extract(&values) else {
            return if values.trim().is_empty() { Ok(BodyKind::Text) } else { Err(no_type(&values)) };
        };
        let is_one_of = |names: &[&str]| names.iter().any(|name| content_type.is(name));
        let kind = if is_one_of(&["text/plain", "application/json", "application/xml"]) {
            BodyKind::Text
        } else if is_one_of(&["text/event-stream"]) {
            BodyKind::EventStream
        } else if is_one_of(&["application/x-ndjson", "application/ndjson", "application/jsonl"]) {
            BodyKind::Ndjson
        } else {
            match &*content_type.essence.to_ascii_lowercase() {
                "application/x-www-form-urlencoded" => BodyKind::Text,
                text if text.starts_with("text/") || text.ends_with("+json") || text.ends_with("+xml") => {
                    BodyKind::Text
                }
                // What is around the files would be stored with them.
                form if form.starts_with("multipart/") => {
                    return Err(Refusal::unsupported_body(format!(
                        "Content-Type is {form:?}; send each file by itself, as the whole body, with its own type"
                    )));
                }
                _ => {
                    let media_type = MediaType::parse(content_type.text).map(BodyKind::Attachment);
                    return media_type.ok_or_else(|| no_type(content_type.text));
                }
            }
        };
        let is_utf8 = |charset: &str| UTF8_NAMES.iter().any(|utf8| charset.eq_ignore_ascii_case(utf8));
        if let Some(charset) = content_type.charset.filter(|charset| !is_utf8(charset)) {
            return Err(Refusal::unsupported_body(format!(
                "charset is {charset:?}; an event stream is always UTF-8"
            )));
        }
        Ok(kind)
    }
}

fn file_name(text: &str) -> Result<FileName, Refusal> {
    FileName::parse(text).ok_or_else(|| {
        Refusal::invalid(format!(
            "name is {text:?}; it is what a file is called: 1 to 255 bytes, without slashes and control characters"
        ))
    })
}

fn decode_path(topic: &str) -> Result<Cow<'_, str>, Refusal> {
    // Most have nothing to decode, and to look for one character is fast.
    if !topic.contains('%') {
        return Ok(Cow::Borrowed(topic));
    }
    percent_decode_str(topic)
        .decode_utf8()
        .map_err(|_| Refusal::invalid(format!("topic {topic:?} is not UTF-8 when it is percent-decoded")))
}

/// The parameters of a query; a value that is not UTF-8 is a problem for whoever wants it.
fn pairs(query: Option<&str>) -> impl Iterator<Item = (String, Result<String, Refusal>)> {
    query.unwrap_or_default().split('&').filter(|pair| !pair.is_empty()).map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let decode = |text: &str| {
            let text = text.replace('+', " ");
            percent_decode_str(&text).decode_utf8().map(Cow::into_owned)
        };
        let name = decode(name).unwrap_or_default();
        let value = decode(value).map_err(|_| {
            Refusal::invalid(format!("{name} is {value:?}, which is not UTF-8 when it is percent-decoded"))
        });
        (name, value)
    })
}

fn start_at(value: &str) -> Result<StartAt, Refusal> {
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

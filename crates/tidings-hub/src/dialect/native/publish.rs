//! A request to publish: its parameters, and the form of its body.

use http::{HeaderName, request::Parts};

use super::{body_kind::BodyKind, decode_path};
use crate::{
    Settings, Topic, Update, UpdateId, UpdateRetry, UpdateType,
    attachments::FileName,
    dialect::{
        Details, File, Many, Publish, Refusal, Text, UpdateReader, event_stream::EventStreamReader,
        ndjson::NdjsonReader, query::pairs,
    },
    log::{Append, IdempotencyKey},
};

/// The header with which a client says which requests are one request, sent again.
pub(crate) const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// Reads what a request to the path of a topic publishes. Unknown parameters are ignored, because clients add their own.
pub(super) fn operation(topic: &str, request: &Parts, settings: &Settings) -> Result<Publish, Refusal> {
    let (details, name) = details(topic, request, settings)?;
    let kind = BodyKind::of(&request.headers)?;
    let reader: Box<dyn UpdateReader> = match kind {
        BodyKind::Text => {
            let topic = Some(details.topic.clone());
            return Ok(Publish::Text(Text { topic, updates: Box::new(move |data| updates(details, data)) }));
        }
        BodyKind::Attachment(media_type) => return Ok(Publish::File(File { media_type, name, details })),
        BodyKind::EventStream => Box::new(EventStreamReader::new(
            details.topic.clone(),
            settings.max_data_bytes,
            settings.max_retry,
        )),
        BodyKind::Ndjson => {
            Box::new(NdjsonReader::new(details.topic.clone(), settings.max_data_bytes, settings.max_retry))
        }
    };
    if details.are_of_one_update() {
        return Err(Refusal::invalid(
            "type, id and retry are query parameters of one update; in a body with many, each update has its own",
        ));
    }
    let Details { topic, key, is_private, close, .. } = details;
    Ok(Publish::Many(Many { topic, reader, key, is_private, close }))
}

/// The topic that a path names.
pub(crate) fn path_topic(path_topic: &str) -> Result<Topic, Refusal> {
    Ok(Topic::parse(&decode_path(path_topic)?)?)
}

/// The details in path, query and headers, and the name of a file.
fn details(
    topic: &str,
    request: &Parts,
    settings: &Settings,
) -> Result<(Details, Option<FileName>), Refusal> {
    let topic = path_topic(topic)?;
    let mut details =
        Details { topic, event_type: None, id: None, retry: None, key: None, is_private: false, close: None };
    let mut file_name = None;
    for (name, value) in pairs(request.uri.query()) {
        match &*name {
            "type" => details.event_type = Some(UpdateType::parse(&value?)?),
            "id" => details.id = Some(UpdateId::parse(&value?)?),
            "retry" => details.retry = Some(UpdateRetry::parse_millis(&value?, settings.max_retry)?),
            "close" => details.close = Some(value?),
            "name" => file_name = Some(self::file_name(&value?)?),
            "private" => details.is_private = is_private(&value?, settings)?,
            _ => {}
        }
    }
    if let Some(key) = request.headers.get(IDEMPOTENCY_KEY) {
        details.key = Some(IdempotencyKey::parse(&String::from_utf8_lossy(key.as_bytes()))?);
    }
    Ok((details, file_name))
}

/// The update with this data. An empty body that closes the topic is not an update.
fn updates(details: Details, data: String) -> Result<Vec<Append>, Refusal> {
    let is_update = !data.is_empty() || details.close.is_none();
    if !is_update && details.are_of_one_update() {
        return Err(Refusal::invalid(
            "type, id and retry describe an update, and the body has none: it only closes the topic",
        ));
    }
    let update = is_update.then(|| Update::new(details.topic.clone(), data));
    Ok(details.into_batch(update))
}

/// # Errors
/// 403 in a hub that grants private updates to nobody: nobody would receive them.
fn is_private(value: &str, settings: &Settings) -> Result<bool, Refusal> {
    if !settings.access.can_grant_private() {
        return Err(Refusal::forbidden(
            "private updates need an access rule that can grant them to somebody, and this hub has none",
        ));
    }
    match value {
        "" | "1" | "true" => Ok(true),
        _ => Err(Refusal::invalid(format!(
            "private is {value:?}; write private, private=1 or private=true, or leave it out"
        ))),
    }
}

fn file_name(text: &str) -> Result<FileName, Refusal> {
    FileName::parse(text).ok_or_else(|| {
        Refusal::invalid(format!(
            "name is {text:?}; the name of a file has 1 to 255 bytes, without slashes and control characters"
        ))
    })
}

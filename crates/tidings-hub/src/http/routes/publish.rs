//! `POST`: one update, or many.

use std::{io::Write as _, pin::pin};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, header};
use http_body::Body;
use serde::Serialize;

use super::upload::attach;
use crate::{
    Grant, Hub, Update,
    attachments::Announcement,
    dialect::{
        Refusal, UpdateReader,
        event_stream::EventStreamReader,
        native::{BodyKind, PublishParams},
        ndjson::NdjsonReader,
    },
    http::{HubBody, Problem, published_body::PublishedBody, request_head::has_no_coding, service::BoxError},
    log::{Append, Appended, HubId, IdempotencyKey, Receipt, RecordId, turns::Publisher},
};

/// How many updates of one piece of a body are appended at once: a bound on what one publisher holds in memory.
const MAX_BATCH: usize = 1_000;

/// Room is made for as many updates as would come of this length.
const LIKELY_UPDATE_BYTES: usize = 128;

/// Publishes the body, and answers when all of it is kept. All of its updates are of the one topic that the request names.
///
/// # Errors
/// 403 for a topic that the holder of `grant` may not publish to.
pub(crate) async fn publish<B>(
    hub: &Hub,
    grant: &Grant,
    params: PublishParams,
    headers: &HeaderMap,
    body: B,
) -> Result<Response<HubBody>, Problem>
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    grant
        .may_publish(std::slice::from_ref(&params.topic))
        .map_err(|topic| Problem::not_publishable(topic, grant))?;
    let sender = Sender { hub, grant };
    let body = pin!(body);
    let mut body = PublishedBody::new(body, hub);
    let published = publish_body(&sender, params, headers, &mut body).await;
    published.map_err(|problem| if body.is_over() { problem } else { problem.before_the_end() })
}

/// Whoever publishes, and where to.
pub(super) struct Sender<'a> {
    pub(super) hub: &'a Hub,
    grant: &'a Grant,
}

impl Sender<'_> {
    /// Appends a batch whose keys are those of its publisher alone, if the hub knows that.
    ///
    /// # Errors
    /// 401 when the grant has ended meanwhile, and when the log fails.
    async fn append(
        &self,
        connection: Option<&Publisher>,
        mut batch: Vec<Append>,
    ) -> Result<Appended, Problem> {
        self.grant.holds()?;
        if self.grant.subject().is_some() && batch.iter().any(|append| append.key.is_some()) {
            let owner = self.grant.key_owner();
            for (key, owner) in batch.iter_mut().filter_map(|append| append.key.as_mut().zip(owner.as_ref()))
            {
                *key = key.owned(owner);
            }
        }
        Ok(self.hub.publish_for(connection, batch).await?)
    }
}

async fn publish_body<B>(
    sender: &Sender<'_>,
    params: PublishParams,
    headers: &HeaderMap,
    body: &mut PublishedBody<'_, B>,
) -> Result<Response<HubBody>, Problem>
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    has_no_coding(headers)?;
    let settings = &sender.hub.engine().settings;
    let (max_data_bytes, max_retry) = (settings.max_data_bytes, settings.max_retry);
    let topic = params.topic.clone();
    match BodyKind::of(headers)? {
        BodyKind::Text => {
            let data = body.read_text().await?;
            let is_update = !data.is_empty() || params.close.is_none();
            if !is_update && params.describes_one_update() {
                return Err(Problem::invalid(
                    "type, id and retry describe an update, and the body has none: it only closes the topic",
                ));
            }
            one(sender, params, is_update.then(|| Update::new(topic, data))).await
        }
        BodyKind::Attachment(media_type) => Box::pin(attach(sender, params, media_type, body)).await,
        BodyKind::EventStream => {
            let reader = EventStreamReader::new(topic, max_data_bytes, max_retry);
            Box::pin(many(sender, params, reader, body)).await
        }
        BodyKind::Ndjson => {
            let reader = NdjsonReader::new(topic, max_data_bytes, max_retry);
            Box::pin(many(sender, params, reader, body)).await
        }
    }
}

/// One update, if there is one; with `close`, the topic is closed behind it.
pub(super) async fn one(
    sender: &Sender<'_>,
    params: PublishParams,
    update: Option<Update>,
) -> Result<Response<HubBody>, Problem> {
    let PublishParams { topic, event_type, id, retry, close, key, publisher, .. } = params;
    let mut batch = Vec::new();
    if let Some(mut update) = update {
        if let Some(event_type) = event_type {
            update = update.with_type(event_type);
        }
        if let Some(id) = id {
            update = update.with_id(id);
        }
        if let Some(retry) = retry {
            update = update.with_retry(retry);
        }
        batch.push(Append { update, key, time: None });
    }
    if let Some(reason) = close {
        // It needs no key: closing again for the same reason is the same close.
        batch.push(Update::close(topic, reason).into());
    }
    let single = batch.len() == 1;
    let Appended { receipts, refused } = sender.append(publisher.as_ref(), batch).await?;
    let attachment = receipts.first().and_then(|receipt| receipt.attachment.as_ref()).map(Announcement::url);
    match (refused, &receipts[..]) {
        (Some(refused), []) => Err(refused.into()),
        (Some(refused), kept) => Err(Receipts::of(kept).blame(refused.into(), None)),
        (None, [Receipt { id, sequence, .. }]) if single => Ok(match (id, attachment) {
            (RecordId::Hub(id), None) => respond_with(published(id, *sequence)),
            (id, attachment) => respond(&Published { id, sequence: *sequence, attachment }),
        }),
        (None, kept) => Ok(respond(&Receipts { attachment, ..Receipts::of(kept) })),
    }
}

/// The body has many updates; with `close`, the topic is closed behind them.
async fn many<B>(
    sender: &Sender<'_>,
    params: PublishParams,
    reader: impl UpdateReader,
    body: &mut PublishedBody<'_, B>,
) -> Result<Response<HubBody>, Problem>
where
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    if params.describes_one_update() {
        return Err(Problem::invalid(
            "type, id and retry are query parameters of one update; in a body with many, each update has its own",
        ));
    }
    let mut publishing =
        Publishing { sender, publisher: params.publisher, key: params.key, receipts: Receipts::default() };
    publishing.stream(reader, body).await?;
    if let Some(reason) = params.close {
        let close = Update::close(params.topic, reason);
        publishing.append(Batch { updates: vec![close.into()], lines: Vec::new() }).await?;
    }
    Ok(respond(&publishing.receipts))
}

/// A body that has many updates, on its way into the log.
struct Publishing<'a> {
    sender: &'a Sender<'a>,
    publisher: Option<Publisher>,
    key: Option<IdempotencyKey>,
    receipts: Receipts,
}

impl Publishing<'_> {
    /// Publishes each update as soon as it has arrived. What was complete is kept, however the body ends.
    async fn stream<B>(
        &mut self,
        mut reader: impl UpdateReader,
        body: &mut PublishedBody<'_, B>,
    ) -> Result<(), Problem>
    where
        B: Body<Data = Bytes>,
        B::Error: Into<BoxError>,
    {
        let mut completed = false;
        loop {
            let piece = body.next_of_many(reader.unfinished_bytes(), completed).await;
            let piece = piece.map_err(|problem| self.receipts.blame(problem, Some(reader.line())))?;
            let Some(piece) = piece else { break };
            let mut input = &piece[..];
            completed = false;
            loop {
                let (batch, refusal) = read_batch(&mut reader, &mut input);
                completed |= !batch.lines.is_empty();
                let full = batch.lines.len() == MAX_BATCH;
                self.append(batch).await?;
                if let Some(refusal) = refusal {
                    return Err(self.receipts.blame(refusal.into(), Some(reader.line())));
                }
                if !full {
                    break;
                }
            }
        }
        match reader.finish() {
            Some(Ok(append)) => {
                self.append(Batch { updates: vec![append], lines: vec![reader.line()] }).await
            }
            Some(Err(refusal)) => Err(self.receipts.blame(refusal.into(), Some(reader.line()))),
            None => Ok(()),
        }
    }

    async fn append(&mut self, Batch { mut updates, lines }: Batch) -> Result<(), Problem> {
        if updates.is_empty() {
            return Ok(());
        }
        if let Some(key) = &self.key {
            for (number, append) in (self.receipts.count + 1..).zip(&mut updates) {
                // One that names the update itself says more than its number in this body.
                append.key.get_or_insert_with(|| key.numbered(number));
            }
        }
        let Appended { receipts, refused } = (self.sender.append(self.publisher.as_ref(), updates).await)
            .map_err(|problem| self.receipts.blame(problem, lines.first().copied()))?;
        self.receipts.add(&receipts);
        match refused {
            Some(refused) => Err(self.receipts.blame(refused.into(), lines.get(receipts.len()).copied())),
            None => Ok(()),
        }
    }
}

/// Updates of one piece of a body.
struct Batch {
    updates: Vec<Append>,
    /// The line that each ended on; none for one that the body does not have.
    lines: Vec<u64>,
}

fn read_batch(reader: &mut impl UpdateReader, input: &mut &[u8]) -> (Batch, Option<Refusal>) {
    let expected = (input.len() / LIKELY_UPDATE_BYTES).min(MAX_BATCH);
    let mut batch = Batch { updates: Vec::with_capacity(expected), lines: Vec::with_capacity(expected) };
    while batch.lines.len() < MAX_BATCH {
        match reader.read(input) {
            Some(Ok(append)) => {
                batch.updates.push(append);
                batch.lines.push(reader.line());
            }
            Some(Err(refusal)) => return (batch, Some(refusal)),
            None => break,
        }
    }
    (batch, None)
}

/// The answer to one update.
#[derive(Serialize)]
struct Published<'a> {
    id: &'a RecordId,
    sequence: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    attachment: Option<String>,
}

/// What has been published so far: the answer to many.
#[derive(Debug, Default, Serialize)]
struct Receipts {
    count: u64,
    first: Option<RecordId>,
    last: Option<RecordId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    attachment: Option<String>,
}

impl Receipts {
    fn of(receipts: &[Receipt]) -> Receipts {
        let mut all = Receipts::default();
        all.add(receipts);
        all
    }

    fn add(&mut self, receipts: &[Receipt]) {
        self.count += receipts.len() as u64;
        if let (None, Some(first)) = (&self.first, receipts.first()) {
            self.first = Some(first.id.clone());
        }
        if let Some(last) = receipts.last() {
            self.last = Some(last.id.clone());
        }
    }

    /// Says in `problem` what is kept all the same, and where the body went wrong.
    fn blame(&self, problem: Problem, line: Option<u64>) -> Problem {
        let problem = problem
            .with("count", self.count)
            .with("first", self.first.as_ref().map(RecordId::to_string))
            .with("last", self.last.as_ref().map(RecordId::to_string));
        match line {
            Some(line) => problem.with("line", line),
            None => problem,
        }
    }
}

fn respond(answer: &impl Serialize) -> Response<HubBody> {
    let mut json = serde_json::to_vec(answer).expect("text and numbers are JSON");
    json.push(b'\n');
    respond_with(json)
}

/// The answer to most publishes, with nothing in it that JSON escapes: a `Published` of this ID.
fn published(id: &HubId, sequence: u64) -> Vec<u8> {
    let (before, between, after) = ("{\"id\":\"", "\",\"sequence\":", "}\n");
    // Of just its length, which spares `Bytes` a piece of memory.
    let digits = sequence.checked_ilog10().unwrap_or(0) as usize + 1;
    let length = before.len() + HubId::LEN + between.len() + digits + after.len();
    let mut json = Vec::with_capacity(length);
    json.extend_from_slice(before.as_bytes());
    json.extend_from_slice(&id.to_bytes());
    json.extend_from_slice(between.as_bytes());
    write!(json, "{sequence}").expect("writing to memory does not fail");
    json.extend_from_slice(after.as_bytes());
    json
}

fn respond_with(json: Vec<u8>) -> Response<HubBody> {
    let mut response = Response::new(HubBody::from(Bytes::from(json)));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::{Epoch, Position};

    #[test]
    fn a_receipt_written_by_hand_is_the_one_that_is_serialized() {
        for sequence in [0, 1, 9, 10, 1_000, 12_345, u64::MAX] {
            let id = HubId { epoch: Epoch::from_bits(7), position: Position { sequence, check: 3 } };
            let answer = Published { id: &RecordId::Hub(id), sequence, attachment: None };
            let mut expected = serde_json::to_string(&answer).unwrap();
            expected.push('\n');
            let json = published(&id, sequence);
            assert_eq!(json.len(), json.capacity());
            assert_eq!(String::from_utf8(json).unwrap(), expected);
        }
    }
}

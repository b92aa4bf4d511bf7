//! `POST`: one update, or many.

use std::pin::pin;

use bytes::Bytes;
use http::{HeaderMap, Response, header, request::Parts};
use http_body::Body;

use super::upload::upload;
use crate::{
    Grant, Hub, Topic, Update,
    authorize::PublishMeter,
    dialect::{Dialect, Many, Publish, Published, Receipts, Refusal, Text, UpdateReader},
    http::{HubBody, Problem, published_body::PublishedBody, request_head::has_no_coding, service::BoxError},
    log::{Append, Appended, IdempotencyKey, RecordId, Refused, turns::Publisher},
};

/// How many updates of one piece of a body are appended at once. It bounds the memory of one publisher.
const MAX_BATCH: usize = 1_000;

/// The expected length of an update, for the capacity of a batch.
const LIKELY_UPDATE_BYTES: usize = 128;

/// Publishes the updates of the body, and answers when all of them are kept.
///
/// # Errors
/// 403 for a topic that the holder of `grant` may not publish to.
pub(crate) async fn publish<B>(
    hub: &Hub,
    dialect: &dyn Dialect,
    grant: &Grant,
    operation: Publish,
    parts: &Parts,
    body: B,
) -> Result<Response<HubBody>, Problem>
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let control = hub.engine().settings.access.control();
    let sender = Sender {
        hub,
        dialect,
        grant,
        meter: control.and_then(|control| control.publish_meter(grant, parts)),
        request: parts,
        connection: parts.extensions.get(),
    };
    let body = pin!(body);
    let mut body = PublishedBody::new(body, hub);
    let published = publish_body(&sender, operation, &parts.headers, &mut body).await;
    published.map_err(|problem| if body.is_over() { problem } else { problem.before_the_end() })
}

async fn publish_body<B>(
    sender: &Sender<'_>,
    operation: Publish,
    headers: &HeaderMap,
    body: &mut PublishedBody<'_, B>,
) -> Result<Response<HubBody>, Problem>
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    has_no_coding(headers)?;
    match operation {
        Publish::Text(Text { topic, updates }) => {
            if let Some(topic) = &topic {
                sender.may_send_to(topic)?;
            }
            let batch = updates(body.read_text().await?)?;
            sender.still_may()?;
            for append in &batch {
                sender.may_publish(append.update.topics())?;
            }
            publish_batch(sender, batch).await
        }
        Publish::Many(asked) => Box::pin(many(sender, asked, body)).await,
        Publish::File(file) => Box::pin(upload(sender, file, body)).await,
    }
}

/// The publisher of one request, and where its updates go.
pub(super) struct Sender<'a> {
    pub(super) hub: &'a Hub,
    dialect: &'a dyn Dialect,
    grant: &'a Grant,
    /// `None` for a publisher without limits.
    meter: Option<PublishMeter<'a>>,
    request: &'a Parts,
    /// The connection of the request, if that may publish many things at once.
    pub(super) connection: Option<&'a Publisher>,
}

impl Sender<'_> {
    /// # Errors
    /// 403 for the first topic that the grant does not allow to publish to.
    pub(super) fn may_publish(&self, topics: &[Topic]) -> Result<(), Problem> {
        let allowed = self.grant.may_publish(topics);
        allowed.map_err(|topic| Problem::not_publishable(topic, self.grant))
    }

    /// Looks at the one topic of a body before it is read.
    ///
    /// # Errors
    /// 403 for a topic that the grant does not allow to publish to, and for one that is reserved for a part of the hub.
    pub(super) fn may_send_to(&self, topic: &Topic) -> Result<(), Problem> {
        self.may_publish(std::slice::from_ref(topic))?;
        match self.hub.reserved(std::iter::once(topic.as_str())) {
            None => Ok(()),
            Some((topic, _)) => Err(Refused::Reserved { topic: topic.to_owned() }.into()),
        }
    }

    /// # Errors
    /// 401 when the grant has ended since the request began.
    pub(super) fn still_may(&self) -> Result<(), Problem> {
        Ok(self.grant.holds()?)
    }

    /// Appends a batch. Keys belong to the publisher alone, if the hub knows the publisher.
    ///
    /// # Errors
    /// 429 for a publisher that is too fast, and the errors of the log.
    async fn append(&self, mut batch: Vec<Append>) -> Result<Appended, Problem> {
        if let Some(meter) = &self.meter {
            let bytes = batch.iter().map(|append| append.update.event().data().len()).sum();
            meter.count(batch.len(), bytes)?;
        }
        if self.grant.subject().is_some() && batch.iter().any(|append| append.key.is_some()) {
            let owner = self.grant.key_owner();
            for (key, owner) in batch.iter_mut().filter_map(|append| append.key.as_mut().zip(owner.as_ref()))
            {
                *key = key.owned(owner);
            }
        }
        let appended = self.hub.publish_for(self.connection, batch).await?;
        if let Some(control) = self.hub.engine().settings.access.control() {
            control.note_published(self.grant, self.request, appended.receipts.len());
        }
        Ok(appended)
    }

    fn answer(&self, published: &Published<'_>) -> Response<HubBody> {
        let (media_type, body) = self.dialect.published(published);
        let mut response = Response::new(HubBody::from(Bytes::from(body)));
        response.headers_mut().insert(header::CONTENT_TYPE, media_type);
        response
    }
}

/// Publishes the updates of a body that came whole.
pub(super) async fn publish_batch(
    sender: &Sender<'_>,
    batch: Vec<Append>,
) -> Result<Response<HubBody>, Problem> {
    let is_one = batch.len() == 1;
    let Appended { receipts, refused } = sender.append(batch).await?;
    match (refused, &receipts[..]) {
        (Some(refused), []) => Err(refused.into()),
        (Some(refused), kept) => Err(blame(&Receipts::of(kept), refused.into(), None)),
        (None, [receipt]) if is_one => Ok(sender.answer(&Published::One(receipt))),
        (None, kept) => Ok(sender.answer(&Published::Many(&Receipts::of(kept)))),
    }
}

/// Publishes the updates of a body that has many, and then closes the topic if the request asks for that.
async fn many<B>(
    sender: &Sender<'_>,
    Many { topic, reader, key, is_private, close }: Many,
    body: &mut PublishedBody<'_, B>,
) -> Result<Response<HubBody>, Problem>
where
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    sender.may_send_to(&topic)?;
    let mut publishing = Publishing { sender, key, is_private, receipts: Receipts::default() };
    publishing.stream(reader, body).await?;
    if let Some(reason) = close {
        let close = Update::close(topic, reason);
        publishing.append(Batch { updates: vec![close.into()], lines: Vec::new() }).await?;
    }
    Ok(sender.answer(&Published::Many(&publishing.receipts)))
}

/// A body that has many updates, on its way into the log.
struct Publishing<'a> {
    sender: &'a Sender<'a>,
    key: Option<IdempotencyKey>,
    is_private: bool,
    receipts: Receipts,
}

impl Publishing<'_> {
    /// Publishes each update as soon as it has arrived. Complete updates are kept, even if the body ends in the middle.
    async fn stream<B>(
        &mut self,
        mut reader: Box<dyn UpdateReader>,
        body: &mut PublishedBody<'_, B>,
    ) -> Result<(), Problem>
    where
        B: Body<Data = Bytes>,
        B::Error: Into<BoxError>,
    {
        let mut completed = false;
        loop {
            let piece = body.next_of_many(reader.unfinished_bytes(), completed).await;
            let piece = piece.map_err(|problem| blame(&self.receipts, problem, Some(reader.line())))?;
            let Some(piece) = piece else { break };
            let mut input = &piece[..];
            completed = false;
            loop {
                let (batch, refusal) = read_batch(&mut *reader, &mut input);
                completed |= !batch.lines.is_empty();
                let full = batch.lines.len() == MAX_BATCH;
                self.append(batch).await?;
                if let Some(refusal) = refusal {
                    return Err(blame(&self.receipts, refusal.into(), Some(reader.line())));
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
            Some(Err(refusal)) => Err(blame(&self.receipts, refusal.into(), Some(reader.line()))),
            None => Ok(()),
        }
    }

    async fn append(&mut self, Batch { mut updates, lines }: Batch) -> Result<(), Problem> {
        if updates.is_empty() {
            return Ok(());
        }
        let line = lines.first().copied();
        self.sender.still_may().map_err(|problem| blame(&self.receipts, problem, line))?;
        if self.is_private {
            // The end of a topic is no secret.
            let updates = updates.iter_mut().map(|append| &mut append.update);
            updates.filter(|update| !update.is_close()).for_each(Update::hide);
        }
        if let Some(key) = &self.key {
            for (number, append) in (self.receipts.count + 1..).zip(&mut updates) {
                // A key of the update itself says more than its number in this body.
                append.key.get_or_insert_with(|| key.numbered(number));
            }
        }
        let Appended { receipts, refused } =
            (self.sender.append(updates).await).map_err(|problem| blame(&self.receipts, problem, line))?;
        self.receipts.add(&receipts);
        match refused {
            Some(refused) => Err(blame(&self.receipts, refused.into(), lines.get(receipts.len()).copied())),
            None => Ok(()),
        }
    }
}

/// Updates of one piece of a body.
struct Batch {
    updates: Vec<Append>,
    /// The line on which each update ended; empty for an update that is not in the body.
    lines: Vec<u64>,
}

fn read_batch(reader: &mut dyn UpdateReader, input: &mut &[u8]) -> (Batch, Option<Refusal>) {
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

/// Adds to `problem` which updates are kept, and which line of the body is wrong.
fn blame(receipts: &Receipts, problem: Problem, line: Option<u64>) -> Problem {
    let problem = problem
        .with("count", receipts.count)
        .with("first", receipts.first.as_ref().map(RecordId::to_string))
        .with("last", receipts.last.as_ref().map(RecordId::to_string));
    match line {
        Some(line) => problem.with("line", line),
        None => problem,
    }
}

//! From a request to its stream: a new stream, or the stream of the first request with the same key.

use std::{future::ready, pin::pin, sync::Arc};

use super::{
    announcement::Announcement,
    ending::Ending,
    failure::Failure,
    live::{Entered, Gateway, Live, Progress},
    position::announcement,
    relay::{Relay, ask},
    request::{Asked, credentials},
    stream::StreamId,
    wire::error_code,
};
use crate::{
    Grant, Hub,
    delivery::routing::{Registration, Wake},
    dialect::{Refusal, native::publish::IDEMPOTENCY_KEY},
    http::Problem,
    log::{Append, Appended, IdempotencyKey, LogError, PageLimit, Refused},
};
use http::HeaderMap;
use tokio::sync::oneshot;

/// How often one key may be tried again, because its stream failed before the first event or was removed.
const MAX_TRIES: u32 = 64;

/// A stream that answers a request.
#[derive(Debug)]
pub(super) struct Started {
    pub(super) id: StreamId,
    /// The stream while it is received; `None` for a stream that has ended.
    pub(super) live: Option<Arc<Live>>,
    /// Counts as the reader of a new stream until the client has its own subscription.
    pub(super) first_reader: Option<Registration>,
}

impl Started {
    /// Whether the upstream is asked for this request, and not for an earlier one.
    pub(super) fn is_new(&self) -> bool {
        self.first_reader.is_some()
    }
}

/// A client's idempotency key, with the credentials that say whose key it is.
struct Key<'a>(Vec<&'a [u8]>);

impl<'a> Key<'a> {
    fn of(headers: &'a HeaderMap, grant: &'a Grant, asked: &'a Asked) -> Result<Option<Key<'a>>, Problem> {
        let Some(key) = headers.get(IDEMPOTENCY_KEY) else { return Ok(None) };
        IdempotencyKey::parse(&String::from_utf8_lossy(key.as_bytes())).map_err(Refusal::from)?;
        let mut parts = vec![key.as_bytes(), asked.target.as_str().as_bytes()];
        parts.extend(credentials(headers, grant));
        if let Some(subject) = grant.subject() {
            // Two users of an application may send the same headers.
            parts.extend([subject.issuer().as_bytes(), subject.name().as_bytes()]);
        }
        Ok(Some(Key(parts)))
    }

    /// The stream of the key's `number`th try. It follows from the key, so the log itself decides which request came first.
    fn stream(&self, gateway: &Gateway, number: u32) -> StreamId {
        let number = number.to_be_bytes();
        let mut parts = self.0.clone();
        parts.push(&number);
        gateway.tokens.derive(&parts)
    }
}

/// Finds the stream of a request by its idempotency key, or begins a new one.
///
/// # Errors
/// 422 for a key that was used with another body, 410 for one whose stream was stopped before its first event, 429 when there
/// are too many streams, and when the log fails.
pub(super) async fn start(
    hub: &Hub,
    gateway: &Arc<Gateway>,
    grant: &Grant,
    headers: &HeaderMap,
    asked: &Asked,
) -> Result<Started, Problem> {
    let body = asked.body_digest();
    let Some(key) = Key::of(headers, grant, asked)? else {
        let id = StreamId::random().map_err(|error| {
            Problem::from(LogError::unavailable("there is no randomness for a new stream", error.to_string()))
        })?;
        return enter(hub, gateway, id, asked, &body, false).await;
    };
    let mut number = 1;
    loop {
        let id = key.stream(gateway, number);
        let mut past = Past::of(hub, &id, &body).await?;
        if matches!(past, Past::Unknown) {
            let started = enter(hub, gateway, id, asked, &body, true).await?;
            if started.live.is_some() {
                return Ok(started);
            }
            past = Past::of(hub, &id, &body).await?;
        }
        match past {
            Past::Stopped => return Err(Problem::stopped("the stream of this Idempotency-Key was stopped")),
            Past::Gone | Past::Failed if number < MAX_TRIES => number += 1,
            _ => return Ok(Started { id, live: None, first_reader: None }),
        }
    }
}

async fn enter(
    hub: &Hub,
    gateway: &Arc<Gateway>,
    id: StreamId,
    asked: &Asked,
    body: &str,
    has_key: bool,
) -> Result<Started, Problem> {
    let live = match gateway.enter(id, body.to_owned(), hub.engine().log.bounds().newest) {
        Entered::Full => return Err(Problem::too_many_streams(gateway.settings.max_streams)),
        Entered::Running(live) if live.body != body => return Err(Problem::key_reused()),
        Entered::Running(live) => {
            let kept = matches!(live.announced().await, Progress::Kept(_));
            return Ok(Started { id, live: (!kept).then_some(live), first_reader: None });
        }
        Entered::New(live) => live,
    };
    // In a task of its own: if this client leaves meanwhile, other clients with the same key must not wait for ever.
    let (tell, begun) = oneshot::channel();
    gateway.spawn({
        let (hub, asked, gateway) = (hub.clone(), asked.clone(), gateway.clone());
        async move {
            // The client may have left.
            let _ = tell.send(begin(&hub, &gateway, live, asked, has_key).await);
        }
    });
    begun.await.unwrap_or_else(|_| Err(Problem::shutting_down()))
}

/// Puts the stream into the log, and begins to receive it if it is not there yet.
async fn begin(
    hub: &Hub,
    gateway: &Arc<Gateway>,
    live: Arc<Live>,
    asked: Asked,
    has_key: bool,
) -> Result<Started, Problem> {
    let id = live.id;
    // No publisher knows the ID, and so the key, before this is appended.
    let key = format!("llm:{id}");
    let append = Append {
        update: Announcement::new(asked.interface, &live.body).to_update(&id),
        key: has_key.then(|| IdempotencyKey::parse(&key)).transpose().map_err(Refusal::from)?,
        time: None,
    };
    let mut announcing = pin!(hub.publish_reserved(vec![append]));
    // With a key, the log may know an earlier request, so the log is asked first. Without a key the upstream is asked while the
    // announcement is on its way to the disk. Nothing of the answer is published, or sent to a client, before it is there.
    let mut asking = (!has_key).then(|| ask(gateway.clone(), asked.clone()));
    let announced = match &mut asking {
        None => announcing.await,
        Some(asking) => tokio::select! {
            biased;
            announced = &mut announcing => announced,
            answered = &mut *asking => {
                *asking = Box::pin(ready(answered));
                announcing.await
            }
        },
    };
    let problem = match announced {
        Ok(Appended { receipts, refused: None }) => {
            if receipts.iter().all(|receipt| receipt.repeated) {
                gateway.leave(&live, Progress::Kept(Arc::default()), true);
                return Ok(Started { id, live: None, first_reader: None });
            }
            gateway.count_announced(hub);
            let first_reader = Some(hub.engine().routing.register(id.topic().into(), Wake::default()));
            live.progress.send_replace(Progress::Waiting);
            let relay = Relay::new(hub.clone(), gateway.clone(), live.clone(), asked, asking);
            gateway.spawn(relay.run());
            return Ok(Started { id, live: Some(live), first_reader });
        }
        Ok(Appended { refused: Some(Refused::KeyReused { .. } | Refused::IdTaken { .. }), .. }) => {
            Problem::key_reused()
        }
        Ok(Appended { refused: Some(refused), .. }) => refused.into(),
        Err(error) => {
            // The log may have kept the announcement.
            gateway.leave_open(&live);
            error.into()
        }
    };
    let failure =
        Failure::new(Ending::UpstreamError, "the stream was not begun: another request with its key failed");
    gateway.leave(&live, Progress::Failed(Arc::new(failure)), asking.is_none());
    Err(problem)
}

/// The state of a try in the log.
enum Past {
    /// It has not ended, if it has begun.
    Unknown,
    /// There is an answer, or a part of an answer.
    Kept,
    /// It was stopped before its first event.
    Stopped,
    /// It ended without an event of its upstream, and no client asked for that. A client may try again with its key, as SDKs do
    /// by themselves.
    Failed,
    /// It is removed with the history. Its close is remembered, and nothing can be published after that.
    Gone,
}

impl Past {
    /// # Errors
    /// 422 if the stream answers another body, and when the log fails.
    async fn of(hub: &Hub, id: &StreamId, body: &str) -> Result<Past, Problem> {
        let log = &hub.engine().log;
        let topic = id.topic();
        if log.closed(&topic).await?.is_none() {
            return Ok(Past::Unknown);
        }
        let Some(start) = announcement(&**log, id).await? else { return Ok(Past::Gone) };
        if Announcement::body(&start).is_some_and(|announced| announced != body) {
            return Err(Problem::key_reused());
        }
        let page = log.read(start.sequence(), &topic.into(), PageLimit { records: 1, bytes: 1 }).await?;
        let error = page.records.first().filter(|first| first.event().id() == Some(&id.error_id()));
        Ok(match error.map(|error| error_code(error.event().data())) {
            None => Past::Kept,
            Some(code) if code.as_deref() == Some(Ending::Stopped.as_str()) => Past::Stopped,
            Some(_) => Past::Failed,
        })
    }
}

//! The body of a request, on its way into memory.

use std::{
    pin::{Pin, pin},
    time::Duration,
};

use bytes::Bytes;
use http_body::Body;
use http_body_util::BodyExt;
use tokio::time::{Instant, sleep_until};

use super::{Problem, service::BoxError};
use crate::{Hub, budget::Share, dialect::Refusal};

/// How long a client has, once the hub shuts down, to send the rest of what it has begun to send. Most likely that is on its way;
/// a client that sends no more is not waited for.
pub(crate) const LAST_CHANCE: Duration = Duration::from_secs(1);

/// How many bytes of one body are kept without a share of the budget. Small publishes therefore do not depend on
/// others.
const FREE_BYTES: usize = 64 << 10;

/// How many pieces of a body with many updates are taken once the hub shuts down, as long as they are there already: a publisher
/// that has sent everything is answered as ever, and one that never stops is stopped.
const LAST_PIECES: usize = 64;

/// A request's body, read piece by piece, each within the read timeout.
///
/// Its kept bytes are within the budget of all bodies together, until the body is complete and appended.
pub(crate) struct PublishedBody<'a, B> {
    body: Pin<&'a mut B>,
    hub: &'a Hub,
    room: Share,
    /// When what is being read has to be complete.
    due: Option<Due>,
    /// How many pieces of a body with many updates are still taken once the hub shuts down.
    last_pieces: usize,
    /// Until when one is waited for, once the hub shuts down.
    last_chance: Option<Instant>,
    /// Whether its end has come.
    is_over: bool,
}

struct Due {
    after: Duration,
    late: fn(Duration) -> Problem,
    /// The deadline, set at the first wait: bytes that are already there need no look at the clock.
    until: Option<Instant>,
}

impl Due {
    fn within(after: Duration, late: fn(Duration) -> Problem) -> Due {
        Due { after, late, until: None }
    }

    fn until(&mut self, now: Instant) -> Instant {
        *self.until.get_or_insert(now + self.after)
    }
}

/// Waits until what is read is `due`, or until nothing has come of it for `pause`.
async fn late(due: Option<&mut Due>, pause: Duration) -> Problem {
    let now = Instant::now();
    let pause = (now + pause, pause, Problem::read_timeout as fn(Duration) -> Problem);
    let due = due.map(|due| (due.until(now), due.after, due.late));
    let (until, after, late) = due.filter(|(until, ..)| *until < pause.0).unwrap_or(pause);
    sleep_until(until).await;
    late(after)
}

impl<'a, B> PublishedBody<'a, B>
where
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    pub(crate) fn new(body: Pin<&'a mut B>, hub: &'a Hub) -> PublishedBody<'a, B> {
        PublishedBody {
            body,
            hub,
            room: hub.bodies_room().share(),
            due: None,
            last_pieces: LAST_PIECES,
            last_chance: None,
            is_over: false,
        }
    }

    /// Whether its end has come. If not, its publisher may be sending on.
    pub(super) fn is_over(&self) -> bool {
        self.is_over || self.body.is_end_stream()
    }

    /// How many bytes it has at least, as far as its head says.
    pub(crate) fn least_bytes(&self) -> u64 {
        self.body.size_hint().lower()
    }

    /// The next piece, or `None` at the end.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, Problem> {
        while !self.is_over() {
            let PublishedBody { body, hub, due, last_chance, .. } = self;
            let last_chance = async {
                hub.engine().shutdown_begun().await;
                sleep_until(*last_chance.get_or_insert_with(|| Instant::now() + LAST_CHANCE)).await;
            };
            let frame = tokio::select! {
                biased;
                frame = body.frame() => frame,
                problem = late(due.as_mut(), hub.engine().settings.read_timeout) => return Err(problem),
                () = last_chance => return Err(Problem::shutting_down()),
            };
            match frame {
                None => self.is_over = true,
                Some(Ok(frame)) => {
                    // Trailers are no part of the content.
                    if let Ok(data) = frame.into_data() {
                        return Ok(Some(data));
                    }
                }
                Some(Err(error)) => {
                    let error = error.into();
                    tracing::info!(%error, "a publisher's body broke off");
                    return Err(Problem::invalid(format!("the body broke off: {error}")));
                }
            }
        }
        Ok(None)
    }

    /// From the next wait on runs the time in which a file has to arrive.
    pub(super) fn begin_upload(&mut self) {
        self.due = Some(Due::within(self.hub.engine().settings.upload_timeout, Problem::upload_timeout));
    }

    /// The next piece of a body with many updates, of which this many bytes are of one that is not complete.
    /// `completed` says that the last piece had the end of another.
    ///
    /// The body may stay open for any time, but an update that it has begun must be complete in time.
    pub(super) async fn next_of_many(
        &mut self,
        unfinished_bytes: usize,
        completed: bool,
    ) -> Result<Option<Bytes>, Problem> {
        if completed || unfinished_bytes == 0 {
            self.due = None;
            self.room.clear();
        }
        if unfinished_bytes > 0 {
            self.begin();
            self.make_room(unfinished_bytes).await?;
        }
        let engine = self.hub.engine();
        if engine.is_shutting_down() {
            self.last_pieces = self.last_pieces.checked_sub(1).ok_or_else(Problem::shutting_down)?;
        }
        tokio::select! {
            biased;
            piece = self.next() => piece,
            // It would stay open for as long as its publisher likes.
            () = engine.shutdown_begun() => Err(Problem::shutting_down()),
        }
    }

    /// Reads a whole body of at most `max_bytes`. The result holds its share of the memory for bodies for as long as it
    /// lives.
    ///
    /// # Errors
    /// `too_large(max_bytes)` for one that has more, before all of it has come.
    pub(crate) async fn read_whole(
        &mut self,
        max_bytes: usize,
        too_large: fn(usize) -> Problem,
    ) -> Result<Bytes, Problem> {
        let whole = self.collect(max_bytes, too_large).await?;
        let room = std::mem::replace(&mut self.room, self.hub.bodies_room().share());
        Ok(if room.is_empty() { whole.into() } else { Bytes::from_owner(Held { whole, _room: room }) })
    }

    /// Reads all of a body that is the data of one update. Its share stays with this body.
    pub(super) async fn read_text(&mut self) -> Result<String, Problem> {
        let max_data_bytes = self.hub.engine().settings.max_data_bytes;
        let whole = self.collect(max_data_bytes, |max| Refusal::too_large(max).into()).await?;
        String::from_utf8(whole).map_err(|error| {
            let at = error.utf8_error().valid_up_to();
            Problem::invalid(format!(
                "the body is not UTF-8: the sequence at byte {at} is invalid; a file needs a Content-Type, as image/png"
            ))
        })
    }

    async fn collect(
        &mut self,
        max_bytes: usize,
        too_large: fn(usize) -> Problem,
    ) -> Result<Vec<u8>, Problem> {
        let least = self.least_bytes();
        if least > max_bytes as u64 {
            return Err(too_large(max_bytes));
        }
        self.begin();
        // All of it at once where its length is known: those who have room then never wait for one another.
        self.make_room(least as usize).await?;
        // Not one of the pieces themselves: what is kept of a large buffer would keep all of it.
        let mut whole = Vec::new();
        while let Some(piece) = self.next().await? {
            let bytes = whole.len() + piece.len();
            if bytes > max_bytes {
                return Err(too_large(max_bytes));
            }
            self.make_room(bytes).await?;
            whole.extend_from_slice(&piece);
        }
        Ok(whole)
    }

    /// From the next wait on runs the time in which one update has to arrive, unless it does already.
    fn begin(&mut self) {
        let limit = self.hub.engine().settings.update_timeout;
        self.due.get_or_insert_with(|| Due::within(limit, Problem::update_timeout));
    }

    /// Waits until there is room for so many bytes of this body.
    async fn make_room(&mut self, bytes: usize) -> Result<(), Problem> {
        if bytes > FREE_BYTES {
            let made = pin!(self.room.grow_to(bytes)).await;
            made.map_err(|_| Problem::no_room_for_body())?;
        }
        Ok(())
    }
}

/// A body with its share.
struct Held {
    whole: Vec<u8>,
    _room: Share,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.whole
    }
}

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

/// How long a client has, after the hub began to shut down, to send the rest of a body. The rest is most likely on its way. The
/// hub does not wait for a client that sends nothing.
pub(crate) const LAST_CHANCE: Duration = Duration::from_secs(1);

/// How many bytes of one body need no share of the budget. So small publishes go on, no matter how much memory others use.
const FREE_BYTES: usize = 64 << 10;

/// How many pieces of a body with many updates are taken after the hub began to shut down, if they are there already. A publisher
/// that has sent everything gets its answer, and a publisher that never stops is stopped.
const LAST_PIECES: usize = 64;

/// A request's body, read piece by piece, each within the read timeout.
///
/// The bytes that wait here until they are appended are within the budget of all bodies together.
pub(crate) struct PublishedBody<'a, B> {
    body: Pin<&'a mut B>,
    hub: &'a Hub,
    room: Share,
    /// When the update or file that is being read has to be complete.
    due: Option<Due>,
    /// How many pieces of a body with many updates are still taken after the hub began to shut down.
    last_pieces: usize,
    /// How long to wait for the next piece after the hub began to shut down.
    last_chance: Option<Instant>,
    /// Whether the end of the body has come.
    is_over: bool,
}

struct Due {
    after: Duration,
    late: fn(Duration) -> Problem,
    /// The time of that. It is set by the first wait: bytes that are there already need no look at the clock.
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

/// Waits until the body is `due`, or until nothing has come for `pause`.
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

    /// Whether the end of the body has come. If not, the publisher may still be sending.
    pub(super) fn is_over(&self) -> bool {
        self.is_over || self.body.is_end_stream()
    }

    /// The smallest number of bytes that the body can have, by its head.
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
                    // Trailers are not part of the content.
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

    /// Starts the time in which a file has to arrive, from the next wait on.
    pub(super) fn begin_upload(&mut self) {
        self.due = Some(Due::within(self.hub.engine().settings.upload_timeout, Problem::upload_timeout));
    }

    /// The next piece of a body with many updates. `unfinished_bytes` have come of an update that is not complete, and
    /// `completed` says whether the last piece completed an update.
    ///
    /// The body may stay open as long as its publisher likes, but an update that has begun has to be complete in time.
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
            // The publisher may keep the body open for ever.
            () = engine.shutdown_begun() => Err(Problem::shutting_down()),
        }
    }

    /// Reads a body of at most `max_bytes` whole. The result holds its share of the memory for bodies as long as it lives.
    ///
    /// # Errors
    /// `too_large(max_bytes)` for a larger body, before all of it has come.
    pub(crate) async fn read_whole(
        &mut self,
        max_bytes: usize,
        too_large: fn(usize) -> Problem,
    ) -> Result<Bytes, Problem> {
        let whole = self.collect(max_bytes, too_large).await?;
        let room = std::mem::replace(&mut self.room, self.hub.bodies_room().share());
        Ok(if room.is_empty() { whole.into() } else { Bytes::from_owner(Held { whole, _room: room }) })
    }

    /// Reads a body of text whole. Its share of the memory stays with this `PublishedBody`.
    pub(super) async fn read_text(&mut self) -> Result<String, Problem> {
        let max_data_bytes = self.hub.engine().settings.max_data_bytes;
        let whole = self.collect(max_data_bytes, |max| Refusal::too_large(max).into()).await?;
        String::from_utf8(whole).map_err(|error| {
            let at = error.utf8_error().valid_up_to();
            Problem::invalid(format!(
                "the body is not UTF-8: the sequence at byte {at} is invalid; a file needs a Content-Type, such as image/png"
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
        // The whole length at once, if it is known: otherwise two bodies could each wait for the rest of the room.
        self.make_room(least as usize).await?;
        // A copy, because a piece would keep the whole buffer that it is a part of.
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

    /// Starts the time in which one update has to arrive, from the next wait on, unless that time runs already.
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

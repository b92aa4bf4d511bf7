//! Heartbeats: bytes that keep a silent stream open.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep, sleep_until};

use crate::Frame;

/// The heartbeat of a stream, and the length of silence before it.
///
/// Proxies and load balancers cut a connection that carries no bytes, some of them after 30 s. A server, too, notices
/// only by writing that a client has disappeared. The default is a [`comment`](KeepAlive::comment) after 15 s of
/// silence.
///
/// | Form | Bytes | For |
/// |---|---|---|
/// | [`comment`](KeepAlive::comment) | `:␊` | every client that follows the standard |
/// | [`block`](KeepAlive::block) | `:␊␊` | proxies and clients that pass bytes on only at a blank line |
/// | [`event`](KeepAlive::event) | `event: ping␊data:␊␊` | pages that need to see a heartbeat: an `EventSource` hides comments |
/// | [`none`](KeepAlive::none) | | clients that fail on the other forms |
///
/// A heartbeat is sent only between two events and never delays one: when both are due, the event goes first.
///
/// ```
/// use std::time::Duration;
///
/// use tidings_server::KeepAlive;
///
/// let keep_alive = KeepAlive::event().after(Duration::from_secs(5));
/// assert_eq!(keep_alive.heartbeat().unwrap().as_bytes(), b"event: ping\ndata:\n\n");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[must_use]
pub struct KeepAlive {
    form: Form,
    silence: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Form {
    Comment,
    Block,
    Event,
    Encoded(&'static [u8]),
    None,
}

impl KeepAlive {
    /// Sends an empty comment.
    pub const fn comment() -> KeepAlive {
        KeepAlive::new(Form::Comment)
    }

    /// Sends an empty comment and a blank line.
    ///
    /// Some clients take the blank line for an empty event.
    pub const fn block() -> KeepAlive {
        KeepAlive::new(Form::Block)
    }

    /// Sends an event of type `ping` with empty data.
    ///
    /// The event has no ID, so a client's last event ID stays.
    pub const fn event() -> KeepAlive {
        KeepAlive::new(Form::Event)
    }

    /// Sends bytes that are already encoded: whole events or comments, for clients with a heartbeat of their own.
    ///
    /// As with [`Frame::from_encoded`], they must end between two events.
    ///
    /// ```
    /// use tidings_server::KeepAlive;
    ///
    /// let keep_alive = KeepAlive::encoded(b"event: ping\ndata: {\"type\": \"ping\"}\n\n");
    /// assert!(keep_alive.heartbeat().is_some());
    /// ```
    pub const fn encoded(bytes: &'static [u8]) -> KeepAlive {
        KeepAlive::new(Form::Encoded(bytes))
    }

    /// Sends nothing: a silent stream stays silent.
    pub const fn none() -> KeepAlive {
        KeepAlive::new(Form::None)
    }

    /// Sends a heartbeat after this much silence, instead of 15 s.
    ///
    /// Every frame, also a heartbeat, begins a new silence. Zero means no heartbeat. The maximum is a year.
    pub const fn after(mut self, silence: Duration) -> KeepAlive {
        self.silence = if silence.as_secs() < MAX_SILENCE.as_secs() { silence } else { MAX_SILENCE };
        self
    }

    /// How long the stream may be silent.
    #[must_use]
    pub const fn silence(&self) -> Duration {
        self.silence
    }

    /// The bytes of a heartbeat. `None` if none is sent.
    #[must_use]
    pub const fn heartbeat(&self) -> Option<Frame> {
        let bytes: &[u8] = match self.form {
            _ if self.silence.is_zero() => return None,
            Form::Comment => b":\n",
            Form::Block => b":\n\n",
            Form::Event => b"event: ping\ndata:\n\n",
            Form::Encoded(bytes) => bytes,
            Form::None => return None,
        };
        Some(Frame::from_encoded(Bytes::from_static(bytes)))
    }

    const fn new(form: Form) -> KeepAlive {
        KeepAlive { form, silence: DEFAULT_SILENCE }
    }
}

impl Default for KeepAlive {
    fn default() -> KeepAlive {
        KeepAlive::comment()
    }
}

const DEFAULT_SILENCE: Duration = Duration::from_secs(15);

/// Short enough that adding it to the current time cannot overflow.
const MAX_SILENCE: Duration = Duration::from_secs(365 * 24 * 60 * 60);

pin_project! {
    /// Decides when the next heartbeat of one stream is due.
    ///
    /// A frame only notes the time. The timer is registered at the first silence. When it expires, it checks whether
    /// frames were sent since then. A busy stream therefore moves the timer once per silence, not once per frame.
    pub(crate) struct Heartbeats {
        keep_alive: KeepAlive,
        last_write: Instant,
        #[pin]
        timer: Option<Sleep>,
    }
}

impl Heartbeats {
    pub(crate) fn new(keep_alive: KeepAlive) -> Heartbeats {
        Heartbeats { keep_alive, last_write: Instant::now(), timer: None }
    }

    /// Begins a new silence.
    pub(crate) fn note_write(self: Pin<&mut Self>) {
        *self.project().last_write = Instant::now();
    }

    /// Ready with a heartbeat when the silence has lasted long enough. The heartbeat begins a new silence.
    pub(crate) fn poll_due(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Frame> {
        let mut this = self.project();
        let Some(heartbeat) = this.keep_alive.heartbeat() else { return Poll::Pending };
        let silence = this.keep_alive.silence();
        if this.timer.is_none() {
            this.timer.set(Some(sleep_until(*this.last_write + silence)));
        }
        let mut timer = this.timer.as_pin_mut().expect("the timer was set above");
        loop {
            ready!(timer.as_mut().poll(cx));
            let now = Instant::now();
            let due = *this.last_write + silence;
            if due <= now {
                *this.last_write = now;
                return Poll::Ready(heartbeat);
            }
            timer.as_mut().reset(due);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_is_a_comment_after_15_seconds() {
        assert_eq!(KeepAlive::default(), KeepAlive::comment().after(Duration::from_secs(15)));
    }

    #[test]
    fn zero_silence_means_no_heartbeat() {
        assert_eq!(KeepAlive::comment().after(Duration::ZERO).heartbeat(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_silence_of_any_length_can_be_waited_for() {
        let mut heartbeats = Box::pin(Heartbeats::new(KeepAlive::comment().after(Duration::MAX)));
        let due = std::future::poll_fn(|cx| heartbeats.as_mut().poll_due(cx));
        let day = Duration::from_secs(24 * 60 * 60);
        assert!(tokio::time::timeout(day, due).await.is_err(), "no heartbeat within a day");
    }
}

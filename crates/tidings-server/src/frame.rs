//! Encoded bytes of events and comments.

use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use tidings_codec::{Event, encode_comment, encode_retry};

/// Encoded bytes that begin and end between two events.
///
/// A clone shares the bytes. To send one event to many subscribers, encode it once and give each stream a clone:
///
/// ```
/// use tidings_server::{Event, Frame};
///
/// let frame = Frame::from(Event::new("21.5 °C"));
/// let for_another_subscriber = frame.clone();
/// assert_eq!(for_another_subscriber.as_bytes(), "data: 21.5 °C\n\n".as_bytes());
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame(Bytes);

impl Frame {
    /// Wraps bytes that are already encoded: one event or several, comments, or nothing.
    ///
    /// The bytes are sent unchanged. They must end between two events: after the blank line of an event, or after a
    /// comment line outside of an event. Otherwise the next heartbeat or event becomes part of the last event. A frame
    /// without bytes is not sent.
    #[must_use]
    pub const fn from_encoded(bytes: Bytes) -> Frame {
        Frame(bytes)
    }

    /// Encodes a comment. Clients ignore it; people who watch the stream can read it.
    ///
    /// Each line of `text` becomes a comment line. No blank line follows, because some clients take a blank line for an
    /// empty event.
    #[must_use]
    pub fn comment(text: &str) -> Frame {
        let mut bytes = Vec::new();
        encode_comment(text, &mut bytes);
        Frame(bytes.into())
    }

    /// The first bytes of a stream: an empty comment, then `retry` as the reconnection time.
    ///
    /// They are sent before the first event, so that proxies and clients know at once that the stream is open. As with
    /// [`comment`](Frame::comment), no blank line follows; a `retry` field takes effect without one.
    /// [`Sse`](crate::Sse) sends these bytes itself.
    #[must_use]
    pub fn opening(retry: Option<Duration>) -> Frame {
        let Some(retry) = retry else { return Frame(Bytes::from_static(b":\n")) };
        let mut bytes = Vec::new();
        encode_comment("", &mut bytes);
        encode_retry(retry, &mut bytes);
        Frame(bytes.into())
    }

    /// The bytes as they are sent.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The bytes as they are sent.
    #[must_use]
    pub fn into_bytes(self) -> Bytes {
        self.0
    }
}

impl From<&Event> for Frame {
    fn from(event: &Event) -> Frame {
        Frame(event.to_bytes())
    }
}

impl From<Event> for Frame {
    fn from(event: Event) -> Frame {
        Frame::from(&event)
    }
}

/// An item that a stream may yield so that [`Sse`](crate::Sse) can send it.
///
/// It is implemented for [`Event`], for [`Frame`], and for a `Result` of either. An error [cuts the
/// connection](crate::Sse#when-a-stream-fails). Implement it for a type of your own to stream that type directly:
///
/// ```
/// use std::convert::Infallible;
///
/// use tidings_server::{Event, Frame, IntoFrame};
///
/// struct Temperature(f32);
///
/// impl IntoFrame for Temperature {
///     type Error = Infallible;
///
///     fn into_frame(self) -> Result<Frame, Infallible> {
///         Event::new(format!("{} °C", self.0)).into_frame()
///     }
/// }
/// ```
pub trait IntoFrame {
    /// The reason why there is no frame. [`Infallible`] if there is always one.
    type Error;

    /// Returns the bytes to send.
    ///
    /// # Errors
    ///
    /// The error of the stream. The response is then cut.
    fn into_frame(self) -> Result<Frame, Self::Error>;
}

impl IntoFrame for Frame {
    type Error = Infallible;

    fn into_frame(self) -> Result<Frame, Infallible> {
        Ok(self)
    }
}

impl IntoFrame for Event {
    type Error = Infallible;

    fn into_frame(self) -> Result<Frame, Infallible> {
        Ok(self.into())
    }
}

impl<T: IntoFrame<Error = Infallible>, E> IntoFrame for Result<T, E> {
    type Error = E;

    fn into_frame(self) -> Result<Frame, E> {
        self.map(|value| match value.into_frame() {
            Ok(frame) => frame,
            Err(never) => match never {},
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_opening_has_no_blank_line() {
        assert_eq!(Frame::opening(None).as_bytes(), b":\n");
        assert_eq!(Frame::opening(Some(Duration::from_millis(2500))).as_bytes(), b":\nretry: 2500\n");
    }

    #[test]
    fn a_comment_of_several_lines_stays_a_comment() {
        let frame = Frame::comment("one\ndata: two\r\n\rdata: three");
        for line in frame.as_bytes().split(|&byte| byte == b'\n' || byte == b'\r') {
            assert!(line.is_empty() || line.starts_with(b":"), "{:?}", frame.as_bytes().escape_ascii());
        }
        assert!(!frame.as_bytes().windows(2).any(|pair| pair == b"\n\n"), "no blank line");
    }
}

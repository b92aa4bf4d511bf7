//! The observations of one exchange, which the rules judge. From here on there is no clock and no socket.

use std::time::Duration;

use http::HeaderMap;
use tidings_client::is_event_stream;
use tidings_codec::{Decoder, Item};

/// How many bytes of a decoded body are kept, to examine them.
pub(super) const MAX_KEPT_BYTES: usize = 1 << 20;

/// How many bytes of an event's data are kept: enough for the fields of a probe.
const MAX_DATA_BYTES: usize = 128 << 10;

/// Reads that are closer together than this cannot be told apart from one piece.
pub(super) const INSTANT: Duration = Duration::from_millis(20);

/// A version of HTTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    Http1,
    Http2,
    Http3,
}

impl Protocol {
    pub(super) fn name(self) -> &'static str {
        match self {
            Protocol::Http1 => "HTTP/1.1",
            Protocol::Http2 => "HTTP/2",
            Protocol::Http3 => "HTTP/3",
        }
    }
}

/// One exchange. All times are from its beginning.
#[derive(Clone, Debug, Default)]
pub(super) struct Seen {
    pub(super) connected: Option<Duration>,
    pub(super) protocol: Option<Protocol>,
    pub(super) head: Option<Head>,
    /// The body in the pieces in which it arrived.
    pub(super) reads: Vec<Read>,
    /// The items of the body.
    pub(super) said: Vec<Said>,
    /// The beginning of the body, decompressed.
    pub(super) body: Vec<u8>,
    /// Whether the content coding could be undone.
    pub(super) is_decoded: bool,
    pub(super) ended: Duration,
    pub(super) end: End,
    /// The first bytes of the connection below HTTP.
    pub(super) first_bytes: Vec<u8>,
}

/// The head of a response.
#[derive(Clone, Debug, Default)]
pub(super) struct Head {
    pub(super) at: Duration,
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
}

/// A piece of the body, without its framing, at its length on the wire.
#[derive(Clone, Copy, Debug)]
pub(super) struct Read {
    pub(super) at: Duration,
    pub(super) bytes: usize,
}

/// An item of the stream, with the time of its last byte.
#[derive(Clone, Debug)]
pub(super) struct Said {
    pub(super) at: Duration,
    pub(super) what: What,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum What {
    Event { event_type: String, id: Option<String>, data: String, data_bytes: usize },
    Comment,
    Retry(Duration),
}

/// How an exchange ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum End {
    /// It did not end: the time was up, and we had seen enough.
    #[default]
    Open,
    /// We left after the maximum number of bytes.
    Enough,
    /// The response was complete.
    Complete,
    /// The connection broke, or the bytes are not HTTP.
    Broken(String),
    /// No connection could be made.
    Unreachable(String),
}

impl Seen {
    /// Takes a piece of the decompressed body, which `decoder` continues to read.
    pub(super) fn take(&mut self, at: Duration, bytes: &[u8], decoder: &mut Decoder) {
        let room = MAX_KEPT_BYTES.saturating_sub(self.body.len());
        self.body.extend_from_slice(&bytes[..bytes.len().min(room)]);
        let mut input = bytes;
        while let Some(item) = decoder.decode(&mut input) {
            let what = match item {
                Ok(Item::Event(event)) => What::Event {
                    event_type: event.event_type().to_owned(),
                    id: event.id().map(str::to_owned),
                    data: shortened(event.data()),
                    data_bytes: event.data().len(),
                },
                Ok(Item::Comment(_)) => What::Comment,
                Ok(Item::Retry(time)) => What::Retry(time),
                // Lines that are too long for the decoder are found in the bytes.
                Ok(_) | Err(_) => continue,
            };
            self.said.push(Said { at, what });
        }
    }

    pub(super) fn status(&self) -> Option<u16> {
        self.head.as_ref().map(|head| head.status)
    }

    /// A header of the response. Of several, the first one.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.head.as_ref()?.headers.get(name)?.to_str().ok()
    }

    /// Whether the response declares an event stream.
    pub(super) fn is_stream(&self) -> bool {
        self.head.as_ref().is_some_and(|head| head.status == 200 && is_event_stream(&head.headers))
    }

    /// Whether the server sends streams of known timing.
    pub(super) fn is_probe(&self) -> bool {
        self.header("tidings-probe").is_some()
    }

    /// The events with their times.
    pub(super) fn events(&self) -> impl Iterator<Item = Event<'_>> {
        self.said.iter().filter_map(|said| match &said.what {
            What::Event { event_type, id, data, data_bytes } => {
                Some(Event { at: said.at, event_type, id: id.as_deref(), data, data_bytes: *data_bytes })
            }
            What::Comment | What::Retry(_) => None,
        })
    }

    /// The IDs that events set, in order.
    pub(super) fn ids(&self) -> Vec<&str> {
        self.events().filter_map(|event| event.id).collect()
    }

    /// The pieces that can be told apart: bytes that arrived at the same instant are one piece.
    pub(super) fn bursts(&self) -> Vec<Read> {
        let mut bursts: Vec<Read> = Vec::new();
        let mut last = None;
        for read in &self.reads {
            match (bursts.last_mut(), last) {
                (Some(burst), Some(last)) if read.at.saturating_sub(last) <= INSTANT => {
                    burst.bytes += read.bytes;
                }
                _ => bursts.push(*read),
            }
            last = Some(read.at);
        }
        bursts
    }

    /// The number of bytes after the head over HTTP/1.1, within the recorded part. Only meaningful after a HEAD;
    /// otherwise these bytes are the body.
    pub(super) fn bytes_behind_head(&self) -> usize {
        if self.protocol != Some(Protocol::Http1) {
            return 0;
        }
        let mut rest = &*self.first_bytes;
        while let Some(end) = memchr::memmem::find(rest, b"\r\n\r\n") {
            let is_interim = rest.starts_with(b"HTTP/1.1 1");
            rest = &rest[end + 4..];
            if !is_interim {
                return rest.len();
            }
        }
        0
    }

    /// The number of bytes of the body on the wire.
    pub(super) fn wire_bytes(&self) -> usize {
        self.reads.iter().map(|read| read.bytes).sum()
    }
}

/// An event of an exchange.
#[derive(Clone, Copy, Debug)]
pub(super) struct Event<'a> {
    pub(super) at: Duration,
    pub(super) event_type: &'a str,
    pub(super) id: Option<&'a str>,
    pub(super) data: &'a str,
    pub(super) data_bytes: usize,
}

fn shortened(data: &str) -> String {
    let mut end = data.len().min(MAX_DATA_BYTES);
    while !data.is_char_boundary(end) {
        end -= 1;
    }
    data[..end].to_owned()
}

//! The bodies of the hub's responses.

use std::{
    collections::VecDeque,
    convert::Infallible,
    fmt, io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::Full;
use tidings_server::SseBody;

use super::{
    disconnect::{Disconnect, DisconnectWatch, Sign},
    file_body::FileBody,
    hand_over::HandOver,
    page_body::PageBody,
};
use crate::{Cursor, probe::ProbeBody};

/// The body of a response of the hub: a few bytes, a file, a page of history, or an event stream.
pub struct HubBody {
    kind: Kind,
    /// Held until the body is complete: it tells the connection that an answer is under way.
    _under_way: Option<Arc<()>>,
}

enum Kind {
    Full(Full<Bytes>),
    File(FileBody),
    Page(Box<PageBody>),
    Stream {
        body: Pin<Box<SseBody<Cursor>>>,
        watch: Option<DisconnectWatch>,
    },
    /// The pieces that the hub's extension gives.
    Pieces {
        body: Box<dyn Pieces>,
        watch: Option<DisconnectWatch>,
    },
    Probe {
        body: ProbeBody,
        disconnect: Option<Disconnect>,
    },
    /// The first bytes of a stream that leaves its connection when they are written.
    HandOver {
        first: VecDeque<Bytes>,
        hand_over: HandOver,
    },
}

/// A body that the hub's extension gives piece by piece, as long as its client takes it.
pub(crate) trait Pieces: Send {
    /// The next piece, or `None` at the end.
    fn poll_piece(&mut self, context: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>>;

    /// How many bytes are still to come, if that is known.
    fn left(&self) -> Option<u64>;
}

impl HubBody {
    fn of(kind: Kind) -> HubBody {
        HubBody { kind, _under_way: None }
    }

    /// Keeps `under_way` until the last piece has been given. A body of one piece needs no such mark.
    pub(crate) fn keep(&mut self, under_way: &Arc<()>) {
        if !matches!(self.kind, Kind::Full(_) | Kind::HandOver { .. }) {
            self._under_way = Some(under_way.clone());
        }
    }

    /// A stream that also ends when its client disconnects, if the connection can tell.
    pub(crate) fn stream(body: SseBody<Cursor>, watch: Option<DisconnectWatch>) -> HubBody {
        HubBody::of(Kind::Stream { body: Box::pin(body), watch })
    }

    /// A stream of known timing, which ends as every other stream does.
    pub(crate) fn probe(body: ProbeBody, disconnect: Option<Disconnect>) -> HubBody {
        HubBody::of(Kind::Probe { body, disconnect })
    }

    /// A body that also ends when its client disconnects, if the connection can tell.
    pub(crate) fn pieces(body: impl Pieces + 'static, watch: Option<DisconnectWatch>) -> HubBody {
        HubBody::of(Kind::Pieces { body: Box::new(body), watch })
    }

    pub(crate) fn file(body: FileBody) -> HubBody {
        HubBody::of(Kind::File(body))
    }

    pub(super) fn page(body: PageBody) -> HubBody {
        HubBody::of(Kind::Page(Box::new(body)))
    }

    /// The first bytes of a stream whose socket is handed over after them.
    pub(crate) fn first_bytes(first: [Bytes; 2], hand_over: HandOver) -> HubBody {
        let first = first.into_iter().filter(|bytes| !bytes.is_empty()).collect();
        HubBody::of(Kind::HandOver { first, hand_over })
    }

    /// The next piece of it.
    pub(crate) fn poll_chunk(&mut self, context: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        match &mut self.kind {
            Kind::Full(full) => data(Pin::new(full).poll_frame(context)),
            Kind::File(file) => file.poll_chunk(context),
            Kind::Page(page) => page.poll_chunk(context),
            Kind::Probe { disconnect: Some(disconnect), .. } if disconnect.poll(context).is_ready() => {
                Poll::Ready(None)
            }
            Kind::Probe { body, .. } => data(Pin::new(body).poll_frame(context)),
            Kind::Stream { body, watch } => {
                match watch.as_mut().map_or(Poll::Pending, |watch| watch.poll(context)) {
                    Poll::Ready(Sign::Write(bytes)) => Poll::Ready(Some(Ok(bytes))),
                    Poll::Ready(Sign::Gone) => Poll::Ready(None),
                    Poll::Pending => data(body.as_mut().poll_frame(context)),
                }
            }
            Kind::Pieces { body, watch } => {
                match watch.as_mut().map_or(Poll::Pending, |watch| watch.poll(context)) {
                    Poll::Ready(_) => Poll::Ready(Some(Err(io::ErrorKind::ConnectionReset.into()))),
                    Poll::Pending => body.poll_piece(context),
                }
            }
            Kind::HandOver { first, hand_over } => match first.pop_front() {
                Some(bytes) => Poll::Ready(Some(Ok(bytes))),
                None => {
                    hand_over.given();
                    Poll::Pending
                }
            },
        }
    }

    /// Ends a stream because its client took nothing for too long.
    pub(crate) fn stall(&mut self) {
        if let Kind::Stream { body, .. } = &mut self.kind {
            if let Some(cursor) = body.as_mut().stream() {
                cursor.get_mut().stall();
            }
        }
    }

    pub(crate) fn empty() -> HubBody {
        HubBody::from(Bytes::new())
    }
}

/// The data of a frame. No answer of the hub has trailers.
fn data(frame: Poll<Option<Result<Frame<Bytes>, Infallible>>>) -> Poll<Option<io::Result<Bytes>>> {
    match frame {
        Poll::Ready(Some(Ok(frame))) => Poll::Ready(frame.into_data().ok().map(Ok)),
        Poll::Ready(Some(Err(never))) => match never {},
        Poll::Ready(None) => Poll::Ready(None),
        Poll::Pending => Poll::Pending,
    }
}

impl From<Bytes> for HubBody {
    fn from(bytes: Bytes) -> HubBody {
        HubBody::of(Kind::Full(Full::new(bytes)))
    }
}

impl Body for HubBody {
    type Data = Bytes;
    /// Of a body whose source breaks off: an answer that the gateway passes on, or a file. Every other body ends by itself.
    type Error = io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        self.get_mut().poll_chunk(context).map(|chunk| chunk.map(|chunk| chunk.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        match &self.kind {
            Kind::Full(full) => full.is_end_stream(),
            Kind::File(file) => file.left() == 0,
            Kind::Page(page) => page.is_over(),
            Kind::Stream { body, .. } => body.is_end_stream(),
            Kind::Probe { body, .. } => body.is_end_stream(),
            Kind::Pieces { body, .. } => body.left() == Some(0),
            Kind::HandOver { .. } => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            Kind::Full(full) => full.size_hint(),
            Kind::File(file) => SizeHint::with_exact(file.left()),
            Kind::Stream { body, .. } => body.size_hint(),
            Kind::Probe { body, .. } => body.size_hint(),
            Kind::Pieces { body, .. } => body.left().map_or_else(SizeHint::default, SizeHint::with_exact),
            Kind::Page(_) | Kind::HandOver { .. } => SizeHint::default(),
        }
    }
}

impl fmt::Debug for HubBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.kind {
            Kind::Full(_) => "HubBody::Full",
            Kind::File(_) => "HubBody::File",
            Kind::Page(_) => "HubBody::Page",
            Kind::Stream { .. } => "HubBody::Stream",
            Kind::Probe { .. } => "HubBody::Probe",
            Kind::Pieces { .. } => "HubBody::Pieces",
            Kind::HandOver { .. } => "HubBody::HandOver",
        })
    }
}

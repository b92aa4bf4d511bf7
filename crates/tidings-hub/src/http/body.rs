//! The bodies of the hub's responses.

use std::{
    convert::Infallible,
    fmt,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::Full;
use tidings_server::SseBody;

use crate::Cursor;

/// The body of a response of the hub: a few bytes, or an event stream.
pub struct HubBody(Kind);

enum Kind {
    Full(Full<Bytes>),
    Stream(Pin<Box<SseBody<Cursor>>>),
}

impl HubBody {
    pub(crate) fn empty() -> HubBody {
        HubBody::from(Bytes::new())
    }
}

impl From<Bytes> for HubBody {
    fn from(bytes: Bytes) -> HubBody {
        HubBody(Kind::Full(Full::new(bytes)))
    }
}

impl From<SseBody<Cursor>> for HubBody {
    fn from(stream: SseBody<Cursor>) -> HubBody {
        HubBody(Kind::Stream(Box::pin(stream)))
    }
}

impl Body for HubBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match &mut self.get_mut().0 {
            Kind::Full(full) => Pin::new(full).poll_frame(context),
            Kind::Stream(stream) => stream.as_mut().poll_frame(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Kind::Full(full) => full.is_end_stream(),
            Kind::Stream(stream) => stream.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Kind::Full(full) => full.size_hint(),
            Kind::Stream(stream) => stream.size_hint(),
        }
    }
}

impl fmt::Debug for HubBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Kind::Full(_) => "HubBody::Full",
            Kind::Stream(_) => "HubBody::Stream",
        })
    }
}

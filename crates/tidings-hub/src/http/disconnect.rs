//! Clients that have stopped sending: some have disconnected, and some wait for their answer.

use std::{
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::Version;
use tokio::{
    io::{Interest, ReadBuf},
    net::TcpStream,
};

/// An interim response. It asks nothing of a client, and every client of HTTP/1.1 skips it.
const INTERIM: &[u8] = b"HTTP/1.1 102 Processing\r\n\r\n";

/// An empty comment of an event stream.
const COMMENT: &[u8] = b":\n";

/// Tells whether the client of a connection has stopped sending, and most likely has disconnected.
///
/// hyper would end the connection by itself, and with it the publish of a client that closes as soon as it has sent everything.
/// So the connection stays until the response is complete. A stream is never complete, and ends by this.
#[derive(Debug, Clone)]
pub(crate) struct Disconnect {
    socket: Arc<TcpStream>,
    /// Whether the client knows interim responses.
    has_interim: bool,
    /// Whether an earlier answer is still being written. An interim response would be in the middle of it.
    midway: Arc<AtomicBool>,
}

impl Disconnect {
    /// For a connection. `midway` is true while an answer is being written.
    pub(crate) fn of(socket: Arc<TcpStream>, midway: Arc<AtomicBool>) -> Disconnect {
        Disconnect { socket, has_interim: false, midway }
    }

    /// The same for a request of this version.
    pub(crate) fn of_request(&self, version: Version) -> Disconnect {
        Disconnect { has_interim: version == Version::HTTP_11, ..self.clone() }
    }

    /// Waits until the client is gone, before the head of its answer. Cancel safe.
    ///
    /// A client that has stopped sending may have closed its half of the connection alone, and then waits for the answer. To find
    /// out, the hub writes an interim response: if the client is gone, the network answers with a reset. Clients of HTTP/1.0 know
    /// no interim response, and a client may not have taken the answer before. Both count as present.
    pub(crate) async fn gone(&self) {
        std::future::poll_fn(|context| self.poll(context)).await;
        // The answer to this request is still to come. The answer before it is written, or waits to be written after this.
        if self.has_interim && !self.midway.load(Ordering::Relaxed) && self.socket.try_write(INTERIM).is_ok()
        {
            reset(self.socket.clone()).await;
        } else {
            std::future::pending::<()>().await;
        }
    }

    /// Ready when the client has stopped sending. While hyper streams a response it does not read, so nothing else waits for the
    /// socket to be readable.
    pub(super) fn poll(&self, context: &mut Context<'_>) -> Poll<()> {
        let mut byte = [0];
        match self.socket.poll_peek(context, &mut ReadBuf::new(&mut byte)) {
            Poll::Ready(Ok(0) | Err(_)) => Poll::Ready(()),
            // The next request is there already, so the client has not disconnected.
            Poll::Ready(Ok(_)) | Poll::Pending => Poll::Pending,
        }
    }
}

/// Waits until the other side has refused the bytes that were written.
async fn reset(socket: Arc<TcpStream>) {
    // This fails only when the runtime ends, and the connection with it.
    let _ = socket.ready(Interest::ERROR).await;
}

/// Watches the client of a stream. The variants say when the client counts as gone.
pub(crate) enum DisconnectWatch {
    /// When it stops sending. It gets the unread events when it comes back.
    AtEof(Disconnect),
    /// When it has stopped sending, and a write shows that it is gone.
    AtReset { disconnect: Disconnect, looks: bool, reset: Option<Pin<Box<dyn Future<Output = ()> + Send>>> },
}

/// The next step for a client that has stopped sending.
pub(super) enum Sign {
    /// To write this, and see.
    Write(Bytes),
    Gone,
}

impl DisconnectWatch {
    /// `looks` says whether a comment may be written to find out. Otherwise the events of the stream show it.
    pub(crate) fn by_write(disconnect: Disconnect, looks: bool) -> DisconnectWatch {
        DisconnectWatch::AtReset { disconnect, looks, reset: None }
    }

    pub(super) fn poll(&mut self, context: &mut Context<'_>) -> Poll<Sign> {
        match self {
            DisconnectWatch::AtEof(disconnect) => disconnect.poll(context).map(|()| Sign::Gone),
            DisconnectWatch::AtReset { reset: Some(reset), .. } => {
                reset.as_mut().poll(context).map(|()| Sign::Gone)
            }
            DisconnectWatch::AtReset { disconnect, looks, reset } => {
                ready!(disconnect.poll(context));
                let watching = reset.insert(Box::pin(self::reset(disconnect.socket.clone())));
                match looks {
                    true => Poll::Ready(Sign::Write(Bytes::from_static(COMMENT))),
                    false => watching.as_mut().poll(context).map(|()| Sign::Gone),
                }
            }
        }
    }
}

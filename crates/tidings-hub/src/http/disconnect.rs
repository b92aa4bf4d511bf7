//! Clients that have stopped sending: some are gone, and some wait for their answer.

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

/// An interim response: it says nothing that a client has to heed, and any client of HTTP/1.1 passes over it.
const INTERIM: &[u8] = b"HTTP/1.1 102 Processing\r\n\r\n";

/// An empty comment of an event stream.
const COMMENT: &[u8] = b":\n";

/// Tells whether the client of a connection has hung up: it sends nothing more, and most likely is gone.
///
/// hyper would end the connection by itself, but with it the publish whose sender closes as soon as it has sent
/// everything. So the connection stays until the response is complete; a stream, which never is, ends by this.
#[derive(Debug, Clone)]
pub(crate) struct Disconnect {
    socket: Arc<TcpStream>,
    /// Whether the client knows interim responses.
    has_interim: bool,
    /// Whether the rest of an earlier answer is still to be written, in whose middle an interim response would stand.
    midway: Arc<AtomicBool>,
}

impl Disconnect {
    /// Of a connection whose answers are being written while `midway` says so.
    pub(crate) fn of(socket: Arc<TcpStream>, midway: Arc<AtomicBool>) -> Disconnect {
        Disconnect { socket, has_interim: false, midway }
    }

    /// The same for a request of this version.
    pub(crate) fn of_request(&self, version: Version) -> Disconnect {
        Disconnect { has_interim: version == Version::HTTP_11, ..self.clone() }
    }

    /// Waits until the client is gone, before the head of its answer. Cancel safe.
    ///
    /// One that has stopped sending may only have closed its half of the connection, and then wants the answer. The network
    /// tells the two apart by what comes back when something is written, and so an interim response is. A client that knows
    /// none is taken to be there, and so is one that has not taken the whole answer before.
    pub(crate) async fn gone(&self) {
        std::future::poll_fn(|context| self.poll(context)).await;
        // This request's answer is yet to come, and the one before it is written, or waits whole to be written after this.
        if self.has_interim && !self.midway.load(Ordering::Relaxed) && self.socket.try_write(INTERIM).is_ok()
        {
            reset(self.socket.clone()).await;
        } else {
            std::future::pending::<()>().await;
        }
    }

    /// Ready when the client has hung up. While it streams a response, hyper does not read, so nobody else waits for the
    /// socket to be readable.
    pub(super) fn poll(&self, context: &mut Context<'_>) -> Poll<()> {
        let mut byte = [0];
        match self.socket.poll_peek(context, &mut ReadBuf::new(&mut byte)) {
            Poll::Ready(Ok(0) | Err(_)) => Poll::Ready(()),
            // The next request is there already: whoever sends it has not hung up.
            Poll::Ready(Ok(_)) | Poll::Pending => Poll::Pending,
        }
    }
}

/// Waits until the other side has refused what was written.
async fn reset(socket: Arc<TcpStream>) {
    // It fails only where the runtime ends, and with it the connection.
    let _ = socket.ready(Interest::ERROR).await;
}

/// When the client of a stream counts as gone.
pub(crate) enum Departure {
    /// When it stops sending. Events that it does not read are sent again when it reconnects.
    AtHangUp(Disconnect),
    /// When it has stopped sending and a write shows that nobody is there.
    AtReset { disconnect: Disconnect, looks: bool, reset: Option<Pin<Box<dyn Future<Output = ()> + Send>>> },
}

/// The reaction to a client that has stopped sending.
pub(super) enum Sign {
    /// To write this, and see.
    Write(Bytes),
    Gone,
}

impl Departure {
    /// `looks` is whether a comment may be written to see. Without it, the stream's own events show.
    pub(crate) fn noticed_by_a_write(disconnect: Disconnect, looks: bool) -> Departure {
        Departure::AtReset { disconnect, looks, reset: None }
    }

    pub(super) fn poll(&mut self, context: &mut Context<'_>) -> Poll<Sign> {
        match self {
            Departure::AtHangUp(disconnect) => disconnect.poll(context).map(|()| Sign::Gone),
            Departure::AtReset { reset: Some(reset), .. } => {
                reset.as_mut().poll(context).map(|()| Sign::Gone)
            }
            Departure::AtReset { disconnect, looks, reset } => {
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

//! Where there is no loop that owns sockets: no connection makes the offer, and every stream is a body.

use std::{convert::Infallible, io, net::TcpStream, sync::Arc};

use bytes::Bytes;
use tidings_server::KeepAlive;
use tokio::sync::{mpsc, oneshot};

use crate::{
    Cursor, Grant,
    delivery::{Engine, lag::Furthest},
    seats::Seat,
};

/// Nothing of this kind comes to be here.
#[expect(dead_code, reason = "nobody reads what is never made")]
pub(crate) struct Join {
    pub(crate) socket: TcpStream,
    pub(crate) pipelined: Bytes,
    pub(crate) cursor: Cursor,
    pub(crate) keep_alive: KeepAlive,
    pub(crate) persistent: bool,
    pub(crate) seat: Seat,
}

/// Nobody's.
#[derive(Debug)]
pub(crate) struct Inbox(Infallible);

impl Inbox {
    pub(crate) fn ask(&self, _: &Grant) -> oneshot::Receiver<Arc<Furthest>> {
        match self.0 {}
    }
}

/// None.
pub(crate) struct Workers;

impl Workers {
    /// Starts nothing.
    pub(crate) fn start(
        _: &Arc<Engine>,
        _: &mpsc::UnboundedSender<(TcpStream, Bytes, Seat)>,
    ) -> io::Result<Workers> {
        Ok(Workers)
    }

    /// Ends the subscription.
    pub(crate) fn join(&self, join: Join) {
        drop(join);
    }

    /// Never: there is none that could end.
    pub(crate) async fn restarted(&mut self) -> io::Result<()> {
        std::future::pending().await
    }

    /// Returns at once.
    pub(crate) async fn ended(self) {}
}

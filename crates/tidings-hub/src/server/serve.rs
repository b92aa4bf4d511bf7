//! Accepts connections, and hands subscriptions over to the delivery loops.

use std::{io, net::SocketAddr, time::Duration};

use tokio::{
    net::{TcpListener, TcpStream},
    sync::mpsc,
    task::JoinSet,
    time::{Instant, sleep_until, timeout},
};

use super::{
    connection::serve_connection,
    encryption::Encryption,
    http1::{self, HandedOver},
};
use crate::{
    Hub,
    delivery::{Join, Workers},
    metrics::Metrics,
    peer::Peer,
    seats::{Seat, Seats},
};

impl Hub {
    /// Serves the HTTP interface on `listener` until [`shutdown`](Hub::shutdown) begins and open connections are done.
    ///
    /// HTTP/1.1, and HTTP/2 for clients that begin with it ("prior knowledge").
    pub async fn serve(&self, listener: TcpListener) {
        serve(self.clone(), listener, Encryption::None).await;
    }

    /// Serves the HTTP interface over TLS alone: HTTP/2 or HTTP/1.1, as client and hub agree.
    ///
    /// A client that sends a request without TLS gets an answer that says so.
    #[cfg(feature = "tls")]
    pub async fn serve_tls(&self, listener: TcpListener, tls: crate::Tls) {
        serve(self.clone(), listener, Encryption::Tls(tls)).await;
    }
}

/// How long connections have to finish after the hub began to shut down.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(10);

/// How long no connection is accepted after an error, most likely because the system has no file descriptor left. Everything else
/// goes on meanwhile.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Accepts connections until the hub shuts down, then waits for those that are open.
pub(crate) async fn serve(hub: Hub, listener: TcpListener, encryption: Encryption) {
    let (returning, mut returned) = mpsc::unbounded_channel();
    let mut workers = match Workers::start(hub.engine(), &returning) {
        Ok(workers) => workers,
        Err(error) => {
            tracing::error!(%error, "nothing is served: sockets cannot be watched");
            return;
        }
    };
    let (seats, metrics) = (hub.seats(), &hub.engine().metrics);
    let mut connections = Connections::new();
    let mut paused_until = None;
    let shutdown = hub.engine().shutdown_begun();
    tokio::pin!(shutdown);
    loop {
        tokio::select! {
            // Finished tasks make room first: a task keeps its memory until it has been joined.
            biased;
            () = &mut shutdown => break,
            // Before a subscription is given to a loop that has ended.
            restarted = workers.restarted() => if let Err(error) = restarted {
                tracing::error!(%error, "the hub shuts down: there is no delivery loop, and none can be begun");
                hub.engine().begin_shutdown();
            },
            Some(ended) = connections.join_next() => hand_over(&workers, ended.ok().flatten()),
            // A stream has ended, and its connection serves on.
            Some((socket, read, seat)) = returned.recv() => match watched(socket) {
                Ok((socket, peer)) => spawn(&mut connections, seat, http1::serve(hub.clone(), socket, peer, read)),
                Err(error) => tracing::warn!(%error, "a connection ends with its stream: it cannot be watched"),
            },
            accepted = accept(&listener, seats, metrics), if paused_until.is_none() => match accepted {
                Ok((socket, address, seat)) => {
                    let serve = serve_connection(hub.clone(), socket, Peer::new(address), encryption.clone());
                    spawn(&mut connections, seat, serve);
                }
                Err(error) => {
                    metrics.accepting_paused.inc();
                    tracing::warn!(%error, "a connection cannot be accepted");
                    paused_until = Some(Instant::now() + ACCEPT_PAUSE);
                }
            },
            () = sleep_until(paused_until.unwrap_or_else(Instant::now)), if paused_until.is_some() => paused_until = None,
        }
    }
    drop((listener, returned));
    let finish = async {
        while let Some(ended) = connections.join_next().await {
            hand_over(&workers, ended.ok().flatten());
        }
        workers.ended().await;
    };
    if timeout(SHUTDOWN_GRACE, finish).await.is_err() {
        tracing::warn!(after = ?SHUTDOWN_GRACE, "connections were still open at the end of the shutdown");
    }
}

type Connections = JoinSet<Option<Box<(HandedOver, Seat)>>>;

/// The next connection. Cancel safe: a seat that is not used is given back.
async fn accept(
    listener: &TcpListener,
    seats: &Seats,
    metrics: &Metrics,
) -> io::Result<(TcpStream, SocketAddr, Seat)> {
    let seat = seats.take(metrics).await;
    let (socket, address) = listener.accept().await?;
    Ok((socket, address, seat))
}

fn watched(socket: std::net::TcpStream) -> io::Result<(TcpStream, Peer)> {
    let peer = Peer::new(socket.peer_addr()?);
    Ok((TcpStream::from_std(socket)?, peer))
}

/// The task itself stays small, and so does the subscription that waits in it to be handed over. Tasks are aligned to cache
/// lines. When the name of a topic is allocated beside the memory of an ended task, no other task fits there. After a storm of
/// connections, each subscriber would cost the memory of a task.
fn spawn(
    connections: &mut Connections,
    seat: Seat,
    serve: impl Future<Output = Option<HandedOver>> + Send + 'static,
) {
    let serve = Box::pin(async { serve.await.map(|handed_over| Box::new((handed_over, seat))) });
    connections.spawn(serve);
}

/// Gives a subscription that leaves its connection to a delivery loop.
fn hand_over(workers: &Workers, handed_over: Option<Box<(HandedOver, Seat)>>) {
    let Some((HandedOver { socket, taken, pipelined }, seat)) = handed_over.map(|handed_over| *handed_over)
    else {
        return;
    };
    let join = socket.into_std().map(|socket| Join {
        socket,
        pipelined,
        cursor: taken.cursor,
        keep_alive: taken.keep_alive,
        persistent: taken.persistent,
        seat,
    });
    match join {
        Ok(join) => workers.join(join),
        Err(error) => tracing::debug!(%error, "a subscriber was gone before its stream began"),
    }
}

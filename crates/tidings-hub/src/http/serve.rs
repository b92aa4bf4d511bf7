//! Connections: hyper at the door, delivery loops behind it.

use std::time::Duration;

use tokio::{
    net::{TcpListener, TcpStream},
    sync::mpsc,
    task::JoinSet,
    time::{sleep, timeout},
};

use super::{
    Encryption,
    connection::serve_connection,
    http1::{self, Leaving},
};
use crate::{
    Hub,
    delivery::{Joining, Workers},
};

/// How long connections have to finish once the hub shuts down.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(10);

/// How long to wait before accepting again when the process has no file descriptor left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Accepts connections until the hub shuts down, then waits for those that are open.
pub(crate) async fn serve(hub: Hub, listener: TcpListener, encryption: Encryption) {
    let (door, mut returned) = mpsc::unbounded_channel();
    let workers = match Workers::start(hub.shared(), &door) {
        Ok(workers) => workers,
        Err(error) => {
            tracing::error!(%error, "nothing is served: sockets can't be watched");
            return;
        }
    };
    let mut connections = Connections::new();
    let shutdown = hub.shared().shutdown_begun();
    tokio::pin!(shutdown);
    loop {
        tokio::select! {
            // Who is done makes room before somebody else comes in: a task keeps its memory until it has been looked at.
            biased;
            () = &mut shutdown => break,
            Some(ended) = connections.join_next() => hand_over(&workers, ended.ok().flatten()),
            // A stream has ended, and its connection serves on.
            Some((socket, read)) = returned.recv() => match TcpStream::from_std(socket) {
                Ok(socket) => spawn(&mut connections, http1::serve(hub.clone(), socket, read)),
                Err(error) => tracing::warn!(%error, "a connection ends with its stream: it can't be watched"),
            },
            accepted = listener.accept() => match accepted {
                Ok((socket, _)) => spawn(&mut connections, serve_connection(hub.clone(), socket, encryption.clone())),
                Err(error) => {
                    tracing::warn!(%error, "a connection can't be accepted");
                    sleep(ACCEPT_PAUSE).await;
                }
            },
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

type Connections = JoinSet<Option<Box<Leaving>>>;

/// The task itself stays small, and so does what waits in it to be handed over. Tasks are aligned to cache lines: where one
/// was and a topic's name has come to lie beside it, no other fits, and after a storm of connections as much as a task takes
/// would be lost for each subscriber.
fn spawn(connections: &mut Connections, serve: impl Future<Output = Option<Leaving>> + Send + 'static) {
    let serve = Box::pin(serve);
    connections.spawn(async { serve.await.map(Box::new) });
}

/// Gives a subscription that leaves its connection to a delivery loop.
fn hand_over(workers: &Workers, leaving: Option<Box<Leaving>>) {
    let Some(Leaving { socket, taken, pipelined }) = leaving.map(|leaving| *leaving) else { return };
    let joining = socket.into_std().map(|socket| Joining {
        socket,
        pipelined,
        cursor: taken.cursor,
        keep_alive: taken.keep_alive,
        persistent: taken.persistent,
    });
    match joining {
        Ok(joining) => workers.join(joining),
        Err(error) => tracing::debug!(%error, "a subscriber was gone before its stream began"),
    }
}

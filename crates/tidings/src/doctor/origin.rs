//! `tidings doctor origin`: a server that sends a stream of known timing at every path.

use std::{convert::Infallible, io::Write};

use anyhow::Context;
use http::Request;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tidings_hub::probe::Probes;
use tokio::{net::TcpListener, task::JoinSet};

use crate::{cli::DoctorOrigin, signals::stop_signal};

pub(super) async fn run(flags: DoctorOrigin) -> anyhow::Result<()> {
    let stop = stop_signal()?;
    let listener = TcpListener::bind(flags.listen)
        .await
        .with_context(|| format!("cannot listen on {}", flags.listen))?;
    let address = listener.local_addr().context("the address of the listener is unknown")?;
    // The stand-in must run even if nobody reads this output.
    let _ = writeln!(
        std::io::stderr(),
        "A stream of known timing is at every path of http://{address}\n\
         \x20 Point the proxy at it, and run: tidings doctor http://THE-PROXY/ITS/PATH\n\
         \x20 To see it:                      curl -N http://{address}/"
    );
    tokio::select! {
        () = serve(listener) => Ok(()),
        stopped = stop => stopped,
    }
}

/// Serves until it is dropped. Then its connections end too.
async fn serve(listener: TcpListener) {
    let probes = Probes::default();
    let mut connections = JoinSet::new();
    loop {
        let socket = match listener.accept().await {
            Ok((socket, _)) => socket,
            Err(error) => {
                let _ = writeln!(std::io::stderr(), "cannot accept a connection: {error}");
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
                continue;
            }
        };
        // Each event must be sent immediately.
        let _ = socket.set_nodelay(true);
        let probes = probes.clone();
        connections.spawn(async move {
            let service = service_fn(move |request: Request<Incoming>| {
                let response = probes.answer(&request.into_parts().0);
                async move { Ok::<_, Infallible>(response) }
            });
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .serve_connection(TokioIo::new(socket), service);
            // The client has left, so the error does not matter.
            let _ = connection.await;
        });
        while connections.try_join_next().is_some() {}
    }
}

//! A listener for operators alone: metrics and health, without a credential.

use std::{convert::Infallible, sync::Arc, time::Duration};

use http::{Method, Request, Response};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    task::JoinSet,
    time::{sleep, timeout},
};

use super::http1::HEAD_TIMEOUT;
use crate::{
    Hub,
    http::{
        HubBody, Problem,
        routes::operations::{health, metrics, readiness},
    },
};

/// How many scrapers may be connected; others wait.
const CONNECTIONS: usize = 16;

/// How long a connection may be open. A scraper connects again.
const CONNECTION_TIME: Duration = Duration::from_secs(300);

const PAUSE: Duration = Duration::from_millis(50);

impl Hub {
    /// Serves `/metrics`, `/healthz` and `/readyz` on a listener of their own, until [`shutdown`](Hub::shutdown) begins.
    ///
    /// It asks for no credential, and serves nothing else: the listener is to be one that only the operator reaches.
    pub async fn serve_metrics(&self, listener: TcpListener) {
        let seats = Arc::new(Semaphore::new(CONNECTIONS));
        let mut connections = JoinSet::new();
        let shutdown = self.engine().shutdown_begun();
        tokio::pin!(shutdown);
        loop {
            let accepted = async {
                let seat = seats.clone().acquire_owned().await;
                (seat, listener.accept().await)
            };
            tokio::select! {
                biased;
                () = &mut shutdown => return,
                Some(_) = connections.join_next() => {}
                (seat, accepted) = accepted => match accepted {
                    Ok((socket, _)) => {
                        let hub = self.clone();
                        connections.spawn(async move {
                            let _seat = seat;
                            let _ = timeout(CONNECTION_TIME, serve(hub, socket)).await;
                        });
                    }
                    Err(error) => {
                        tracing::warn!(%error, "a connection for metrics cannot be accepted");
                        sleep(PAUSE).await;
                    }
                },
            }
        }
    }
}

async fn serve(hub: Hub, socket: TcpStream) {
    let answer = service_fn(move |request: Request<Incoming>| {
        let response = answer(&hub, &request).unwrap_or_else(Problem::into_response);
        async move { Ok::<_, Infallible>(response) }
    });
    let mut server = http1::Builder::new();
    let served = server.timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT);
    if let Err(error) = served.serve_connection(TokioIo::new(socket), answer).await {
        tracing::debug!(%error, "a connection for metrics ended early");
    }
}

fn answer(hub: &Hub, request: &Request<Incoming>) -> Result<Response<HubBody>, Problem> {
    let path = request.uri().path();
    match (path, request.method()) {
        ("/metrics" | "/healthz" | "/readyz", method) if !matches!(*method, Method::GET | Method::HEAD) => {
            Err(Problem::method_not_allowed(method, "GET, HEAD"))
        }
        ("/metrics", _) => Ok(metrics(hub)),
        ("/healthz", _) => Ok(health()),
        ("/readyz", _) => readiness(hub.engine()),
        _ => Err(Problem::only_metrics(path)),
    }
}

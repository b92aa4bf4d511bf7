//! Servers that serve a few streams at a time.

use std::{convert::Infallible, pin::pin, sync::Arc};

use http::{Request, Response, StatusCode, request::Parts};
use hyper::{
    body::Incoming,
    server::conn::{http1, http2},
    service::service_fn,
};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tidings_hub::probe::{ProbeBody, Probes};
use tokio::sync::Semaphore;

use crate::{doctor, http2::server, rules};

/// An answer of a server whose streams are not of known timing, as far as it says.
fn anonymous(probes: &Probes, request: &Parts) -> Response<ProbeBody> {
    let mut response = probes.answer(request);
    response.headers_mut().remove("tidings-probe");
    response
}

/// A server with so many threads, each of which serves one connection after the other.
async fn threads(count: usize, answer: fn(&Probes, &Parts) -> Response<ProbeBody>) -> String {
    let (probes, threads) = (Probes::default(), Arc::new(Semaphore::new(count)));
    server(move |socket| {
        let (probes, threads) = (probes.clone(), threads.clone());
        async move {
            let _thread = threads.acquire_owned().await.unwrap();
            let service = service_fn(move |request: Request<Incoming>| {
                let response = answer(&probes, &request.into_parts().0);
                async move { Ok::<_, Infallible>(response) }
            });
            let mut connection = http1::Builder::new();
            connection.keep_alive(false).timer(TokioTimer::new());
            let _ = connection.serve_connection(TokioIo::new(socket), service).await;
        }
    })
    .await
}

#[tokio::test]
async fn a_server_with_few_threads_serves_few_streams() {
    let url = threads(4, anonymous).await;
    let (code, report) = doctor(&[&format!("{url}?events=0&idle=60000")]).await;
    assert_eq!((code, rules(&report)), (Some(1), vec!["few-connections"]), "{report}");
    assert_eq!(report["numbers"]["connections_at_a_time"], "4");
}

#[tokio::test]
async fn a_server_with_few_threads_is_told_by_streams_of_known_timing_too() {
    let url = threads(5, Probes::answer).await;
    let (code, report) = doctor(&[&url]).await;
    assert_eq!((code, rules(&report)), (Some(1), vec!["few-connections"]), "{report}");
    assert_eq!(report["numbers"]["connections_at_a_time"], "5");
}

/// A server over HTTP/2 that announces so many streams, and serves so many of each connection; the others wait, or are
/// refused.
async fn streams(announced: Option<u32>, served: usize, waits: bool) -> String {
    let probes = Probes::default();
    server(move |socket| {
        let (probes, room) = (probes.clone(), Arc::new(Semaphore::new(served)));
        async move {
            let service = service_fn(move |request: Request<Incoming>| {
                let (probes, room) = (probes.clone(), room.clone());
                async move {
                    if waits {
                        // For ever: a served request keeps its place.
                        room.acquire().await.unwrap().forget();
                    } else if let Ok(place) = room.try_acquire() {
                        place.forget();
                    } else {
                        let mut refusal = anonymous(&probes, &request.into_parts().0);
                        *refusal.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
                        return Ok::<_, Infallible>(refusal);
                    }
                    Ok(probes.answer(&request.into_parts().0))
                }
            });
            let mut connection = http2::Builder::new(TokioExecutor::new());
            connection.max_concurrent_streams(announced);
            let _ = pin!(connection.serve_connection(TokioIo::new(socket), service)).await;
        }
    })
    .await
}

#[tokio::test]
async fn streams_that_the_settings_the_service_or_a_refusal_limit_are_counted() {
    let (announced, waiting, refused) =
        tokio::join!(streams(Some(10), 1000, true), streams(None, 20, true), streams(None, 30, false));
    for (url, number) in [(announced, "10"), (waiting, "20"), (refused, "30")] {
        let (code, report) = doctor(&[&url, "--http2"]).await;
        assert_eq!((code, rules(&report)), (Some(0), vec!["few-streams"]), "{report}");
        assert_eq!(report["numbers"]["streams_at_a_time"], number, "{report}");
    }
}

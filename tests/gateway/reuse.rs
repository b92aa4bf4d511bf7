//! One connection to the upstream, for one answer after the other.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::Relaxed},
};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{Request, Response, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

use crate::{
    model::{CHAT, ask, chat, text},
    support::{HubProcess, wire},
};

/// A model server that keeps its connections, and how many it was given.
async fn model() -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let accepted = Arc::new(AtomicUsize::new(0));
    let count = accepted.clone();
    tokio::spawn(async move {
        loop {
            let (socket, _) = listener.accept().await.unwrap();
            count.fetch_add(1, Relaxed);
            let service = service_fn(|request: Request<Incoming>| async {
                request.into_body().collect().await?;
                let answer = Response::builder()
                    .header("content-type", "text/event-stream")
                    .header("transfer-encoding", "chunked");
                Ok::<_, hyper::Error>(answer.body(Full::new(Bytes::from(chat(3)))).unwrap())
            });
            tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(socket), service));
        }
    });
    (url, accepted)
}

#[tokio::test]
async fn a_connection_to_the_upstream_serves_one_answer_after_the_other() {
    let (url, accepted) = model().await;
    let hub = HubProcess::start(&["--upstream", &url]);
    for _ in 0..5 {
        let mut answering = ask(&hub, CHAT).await;
        assert_eq!(text(&answering.stream.rest().await), chat(3));
        // A proxied request reads its answer to the end, too.
        let plain =
            wire::ask(&hub.address, "POST", CHAT, &[("content-type", "application/json")], "{}").await;
        assert_eq!(plain.status(), 200);
    }
    // The end of an answer's framing may come after the client has its text, and meanwhile the next one is asked for.
    assert!(accepted.load(Relaxed) <= 2, "{accepted:?}");
}

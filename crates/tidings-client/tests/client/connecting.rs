//! The time limit for making a connection.

use std::{sync::Arc, time::Duration};

use tidings_client::{Cause, EventSource, HyperTransport, Item};

use crate::{
    server::{Server, nothing},
    trace::chain,
};

/// The reason why the first attempt of a source fails to connect within 100 ms.
async fn attempt(url: &str, transport: HyperTransport) -> String {
    let transport = transport.with_connect_timeout(Duration::from_millis(100));
    let mut source = EventSource::get(url).unwrap().with_transport(Arc::new(transport));
    match source.next().await {
        Some(Ok(Item::Retrying { cause: Cause::Network(error), .. })) => chain(&error),
        other => panic!("{other:?}"),
    }
}

const LATE: &str = "no connection within 100ms";

#[tokio::test]
async fn a_proxy_that_does_not_answer_is_given_up() {
    let proxy = Server::start([nothing().hold()]).await;
    let transport = HyperTransport::new().with_proxy(&proxy.url("")).unwrap();
    let error = attempt("https://hub.example/", transport).await;
    assert_eq!(error, format!("cannot connect to hub.example:443: {LATE}"));
    proxy.all_closed().await;
}

#[cfg(feature = "tls")]
#[tokio::test]
async fn a_server_that_does_not_answer_in_tls_is_given_up() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let trusted = crate::tls::identity("localhost").1.to_vec();
    let transport = HyperTransport::new().with_trusted_certificate(trusted);
    let error = attempt(&format!("https://localhost:{port}/"), transport).await;
    assert_eq!(error, format!("cannot connect to localhost:{port}: {LATE}"));
}

#[tokio::test]
async fn a_response_may_take_longer() {
    let answer = crate::server::stream().send("data: a\n\n");
    let server = Server::start([nothing().wait(Duration::from_millis(300)).then(answer)]).await;
    let transport = HyperTransport::new().with_connect_timeout(Duration::from_millis(100));
    let mut source = EventSource::get(&server.url("/")).unwrap().with_transport(Arc::new(transport));
    assert_eq!(crate::trace::take(&mut source, 2).await, ["opened", "message a"]);
}

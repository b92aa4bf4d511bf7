//! The clients, each as its documentation shows it, and two that look for no events.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;

use eventsource_client::Client;
use futures_util::StreamExt;
use http_body_util::{BodyExt, Empty};
use hyper::Request;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::server::HEAD;
use crate::workloads::{DONE, Workload};

pub(crate) const EVENT_STREAM: &str = "tidings-client, EventStream";
pub(crate) const EVENT_SOURCE: &str = "tidings-client, EventSource";
pub(crate) const REQWEST_EVENTSOURCE: &str = "reqwest-eventsource";
pub(crate) const EVENTSOURCE_CLIENT: &str = "eventsource-client";
pub(crate) const BOUND: &str = "reading the socket (bound)";

/// Something that reads an answer up to its last event.
pub(crate) struct Contender {
    pub(crate) name: &'static str,
    pub(crate) read: for<'w> fn(SocketAddr, &'w Workload) -> Reading<'w>,
}

/// Returns how many events there were, or `None` if it does not look for events.
pub(crate) type Reading<'w> = Pin<Box<dyn Future<Output = Option<usize>> + 'w>>;

pub(crate) fn all() -> Vec<Contender> {
    vec![
        Contender { name: BOUND, read: |address, workload| Box::pin(socket(address, workload)) },
        Contender { name: "hyper, the body alone", read: |address, _| Box::pin(hyper_body(address)) },
        Contender { name: EVENT_STREAM, read: |address, _| Box::pin(event_stream(address)) },
        Contender { name: EVENT_SOURCE, read: |address, _| Box::pin(event_source(address)) },
        Contender { name: REQWEST_EVENTSOURCE, read: |address, _| Box::pin(reqwest_eventsource(address)) },
        Contender { name: EVENTSOURCE_CLIENT, read: |address, _| Box::pin(eventsource_client(address)) },
    ]
}

/// What no client can do without: the bytes, out of the kernel.
async fn socket(address: SocketAddr, workload: &Workload) -> Option<usize> {
    let mut socket = TcpStream::connect(address).await.expect("the server listens");
    socket.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").await.expect("the server reads");
    let mut missing = HEAD.len() + workload.bytes();
    let mut buffer = vec![0; 64 * 1024];
    while missing > 0 {
        missing -= socket.read(&mut buffer).await.expect("the server writes");
    }
    None
}

/// What a client on hyper can't do without: the pieces of the body.
async fn hyper_body(address: SocketAddr) -> Option<usize> {
    let socket = TcpStream::connect(address).await.expect("the server listens");
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(socket)).await.expect("an HTTP connection");
    tokio::spawn(connection);
    let request = Request::get("/").header("host", "localhost").body(Empty::<bytes::Bytes>::new());
    let response = sender.send_request(request.expect("a request")).await.expect("a response");
    let mut body = response.into_body();
    let last = format!("data: {DONE}\n\n");
    loop {
        let frame = body.frame().await.expect("the last event comes").expect("the connection holds");
        if frame.data_ref().is_some_and(|data| data.ends_with(last.as_bytes())) {
            return None;
        }
    }
}

async fn event_stream(address: SocketAddr) -> Option<usize> {
    use tidings_client::{EventStream, Item};

    let mut stream = EventStream::get(&url(address)).expect("a URL");
    let mut events = 0;
    loop {
        if let Item::Event(event) = stream.next().await.expect("the last event comes").expect("no error") {
            events += 1;
            if event.data() == DONE {
                return Some(events);
            }
        }
    }
}

async fn event_source(address: SocketAddr) -> Option<usize> {
    use tidings_client::{EventSource, Item};

    let mut source = EventSource::get(&url(address)).expect("a URL");
    let mut events = 0;
    loop {
        if let Item::Event(event) = source.next().await.expect("the last event comes").expect("no error") {
            events += 1;
            if event.data() == DONE {
                return Some(events);
            }
        }
    }
}

async fn reqwest_eventsource(address: SocketAddr) -> Option<usize> {
    use reqwest_eventsource::{Event, EventSource};

    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    let mut source = EventSource::new(client.get(url(address))).expect("a request without a body");
    let mut events = 0;
    loop {
        if let Event::Message(event) = source.next().await.expect("the last event comes").expect("no error") {
            events += 1;
            if event.data == DONE {
                return Some(events);
            }
        }
    }
}

async fn eventsource_client(address: SocketAddr) -> Option<usize> {
    use eventsource_client::{ClientBuilder, SSE};

    let transport = launchdarkly_sdk_transport::HyperTransport::new().expect("a transport");
    let client = ClientBuilder::for_url(&url(address)).expect("a URL").build_with_transport(transport);
    let mut stream = client.stream();
    let mut events = 0;
    loop {
        if let SSE::Event(event) = stream.next().await.expect("the last event comes").expect("no error") {
            events += 1;
            if event.data == DONE {
                return Some(events);
            }
        }
    }
}

fn url(address: SocketAddr) -> String {
    format!("http://{address}/")
}

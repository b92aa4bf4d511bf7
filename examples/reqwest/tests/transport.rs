#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
//! A source over reqwest, with a server on raw sockets.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::thread::JoinHandle;

use reqwest::{Client, redirect::Policy};
use tidings_client::{Cause, EventSource, EventStream, Item, Request, Transport, TransportError};
use tidings_reqwest_example::ReqwestTransport;

/// Answers one connection after the other, and returns the requests.
fn serve(listener: TcpListener, answers: &'static [&'static str]) -> JoinHandle<Vec<String>> {
    std::thread::spawn(move || {
        let answer = |answer: &&str| {
            let (mut client, _) = listener.accept().unwrap();
            let mut request = vec![0; 4096];
            let read = client.read(&mut request).unwrap();
            client.write_all(format!("HTTP/1.1 {answer}").as_bytes()).unwrap();
            String::from_utf8(request[..read].to_vec()).unwrap()
        };
        answers.iter().map(answer).collect()
    })
}

fn transport() -> Arc<dyn Transport> {
    Arc::new(ReqwestTransport(Client::builder().no_proxy().redirect(Policy::none()).build().unwrap()))
}

#[tokio::test]
async fn a_source_resumes_over_reqwest() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let server = serve(
        listener,
        &[
            "307 Temporary Redirect\r\nLocation: /stream\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
            "200 OK\r\nContent-Type: text/event-stream\r\n\r\nretry: 0\ndata: one\nid: 1\n\n",
            "204 No Content\r\n\r\n",
        ],
    );
    let mut source = EventSource::get(&url).unwrap().with_transport(transport());
    let mut events = Vec::new();
    while let Some(item) = source.next().await {
        if let Item::Event(event) = item.unwrap() {
            events.push(event.into_data());
        }
    }
    assert_eq!(events, ["one"]);
    let requests = server.join().unwrap();
    assert!(requests[1].starts_with("GET /stream "), "{}", requests[1]);
    assert!(requests[2].contains("last-event-id: 1\r\n"), "{}", requests[2]);
}

#[tokio::test]
async fn a_body_is_sent_with_its_length() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let server = serve(listener, &["204 No Content\r\n\r\n"]);
    let request = Request::post(&url).unwrap().with_body("a question");
    let mut stream = EventStream::new(request).with_transport(transport());
    assert!(stream.next().await.is_none());
    let request = &server.join().unwrap()[0];
    assert!(request.contains("content-length: 10\r\n"), "{request}");
}

#[tokio::test]
async fn a_server_that_is_not_there_is_a_failed_connection() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut source = EventSource::get(&format!("http://{free}/")).unwrap().with_transport(transport());
    let item = source.next().await.unwrap().unwrap();
    assert!(
        matches!(item, Item::Retrying { cause: Cause::Network(TransportError::Connect { .. }), .. }),
        "{item:?}"
    );
}

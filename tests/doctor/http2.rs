//! HTTP/2, in the clear.

use std::convert::Infallible;

use hyper::{Request, body::Incoming, server::conn::http2, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tidings_hub::probe::Probes;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use crate::{doctor, rules};

/// A server that does `serve` with each connection, until the test ends.
pub(crate) async fn server<F>(serve: impl Fn(TcpStream) -> F + Send + 'static) -> String
where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (socket, _) = listener.accept().await.unwrap();
            socket.set_nodelay(true).unwrap();
            tokio::spawn(serve(socket));
        }
    });
    format!("http://{address}/events")
}

#[tokio::test]
async fn a_clean_stream_over_http2_has_no_finding() {
    let probes = Probes::default();
    let url = server(move |socket| {
        let probes = probes.clone();
        async move {
            let service = service_fn(move |request: Request<Incoming>| {
                let response = probes.answer(&request.into_parts().0);
                async move { Ok::<_, Infallible>(response) }
            });
            let _ = http2::Builder::new(TokioExecutor::new())
                .serve_connection(TokioIo::new(socket), service)
                .await;
        }
    })
    .await;
    let (code, report) = doctor(&[&url, "--http2"]).await;
    assert_eq!((code, rules(&report)), (Some(0), vec![]), "{report}");
    assert_eq!(report["numbers"]["protocol"], "HTTP/2");
    assert!(report["numbers"]["max_concurrent_streams"].as_u64().unwrap() >= 100, "{report}");
    assert_eq!(report["numbers"]["streams_at_a_time"], "120+");
}

#[tokio::test]
async fn a_connection_header_over_http2_is_found_in_the_bytes() {
    let url = server(|mut socket| async move {
        // An empty SETTINGS frame, then for stream 1 the head: status 200, and connection: close as a literal.
        let mut head = vec![0x88, 0x00, 10];
        head.extend(b"connection\x05close");
        let mut bytes = vec![0, 0, 0, 4, 0, 0, 0, 0, 0];
        bytes.extend([0, 0, u8::try_from(head.len()).unwrap(), 1, 4, 0, 0, 0, 1]);
        bytes.extend(head);
        let mut request = Vec::new();
        while !has_headers(&request) {
            if socket.read_buf(&mut request).await.unwrap_or_default() == 0 {
                return;
            }
        }
        let _ = socket.write_all(&bytes).await;
        while socket.read(&mut [0; 1024]).await.is_ok_and(|count| count > 0) {}
    })
    .await;
    let (code, report) = doctor(&[&url, "--http2"]).await;
    assert_eq!((code, rules(&report)), (Some(1), vec!["forbidden-header"]), "{report}");
}

/// Whether a HEADERS frame has come after the client's preface: it may not be answered before it is asked.
fn has_headers(received: &[u8]) -> bool {
    let mut frames = received.get(24..).unwrap_or_default();
    while let Some((head, rest)) = frames.split_at_checked(9) {
        if head[3] == 1 {
            return true;
        }
        let length = usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
        frames = rest.get(length..).unwrap_or_default();
    }
    false
}

//! HTTP/2, many requests on one connection.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::{
    Request, Response,
    body::{Frame, Incoming},
    client::conn::http2::{self, SendRequest},
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    task::JoinHandle,
    time::timeout,
};

use super::{
    Body, full,
    tls::Certificate,
    way::way,
    wire::{Headers, PATIENCE},
};

/// A connection, to be asked many things at once.
pub struct Http2 {
    sender: SendRequest<Body>,
    address: String,
    /// Ends with the connection.
    pub connection: JoinHandle<hyper::Result<()>>,
}

impl Http2 {
    pub async fn connect(address: &str) -> Http2 {
        Http2::with(address, &mut http2::Builder::new(TokioExecutor::new())).await
    }

    /// The same with settings of one's own.
    pub async fn with(address: &str, builder: &mut http2::Builder<TokioExecutor>) -> Http2 {
        if way().is_encrypted() {
            let stream = Certificate::of_all().connect(address, "h2").await.expect("the hub listens");
            return Http2::over(stream, address, builder).await;
        }
        Http2::over(TcpStream::connect(address).await.expect("the hub listens"), address, builder).await
    }

    async fn over<S>(stream: S, address: &str, builder: &mut http2::Builder<TokioExecutor>) -> Http2
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let (sender, connection) = builder.handshake(TokioIo::new(stream)).await.expect("it speaks HTTP/2");
        Http2 { sender, address: address.to_owned(), connection: tokio::spawn(connection) }
    }

    /// Names another host in what is asked from now on.
    pub fn name(&mut self, authority: &str) {
        authority.clone_into(&mut self.address);
    }

    /// Begins a request whose body is sent by and by; its answer comes when it comes.
    pub async fn begin(
        &mut self,
        method: &str,
        target: &str,
        headers: Headers<'_>,
    ) -> (Publish, JoinHandle<hyper::Result<Response<Incoming>>>) {
        let mut request = Request::builder().method(method).uri(format!("http://{}{target}", self.address));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (pieces, body) = tokio::sync::mpsc::channel(1);
        let request = request.body(Pieces(body).boxed()).expect("a valid request");
        self.sender.ready().await.expect("the connection is open");
        (Publish(pieces), tokio::spawn(self.sender.send_request(request)))
    }

    /// Waits until the hub has what was sent before.
    pub async fn flushed(&mut self) {
        assert_eq!(self.ask("GET", "/healthz", "").await.0, 200);
    }

    pub async fn send(
        &mut self,
        method: &str,
        target: &str,
        headers: Headers<'_>,
        body: impl Into<Bytes>,
    ) -> hyper::Result<Response<Incoming>> {
        let mut request = Request::builder().method(method).uri(format!("http://{}{target}", self.address));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.sender.ready().await?;
        self.sender.send_request(request.body(full(body)).expect("a valid request")).await
    }

    /// The status and the whole body of an answer.
    pub async fn ask(&mut self, method: &str, target: &str, body: &'static str) -> (u16, String) {
        let response = self.send(method, target, &[], body).await.expect("the hub answers");
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.expect("the answer is whole").to_bytes();
        (status, String::from_utf8(body.into()).expect("answers are text"))
    }

    /// Subscribes; the head and the stream.
    pub async fn subscribe(&mut self, target: &str, headers: Headers<'_>) -> Stream2 {
        let response = timeout(PATIENCE, self.send("GET", target, headers, "")).await;
        let response = response.expect("the hub is silent").expect("the hub answers");
        assert_eq!(response.status(), 200, "{response:?}");
        let (head, body) = response.into_parts();
        Stream2 { head, body, unread: BytesMut::new() }
    }
}

/// A body that is still being sent; dropping it with the answer resets its stream.
pub struct Publish(tokio::sync::mpsc::Sender<Bytes>);

impl Publish {
    pub async fn send(&mut self, piece: impl Into<Bytes>) {
        self.0.send(piece.into()).await.expect("the hub reads on");
        // The place is free again when the piece was taken.
        drop(self.0.reserve().await.expect("the hub reads on"));
    }
}

struct Pieces(tokio::sync::mpsc::Receiver<Bytes>);

impl hyper::body::Body for Pieces {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        // Without its sender it is cut, not complete: the test drops the request as well.
        match self.0.poll_recv(context) {
            Poll::Ready(Some(piece)) => Poll::Ready(Some(Ok(Frame::data(piece)))),
            Poll::Ready(None) | Poll::Pending => Poll::Pending,
        }
    }
}

/// One stream of many on a connection.
pub struct Stream2 {
    pub head: hyper::http::response::Parts,
    pub body: Incoming,
    unread: BytesMut,
}

impl Stream2 {
    /// The next bytes up to `end` and with it, or `None` if the stream ends before.
    pub async fn until(&mut self, end: &str) -> Option<String> {
        loop {
            if let Some(piece) = super::wire::split_after(&mut self.unread, end.as_bytes()) {
                return Some(String::from_utf8(piece.into()).expect("a stream is UTF-8"));
            }
            let piece = self.piece().await?;
            self.unread.extend_from_slice(&piece);
        }
    }

    /// The next DATA frame, or `None` at the end.
    pub async fn piece(&mut self) -> Option<Bytes> {
        let frame = timeout(PATIENCE, self.body.frame()).await.expect("the hub is silent")?;
        Some(frame.expect("the stream ends cleanly").into_data().expect("there are no trailers"))
    }

    /// The next block, or how the stream broke; `None` at its clean end.
    pub async fn next_event(&mut self) -> Option<hyper::Result<String>> {
        loop {
            if let Some(piece) = super::wire::split_after(&mut self.unread, b"\n\n") {
                return Some(Ok(String::from_utf8(piece.into()).expect("a stream is UTF-8")));
            }
            match timeout(PATIENCE, self.body.frame()).await.expect("the hub is silent")? {
                Ok(frame) => {
                    self.unread.extend_from_slice(&frame.into_data().expect("there are no trailers"));
                }
                Err(error) => return Some(Err(error)),
            }
        }
    }

    /// All that still comes before the end.
    pub async fn rest(&mut self) -> String {
        while let Some(piece) = self.piece().await {
            self.unread.extend_from_slice(&piece);
        }
        String::from_utf8(std::mem::take(&mut self.unread).into()).expect("a stream is UTF-8")
    }
}

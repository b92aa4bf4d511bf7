//! A connection over which requests are sent.

use std::{future::Future, pin::Pin};

use bytes::Bytes;
use http::{Request, Response, Version, header};
use http_body_util::Full;
use hyper::{
    body::Incoming,
    client::conn::{http1, http2},
};
use hyper_util::rt::{TokioExecutor, TokioIo};

use super::{Ask, Error, connect::Connected};
use crate::cmd::doctor::observation::Protocol;

/// Dropped, it is closed.
pub(super) struct Line {
    sender: Sender,
    _driver: Driver,
}

/// Over HTTP/2 it has to live as long as the answers: without it the connection says good-bye.
enum Sender {
    Http1(http1::SendRequest<Full<Bytes>>),
    Http2(http2::SendRequest<Full<Bytes>>),
}

/// The answer to a request that was sent, to be waited for.
pub(super) type Answer = Pin<Box<dyn Future<Output = hyper::Result<Response<Incoming>>> + Send>>;

impl Line {
    pub(super) async fn open(connected: Connected) -> Result<Line, Error> {
        let io = TokioIo::new(connected.io);
        Ok(match connected.protocol {
            Protocol::Http1 => {
                let (sender, connection) = http1::handshake(io).await?;
                Line { sender: Sender::Http1(sender), _driver: Driver::of(connection) }
            }
            Protocol::Http2 => {
                let (sender, connection) = http2::handshake(TokioExecutor::new(), io).await?;
                Line { sender: Sender::Http2(sender), _driver: Driver::of(connection) }
            }
        })
    }

    /// Sends a request. Over HTTP/2 there may be more before it is answered.
    pub(super) fn send(&mut self, ask: &Ask) -> Result<Answer, Error> {
        Ok(match &mut self.sender {
            Sender::Http1(sender) => Box::pin(sender.send_request(request(ask, Protocol::Http1)?)),
            Sender::Http2(sender) => Box::pin(sender.send_request(request(ask, Protocol::Http2)?)),
        })
    }
}

fn request(ask: &Ask, protocol: Protocol) -> Result<Request<Full<Bytes>>, Error> {
    let mut request = Request::new(Full::new(ask.body.clone()));
    *request.method_mut() = ask.method.clone();
    *request.headers_mut() = ask.headers.clone();
    match protocol {
        Protocol::Http1 => {
            let authority = ask.url.authority().ok_or("the URL names no host")?.as_str();
            if !ask.headers.contains_key(header::HOST) {
                request.headers_mut().insert(header::HOST, authority.parse()?);
            }
            *request.uri_mut() = ask.url.path_and_query().map_or("/", |path| path.as_str()).parse()?;
        }
        Protocol::Http2 => {
            *request.version_mut() = Version::HTTP_2;
            request.headers_mut().remove(header::HOST);
            *request.uri_mut() = ask.url.clone();
        }
    }
    Ok(request)
}

/// The task that drives a connection; it ends with the line.
struct Driver(tokio::task::JoinHandle<()>);

impl Driver {
    fn of(connection: impl Future<Output: Send> + Send + 'static) -> Driver {
        Driver(tokio::spawn(async move { drop(connection.await) }))
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        self.0.abort();
    }
}

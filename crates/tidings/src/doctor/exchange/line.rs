//! A connection that sends requests.

use std::{
    future::{Future, poll_fn},
    pin::Pin,
};

use bytes::Bytes;
use http::{Request, Response, Version, header};
use http_body_util::{BodyExt, Full, combinators::UnsyncBoxBody};
use hyper::{
    body::Incoming,
    client::conn::{http1, http2},
};
use hyper_util::rt::{TokioExecutor, TokioIo};

use super::{
    Ask, Error,
    connect::{Connected, Transport},
    quic::QuicBody,
};
use crate::doctor::observation::Protocol;

/// How many header fields a response may have, as in tidings-client. Every other breach of the rules of HTTP is a
/// finding, even if browsers and the client forgive some of them.
const MAX_FIELDS: usize = 4096;

/// One connection. Dropping it closes it.
pub(super) struct Line {
    sender: Sender,
    _driver: Driver,
}

/// The sending side. Over HTTP/2 it must live as long as the responses: without it the connection says goodbye.
enum Sender {
    Http1(http1::SendRequest<Full<Bytes>>),
    Http2(http2::SendRequest<Full<Bytes>>),
    Http3(h3::client::SendRequest<h3_quinn::OpenStreams, Bytes>),
}

/// The response to a request that was sent.
pub(super) type Answer = Pin<Box<dyn Future<Output = Result<Response<AnswerBody>, Error>> + Send>>;

/// The body of a response, over any version of HTTP.
pub(super) type AnswerBody = UnsyncBoxBody<Bytes, Error>;

impl Line {
    pub(super) async fn open(connected: Connected) -> Result<Line, Error> {
        let (sender, _driver) = match (connected.transport, connected.protocol) {
            (Transport::Quic(connection), _) => {
                let (mut connection, sender) = h3::client::new(h3_quinn::Connection::new(connection)).await?;
                let closed = async move { poll_fn(|context| connection.poll_close(context)).await };
                (Sender::Http3(sender), Driver::of(closed))
            }
            (Transport::Tcp(io), Protocol::Http2) => {
                let (sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(io)).await?;
                (Sender::Http2(sender), Driver::of(connection))
            }
            (Transport::Tcp(io), _) => {
                let (sender, connection) =
                    http1::Builder::new().max_headers(MAX_FIELDS).handshake(TokioIo::new(io)).await?;
                (Sender::Http1(sender), Driver::of(connection))
            }
        };
        Ok(Line { sender, _driver })
    }

    /// Sends a request. Over HTTP/2 and HTTP/3 you may send more before the first is answered.
    pub(super) fn send(&mut self, ask: &Ask) -> Result<Answer, Error> {
        Ok(match &mut self.sender {
            Sender::Http1(sender) => answer(sender.send_request(request(ask, Protocol::Http1)?)),
            Sender::Http2(sender) => answer(sender.send_request(request(ask, Protocol::Http2)?)),
            Sender::Http3(sender) => {
                let (mut sender, (head, _)) = (sender.clone(), request(ask, Protocol::Http3)?.into_parts());
                let body = ask.body.clone();
                Box::pin(async move {
                    let mut stream = sender.send_request(Request::from_parts(head, ())).await?;
                    if !body.is_empty() {
                        stream.send_data(body).await?;
                    }
                    stream.finish().await?;
                    let response = stream.recv_response().await?;
                    Ok(response.map(|()| QuicBody(stream).boxed_unsync()))
                })
            }
        })
    }
}

fn answer(sent: impl Future<Output = hyper::Result<Response<Incoming>>> + Send + 'static) -> Answer {
    Box::pin(async { Ok(sent.await?.map(|body| body.map_err(Error::from).boxed_unsync())) })
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
        Protocol::Http2 | Protocol::Http3 => {
            *request.version_mut() = Version::HTTP_2;
            request.headers_mut().remove(header::HOST);
            *request.uri_mut() = ask.url.clone();
        }
    }
    Ok(request)
}

/// The task that drives a connection. It ends when this is dropped.
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

//! HTTP/1.1 by hyper, over a connection of its own for each request.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{HeaderValue, Request, Response, Uri, header::HOST, uri::PathAndQuery};
use http_body::{Body, Frame, SizeHint};
use hyper::{body::Incoming, client::conn::http1};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};

use crate::{
    body::{RequestBody, ResponseBody},
    error::TransportError,
    transport::{Sending, Transport},
};

/// The transport that is used unless another one is given: hyper over TCP.
///
/// Each request has a connection of its own. A stream occupies its connection for as long as it lives, so a pool would
/// have nothing to reuse, and a connection whose peer is gone is never tried again.
///
/// It spawns no tasks: the connection is driven by whoever awaits the response or reads its body, and is closed the
/// moment that either is dropped.
#[derive(Clone, Debug, Default)]
pub struct HyperTransport {
    #[cfg(feature = "tls")]
    tls: super::tls::Tls,
}

impl HyperTransport {
    /// A transport for `http` URLs, and with the feature `tls` (on by default) for `https` ones.
    ///
    /// It trusts the certificates that the operating system trusts, or those in the file that the environment variable
    /// `SSL_CERT_FILE` names.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Also trusts this certificate, in DER: that of a private authority, or of one server.
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn with_trusted_certificate(mut self, der: Vec<u8>) -> Self {
        self.tls.trust(der);
        self
    }
}

impl Transport for HyperTransport {
    fn send(&self, request: Request<RequestBody>) -> Sending {
        let transport = self.clone();
        Box::pin(async move { transport.exchange(request).await })
    }
}

impl HyperTransport {
    async fn exchange(self, request: Request<RequestBody>) -> Result<Response<ResponseBody>, TransportError> {
        let address = Address::of(request.uri())?;
        let failed = |source| TransportError::Connect { authority: address.authority(), source };
        let stream =
            TcpStream::connect((address.host, address.port)).await.map_err(|error| failed(error.into()))?;
        // Without it, the second small piece of a published stream waits for the first one's acknowledgement. An error
        // costs only that delay.
        let _ = stream.set_nodelay(true);
        #[cfg(feature = "tls")]
        if address.is_secure {
            let stream = self.tls.connect(address.host, stream).await.map_err(failed)?;
            return converse(stream, request).await;
        }
        converse(stream, request).await
    }
}

async fn converse<S>(
    stream: S,
    request: Request<RequestBody>,
) -> Result<Response<ResponseBody>, TransportError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) =
        http1::handshake(TokioIo::new(stream)).await.map_err(TransportError::broken)?;
    let mut connection = Driver(Some(Box::pin(connection)));
    let mut response = std::pin::pin!(sender.send_request(origin_form(request)?));
    let response = std::future::poll_fn(|cx| {
        connection.poll(cx);
        response.as_mut().poll(cx)
    })
    .await
    .map_err(TransportError::broken)?;
    Ok(response.map(|incoming| ResponseBody::new(Driven { incoming, connection })))
}

/// Where to connect to.
struct Address<'a> {
    host: &'a str,
    port: u16,
    #[cfg(feature = "tls")]
    is_secure: bool,
}

impl<'a> Address<'a> {
    fn of(url: &'a Uri) -> Result<Self, TransportError> {
        let unsupported = |reason| TransportError::Unsupported { url: url.clone(), reason };
        let default_port = match url.scheme_str() {
            Some("http") => 80,
            Some("https") if cfg!(feature = "tls") => 443,
            Some("https") => return Err(unsupported("this build has no TLS")),
            _ => return Err(unsupported("its scheme is neither `http` nor `https`")),
        };
        let host = url.host().ok_or_else(|| unsupported("it names no host"))?;
        // An IPv6 address is in brackets in a URL, and without them everywhere else.
        let host = host.trim_start_matches('[').trim_end_matches(']');
        Ok(Self {
            host,
            port: url.port_u16().unwrap_or(default_port),
            #[cfg(feature = "tls")]
            is_secure: default_port == 443,
        })
    }

    fn authority(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }
}

/// Turns the absolute URL into a path and a `Host` header, as HTTP/1.1 wants it.
fn origin_form(mut request: Request<RequestBody>) -> Result<Request<RequestBody>, TransportError> {
    let url = std::mem::take(request.uri_mut());
    if !request.headers().contains_key(HOST) {
        let authority = url.authority().map_or("", http::uri::Authority::as_str);
        // User information is not the server's business.
        let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
        let host = HeaderValue::try_from(host).map_err(TransportError::broken)?;
        request.headers_mut().insert(HOST, host);
    }
    *request.uri_mut() = url.path_and_query().cloned().unwrap_or(PathAndQuery::from_static("/")).into();
    Ok(request)
}

/// A connection that is polled together with what is read from it. `None` when it is done.
struct Driver(Option<Pin<Box<dyn Future<Output = hyper::Result<()>> + Send>>>);

impl Driver {
    /// Reads and writes what is possible now. What goes wrong is reported by the response or its body.
    fn poll(&mut self, cx: &mut Context<'_>) {
        if let Some(connection) = &mut self.0 {
            if connection.as_mut().poll(cx).is_ready() {
                self.0 = None;
            }
        }
    }
}

/// A body that moves its own connection.
struct Driven {
    incoming: Incoming,
    connection: Driver,
}

impl Body for Driven {
    type Data = Bytes;
    type Error = TransportError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, TransportError>>> {
        let this = &mut *self;
        let mut frame = Pin::new(&mut this.incoming).poll_frame(cx);
        if frame.is_pending() {
            this.connection.poll(cx);
            frame = Pin::new(&mut this.incoming).poll_frame(cx);
        }
        frame.map_err(TransportError::broken)
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}

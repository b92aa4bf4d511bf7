//! Transports: they carry a request to its server.

mod address;
mod connect;
mod driven;
mod http1;
#[cfg(feature = "http2")]
mod http2;
mod hyper;
mod no_proxy;
mod pool;
mod protocol;
mod proxy;
mod tcp;
#[cfg(feature = "tls")]
mod tls;
mod tunnel;

use std::{fmt, future::Future, pin::Pin};

use http::{Request, Response};

pub(crate) use self::address::has_valid_port;
pub use self::hyper::HyperTransport;
use crate::{
    body::{RequestBody, ResponseBody},
    error::TransportError,
};

/// Sends one request and returns the head of its response as soon as it arrives.
///
/// A source holds its transport in an `Arc` and calls it once per attempt and redirect. An implementation
///
/// - does not follow redirects, decode events or retry: the source does;
/// - returns a body that yields bytes as they arrive;
/// - ends the connection at once when the future or the body is dropped, and leaves no running task.
///
/// The URL of the request is absolute. Its headers are complete, except for `Host` and the framing of the body.
pub trait Transport: Send + Sync + fmt::Debug + 'static {
    /// Sends a request.
    ///
    /// # Errors
    ///
    /// [`TransportError::Connect`] only if the server cannot have seen any of the request, because the source then
    /// sends the request again, even if its method is not idempotent. [`TransportError::Unsupported`] and
    /// [`TransportError::Proxy`] if no further attempt can succeed. [`TransportError::Broken`] in all other cases.
    fn send(&self, request: Request<RequestBody>) -> Sending;
}

/// An exchange over any kind of bytes, without a network.
#[cfg(feature = "fuzzing")]
pub(crate) fn exchange_over<C>(connection: C, request: Request<RequestBody>) -> Sending
where
    C: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    Box::pin(http1::exchange(Box::new(connection), request, None, None))
}

/// A request that is being sent: the future of [`Transport::send`].
pub type Sending = Pin<Box<dyn Future<Output = Result<Response<ResponseBody>, TransportError>> + Send>>;

//! A [`Transport`] over reqwest, for programs whose proxies, certificates and pools are set up in a `reqwest::Client`.

use http_body::Body as _;
use http_body_util::{BodyDataStream, BodyExt};
use reqwest::{Body, Client, Request};
use tidings_client::{RequestBody, ResponseBody, Sending, Transport, TransportError};

/// Sends requests through a [`reqwest::Client`].
///
/// Build the client with [`Policy::none()`](reqwest::redirect::Policy::none), because sources follow redirects by the
/// rules of event streams. Set no total [`timeout`](reqwest::ClientBuilder::timeout), because a stream does not end.
#[derive(Clone, Debug)]
pub struct ReqwestTransport(pub Client);

impl Transport for ReqwestTransport {
    fn send(&self, request: http::Request<RequestBody>) -> Sending {
        let client = self.0.clone();
        let authority = request.uri().authority().map_or_else(String::new, ToString::to_string);
        Box::pin(async move {
            let (head, body) = request.into_parts();
            let body = match body.size_hint().exact() {
                // The body is sent with its length, because some servers require it.
                Some(_) => body.collect().await.map_err(TransportError::broken)?.to_bytes().into(),
                None => Body::wrap_stream(BodyDataStream::new(body)),
            };
            let request =
                Request::try_from(http::Request::from_parts(head, body)).map_err(TransportError::broken)?;
            let response = client.execute(request).await.map_err(|error| {
                if error.is_connect() {
                    TransportError::Connect { authority, source: error.into() }
                } else {
                    TransportError::broken(error)
                }
            })?;
            let response = http::Response::<Body>::from(response);
            Ok(response.map(|body| ResponseBody::new(body.map_err(TransportError::broken))))
        })
    }
}

/// Compiles the code of the document.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/from-reqwest-eventsource.md")]
struct FromReqwestEventsource;

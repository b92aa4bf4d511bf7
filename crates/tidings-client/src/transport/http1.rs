//! HTTP/1.1: one request at a time on a connection.

use http::{
    HeaderValue, Request, Response,
    header::{HOST, PROXY_AUTHORIZATION},
    uri::PathAndQuery,
};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;

use crate::{
    body::{RequestBody, ResponseBody},
    error::TransportError,
    transport::{
        connect::Io,
        driven::Driver,
        pool::{Home, Idle},
        proxy::Proxy,
    },
};

/// How many header fields a response may have. hyper bounds its whole head at 408 KiB.
const MAX_FIELDS: usize = 4096;

/// Accepts the same responses as browsers and curl: with a folded line, a space before the colon, a line that is not a
/// field, or many fields. Refusing such a head would exclude servers that work with every other client.
pub(super) fn builder() -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        .allow_obsolete_multiline_headers_in_responses(true)
        .allow_spaces_after_header_name_in_responses(true)
        .ignore_invalid_headers_in_responses(true)
        .max_headers(MAX_FIELDS);
    builder
}

/// Sends a request with an absolute URL, and returns the response. With `passed_on_by`, a proxy answers for the server.
/// With `home`, the connection goes there when the response has been read to its end.
pub(super) async fn exchange(
    io: Io,
    request: Request<RequestBody>,
    passed_on_by: Option<&Proxy>,
    home: Option<Home>,
) -> Result<Response<ResponseBody>, TransportError> {
    let request = match passed_on_by {
        Some(proxy) => absolute_form(request, proxy)?,
        None => origin_form(request)?,
    };
    let (mut sender, connection) =
        builder().handshake(TokioIo::new(io)).await.map_err(TransportError::broken)?;
    let mut driver = Driver::new(connection);
    let response = driver.wait_for(sender.send_request(request)).await.map_err(TransportError::broken)?;
    Ok(driver.body_of(response, home.map(|home| (home, sender))))
}

/// The result of a request on a connection that was kept.
pub(super) enum Reused {
    Answered(Response<ResponseBody>),
    /// The server had closed the connection, so it has seen nothing of the request.
    Unsent(Request<RequestBody>),
}

/// Sends a request on a connection that was kept.
pub(super) async fn exchange_again(
    idle: Idle,
    request: Request<RequestBody>,
    home: Home,
) -> Result<Reused, TransportError> {
    let Idle { mut sender, mut driver } = idle;
    let url = request.uri().clone();
    match driver.wait_for(sender.try_send_request(origin_form(request)?)).await {
        Ok(response) => Ok(Reused::Answered(driver.body_of(response, Some((home, sender))))),
        Err(mut error) => match error.take_message() {
            Some(mut request) => {
                *request.uri_mut() = url;
                Ok(Reused::Unsent(request))
            }
            None => Err(TransportError::broken(error.into_error())),
        },
    }
}

/// Turns the absolute URL into a path and a `Host` header. Source: RFC 9112, "origin-form".
fn origin_form(mut request: Request<RequestBody>) -> Result<Request<RequestBody>, TransportError> {
    name_host(&mut request)?;
    let url = std::mem::take(request.uri_mut());
    *request.uri_mut() = url.path_and_query().cloned().unwrap_or(PathAndQuery::from_static("/")).into();
    Ok(request)
}

/// Keeps the absolute URL, which the proxy reads. Source: RFC 9112, "absolute-form".
fn absolute_form(
    mut request: Request<RequestBody>,
    proxy: &Proxy,
) -> Result<Request<RequestBody>, TransportError> {
    name_host(&mut request)?;
    if let Some(authorization) = &proxy.authorization {
        request.headers_mut().entry(PROXY_AUTHORIZATION).or_insert(authorization.clone());
    }
    Ok(request)
}

/// Sets `Host` to the host of the URL, unless the caller has set it.
fn name_host(request: &mut Request<RequestBody>) -> Result<(), TransportError> {
    if !request.headers().contains_key(HOST) {
        let host = request.uri().authority().map_or("", http::uri::Authority::as_str);
        let host = HeaderValue::try_from(host).map_err(TransportError::broken)?;
        request.headers_mut().insert(HOST, host);
    }
    Ok(())
}

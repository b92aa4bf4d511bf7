//! HTTP/1.1: one request on a connection of its own.

use http::{HeaderValue, Request, Response, header::HOST, uri::PathAndQuery};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;

use crate::{
    body::{RequestBody, ResponseBody},
    error::TransportError,
    transport::{connect::Io, driven::Driver},
};

/// Sends a request, whose URL is absolute, and returns what answers it.
pub(super) async fn exchange(
    io: Io,
    request: Request<RequestBody>,
) -> Result<Response<ResponseBody>, TransportError> {
    let (mut sender, connection) =
        http1::handshake(TokioIo::new(io)).await.map_err(TransportError::broken)?;
    Driver::new(connection).response(sender.send_request(origin_form(request)?)).await
}

/// Turns the absolute URL into a path and a `Host` header. Source: RFC 9112, "origin-form".
fn origin_form(mut request: Request<RequestBody>) -> Result<Request<RequestBody>, TransportError> {
    name_host(&mut request)?;
    let url = std::mem::take(request.uri_mut());
    *request.uri_mut() = url.path_and_query().cloned().unwrap_or(PathAndQuery::from_static("/")).into();
    Ok(request)
}

/// Names the host that the URL has, unless the caller names one.
fn name_host(request: &mut Request<RequestBody>) -> Result<(), TransportError> {
    if !request.headers().contains_key(HOST) {
        let authority = request.uri().authority().map_or("", http::uri::Authority::as_str);
        // User information is not the server's business.
        let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
        let host = HeaderValue::try_from(host).map_err(TransportError::broken)?;
        request.headers_mut().insert(HOST, host);
    }
    Ok(())
}

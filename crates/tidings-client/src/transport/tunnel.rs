//! A tunnel through a proxy. Source: RFC 9110, "CONNECT".

use http::{
    HeaderValue, Request,
    header::{HOST, PROXY_AUTHORIZATION},
};
use hyper_util::rt::TokioIo;

use crate::{
    body::RequestBody,
    error::{BoxError, TransportError},
    transport::{address::Address, connect::Io, driven::Driver, http1, proxy::Proxy},
};

/// Asks the proxy at the other end of a connection for a tunnel to a server. After that, the server is at the other
/// end.
pub(super) async fn open(io: Io, proxy: &Proxy, server: &Address<'_>) -> Result<Io, TransportError> {
    // The server has seen nothing of the request yet, so every error here is a failure to connect.
    let failed =
        |error: BoxError| server.unreachable(format!("proxy {proxy} did not open a tunnel: {error}"));
    let request = request(proxy, server).map_err(|error| failed(error.into()))?;
    let (mut sender, connection) =
        http1::builder().handshake(TokioIo::new(io)).await.map_err(|error| failed(error.into()))?;
    let mut connection = Driver::new(connection.with_upgrades());
    let response = connection.wait_for(sender.send_request(request)).await;
    let response = response.map_err(|error| failed(error.into()))?;
    if !response.status().is_success() {
        return Err(proxy.refusal(response.status(), server));
    }
    let tunnel = connection.wait_for(hyper::upgrade::on(response)).await;
    Ok(Box::new(TokioIo::new(tunnel.map_err(|error| failed(error.into()))?)))
}

fn request(proxy: &Proxy, server: &Address<'_>) -> http::Result<Request<RequestBody>> {
    let authority = server.authority();
    let host = HeaderValue::try_from(&authority)?;
    let mut request = Request::connect(authority).header(HOST, host);
    if let Some(authorization) = &proxy.authorization {
        request = request.header(PROXY_AUTHORIZATION, authorization);
    }
    request.body(RequestBody::empty())
}

//! Requests that ask for no stream.

use bytes::{Bytes, BytesMut};
use http::{Method, Response};
use tokio::time::timeout;

use super::{
    ending::Ending,
    failure::Failure,
    live::Gateway,
    request::Asked,
    upstream::{broken, read_into, worth_passing_on},
};
use crate::http::{HangUp, HubBody, Problem};

/// The largest answer that is passed on, in bytes: it is held whole.
const MAX_ANSWER_BYTES: usize = 64 << 20;

/// Passes a request on, and the answer back. A client that leaves ends it.
pub(super) async fn pass_on(
    gateway: &Gateway,
    method: &Method,
    asked: &Asked,
    hang_up: Option<HangUp>,
) -> Result<Response<HubBody>, Problem> {
    let total = gateway.settings.timeouts.total;
    let exchange = timeout(total, exchange(gateway, method.clone(), asked));
    let outcome = match hang_up {
        Some(hang_up) => tokio::select! {
            outcome = exchange => outcome,
            () = hang_up.gone() => return Ok(Response::new(HubBody::empty())),
        },
        None => exchange.await,
    };
    let late =
        |_| Failure::new(Ending::Expired, format!("the answer took longer than {} s", total.as_secs_f32()));
    Ok(outcome.map_err(late).and_then(|answer| answer).unwrap_or_else(|failure| failure.to_response()))
}

async fn exchange(gateway: &Gateway, method: Method, asked: &Asked) -> Result<Response<HubBody>, Failure> {
    let sent = gateway.upstream.send(method, &asked.target, asked.headers.clone(), asked.body.clone());
    let (head, body) = sent.await.map_err(broken)?.into_parts();
    if head.status.is_redirection() {
        let message = format!("the upstream answered {}, and redirects are not followed", head.status);
        return Err(Failure::new(Ending::UpstreamError, message));
    }
    let mut whole = BytesMut::new();
    read_into(&mut whole, body, MAX_ANSWER_BYTES).await?;
    let mut response = Response::new(HubBody::from(Bytes::from(whole)));
    *response.status_mut() = head.status;
    *response.headers_mut() = worth_passing_on(&head.headers);
    Ok(response)
}

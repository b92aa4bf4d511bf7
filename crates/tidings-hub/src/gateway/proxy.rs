//! Requests that do not ask for a stream.

use std::{
    future::Future,
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{HeaderMap, Method, Response, header};
use tidings_client::ResponseBody;
use tokio::time::{Instant, Sleep, sleep_until, timeout_at};

use super::{
    admission::Admitted,
    ending::Ending,
    failure::Failure,
    live::Gateway,
    request::Asked,
    upstream::{broken, headers_for_client},
};
use crate::http::{
    HubBody, Problem,
    body::Pieces,
    disconnect::{Disconnect, DisconnectWatch},
    request_head::text,
};

/// Passes a request on, and the answer back as it arrives. The exchange lives in this future, and then in the body. So it ends
/// when the client leaves, over every version of HTTP.
pub(super) async fn proxy(
    gateway: &Gateway,
    method: &Method,
    asked: Asked,
    disconnect: Option<Disconnect>,
) -> Result<Response<HubBody>, Problem> {
    let Some(mut admitted) = gateway.admission.admit() else {
        return Err(Problem::too_many_streams(gateway.settings.max_streams));
    };
    let total = gateway.settings.timeouts.total;
    let deadline = Instant::now() + total;
    let sent = gateway.upstream.send(method.clone(), &asked.target, asked.headers, asked.body);
    let exchange = timeout_at(deadline, sent);
    let outcome = match &disconnect {
        Some(disconnect) => tokio::select! {
            outcome = exchange => outcome,
            () = disconnect.gone() => return Ok(Response::new(HubBody::empty())),
        },
        None => exchange.await,
    };
    let answer = match outcome {
        Ok(Ok(answer)) => answer,
        Ok(Err(error)) => {
            admitted.over();
            return Ok(broken(error).to_response());
        }
        Err(_) => {
            let message = format!("the answer took longer than {} s", total.as_secs_f32());
            return Ok(Failure::new(Ending::Expired, message).to_response());
        }
    };
    let (head, body) = answer.into_parts();
    if head.status.is_redirection() {
        admitted.over();
        let message = format!("the upstream answered {}, and redirects are not followed", head.status);
        return Ok(Failure::new(Ending::UpstreamError, message).to_response());
    }
    let body = ProxiedBody {
        body,
        left: length(&head.headers),
        deadline: Box::pin(sleep_until(deadline)),
        admitted,
    };
    let watch = disconnect.map(|disconnect| DisconnectWatch::by_write(disconnect, false));
    let mut response = Response::new(HubBody::pieces(body, watch));
    *response.status_mut() = head.status;
    *response.headers_mut() = headers_for_client(&head.headers);
    Ok(response)
}

/// How many bytes an answer has, if its head says so.
fn length(headers: &HeaderMap) -> Option<u64> {
    if headers.contains_key(header::TRANSFER_ENCODING) {
        return None;
    }
    text(headers, header::CONTENT_LENGTH)?.parse().ok()
}

/// An answer on its way. The next piece is read when the client has room for it. So an answer whose client does not read waits at
/// the upstream. Dropping it ends the exchange.
#[derive(Debug)]
struct ProxiedBody {
    body: ResponseBody,
    /// How many bytes are still to come, if that is known.
    left: Option<u64>,
    /// When the answer has taken too long.
    deadline: Pin<Box<Sleep>>,
    /// Until the answer has gone out.
    admitted: Admitted,
}

impl Pieces for ProxiedBody {
    /// The next piece, or `None` at the end.
    ///
    /// # Errors
    /// When the rest does not come: the client must not take its part for the whole.
    fn poll_piece(&mut self, context: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        if self.deadline.as_mut().poll(context).is_ready() {
            let message = "the answer took longer than the gateway's total timeout";
            return Poll::Ready(Some(Err(io::Error::new(io::ErrorKind::TimedOut, message))));
        }
        let piece = match ready!(self.body.poll_chunk(context)) {
            Some(Ok(piece)) => piece,
            Some(Err(error)) => {
                self.admitted.over();
                return Poll::Ready(Some(Err(io::Error::other(broken(error).message))));
            }
            None => {
                self.admitted.over();
                return Poll::Ready(None);
            }
        };
        self.left = self.left.map(|left| left.saturating_sub(piece.len() as u64));
        if self.left == Some(0) {
            // hyper does not ask for more. But only an answer that was read to its end leaves its connection to the next request.
            let _ = self.body.poll_chunk(context);
            self.admitted.over();
        }
        Poll::Ready(Some(Ok(piece)))
    }

    fn left(&self) -> Option<u64> {
        self.left
    }
}

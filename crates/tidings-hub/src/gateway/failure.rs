//! Why there is no answer, or no complete answer.

use bytes::Bytes;
use http::{HeaderMap, Response, StatusCode};

use super::ending::Ending;
use crate::http::{HubBody, Problem};

/// The end of a stream without a complete answer.
#[derive(Debug, Clone)]
pub(crate) struct Failure {
    pub(crate) ending: Ending,
    pub(crate) message: String,
    /// Whether the same request may succeed if it is sent again.
    pub(crate) again: bool,
    /// The answer of the upstream itself, for a client that has no head yet.
    pub(crate) refusal: Option<Box<Refusal>>,
    /// Whether the client has it already, from the upstream, in the stream.
    pub(crate) is_reported: bool,
}

/// An upstream's answer that opens no stream.
#[derive(Debug, Clone)]
pub(crate) struct Refusal {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Failure {
    pub(crate) fn new(ending: Ending, message: impl Into<String>) -> Failure {
        Failure { ending, message: message.into(), again: false, refusal: None, is_reported: false }
    }

    /// The same failure, after which another try may succeed.
    pub(crate) fn again(mut self) -> Failure {
        self.again = true;
        self
    }

    /// The same failure, which the upstream itself has reported in the stream.
    pub(crate) fn reported(mut self) -> Failure {
        self.is_reported = true;
        self
    }

    pub(crate) fn refused(refusal: Refusal) -> Failure {
        let status = refusal.status;
        Failure {
            // A server is overloaded or restarts, or a proxy has no server.
            again: matches!(status.as_u16(), 500 | 502 | 503 | 504 | 529),
            refusal: Some(Box::new(refusal)),
            ..Failure::new(Ending::UpstreamError, format!("the upstream answered {status}"))
        }
    }

    /// The answer for a client that has no head yet: the upstream's own refusal, or the gateway's.
    pub(crate) fn to_response(&self) -> Response<HubBody> {
        match &self.refusal {
            Some(refusal) => {
                let mut response = Response::new(HubBody::from(refusal.body.clone()));
                *response.status_mut() = refusal.status;
                *response.headers_mut() = refusal.headers.clone();
                response
            }
            None => self.to_problem().in_sdk_shape().into_response(),
        }
    }

    fn to_problem(&self) -> Problem {
        match self.ending {
            Ending::Expired => Problem::upstream_timeout(&self.message),
            Ending::GatewayRestart => Problem::shutting_down(),
            Ending::Stopped => Problem::stopped(&self.message),
            Ending::Complete | Ending::Abandoned | Ending::Truncated | Ending::UpstreamError => {
                Problem::upstream_failed(&self.message)
            }
        }
    }
}

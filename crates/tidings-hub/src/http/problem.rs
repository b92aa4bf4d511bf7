//! Refusals: the one place where status codes are decided.

use std::io::ErrorKind;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Response, StatusCode, header};
use serde_json::{Map, Value, json};

use super::HubBody;
use crate::{
    Denial, Grant, Topic,
    attachments::UploadError,
    authorize::{DenialKind, Exceeded, NotReadable, NotRevoked, Quota},
    dialect::{Need, Refusal, RefusalKind},
    log::{Fault, LogError, Refused},
};

/// The rule that refuses a request that has no credential and needs one.
const CREDENTIAL_MISSING: &str = "credential-missing";

/// The rules that refuse a request which needs more than its grant allows.
const PUBLISH_NOT_GRANTED: &str = "publish-not-granted";
const READ_NOT_GRANTED: &str = "read-not-granted";
const TOPIC_RESERVED: &str = "topic-reserved";

const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// After how many seconds a client should come back that goes on although its credential was refused. A browser does not.
const RETRY_AFTER_REFUSAL: u32 = 5;

/// After how many seconds a client should repeat a request that cannot be answered at the moment.
const RETRY_AFTER: u32 = 1;

/// A problem document (RFC 9457): a status, and a detail that a person can act on.
#[derive(Debug)]
pub(crate) struct Problem {
    status: StatusCode,
    detail: String,
    /// Headers that belong to the status.
    headers: Vec<(HeaderName, HeaderValue)>,
    members: Map<String, Value>,
    /// Whether the request's body has not come to its end.
    before_the_end: bool,
}

/// In the extensions of a refusal: more of the request may be on its way.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BeforeTheEnd;

impl Problem {
    fn new(status: StatusCode, detail: impl ToString) -> Problem {
        let problem = Problem {
            status,
            detail: detail.to_string(),
            headers: Vec::new(),
            members: Map::new(),
            before_the_end: false,
        };
        match status {
            StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS => {
                problem.with_header(header::RETRY_AFTER, HeaderValue::from(RETRY_AFTER))
            }
            _ => problem,
        }
    }

    fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Problem {
        self.headers.retain(|(other, _)| *other != name);
        self.headers.push((name, value));
        self
    }

    /// The same problem, for a request whose body has not come to its end.
    pub(super) fn before_the_end(self) -> Problem {
        Problem { before_the_end: true, ..self }
    }

    /// 400: the value breaks a rule; the detail names both.
    pub(crate) fn invalid(detail: impl ToString) -> Problem {
        Problem::new(StatusCode::BAD_REQUEST, detail)
    }

    /// 403: the request is understood, and is not allowed.
    pub(crate) fn forbidden(detail: impl ToString) -> Problem {
        Problem::new(StatusCode::FORBIDDEN, detail)
    }

    /// 403: a page of this kind may not send such a request.
    pub(super) fn origin_not_listed(detail: impl ToString) -> Problem {
        Problem::forbidden(detail).with("rule", "origin-not-listed")
    }

    /// 403: the topic belongs to a part of the hub.
    pub(super) fn topic_reserved(name: &str, instead: &str) -> Problem {
        Problem::forbidden(format!("topic {name:?} is reserved: {instead}")).with("rule", TOPIC_RESERVED)
    }

    /// 401: the request has no token, and needs one.
    pub(crate) fn credential_missing() -> Problem {
        let detail = "the request has no token, and this takes one; send it as Authorization: Bearer TOKEN";
        Denial::unauthenticated(detail).with_rule(CREDENTIAL_MISSING).into()
    }

    /// 403: the request may not publish to this topic.
    pub(crate) fn not_publishable(topic: &Topic, grant: &Grant) -> Problem {
        let may = grant.publishable();
        Problem::forbidden(format!("this request may publish to {may}, not to {:?}", topic.as_str()))
            .with("rule", PUBLISH_NOT_GRANTED)
    }

    /// 403: the access rule does not grant what the request needs.
    pub(crate) fn not_granted(need: Need) -> Problem {
        match need {
            Need::Publish => Problem::forbidden(
                "this request may not publish to any topic; send a credential that allows it, or start the hub with \
                 --anonymous publish",
            )
            .with("rule", PUBLISH_NOT_GRANTED),
            Need::Read => Problem::forbidden(
                "this request may not read any topic; send a credential that allows it, or start the hub with --anonymous \
                 subscribe",
            )
            .with("rule", READ_NOT_GRANTED),
            Need::Right(right) => Problem::forbidden(format!(
                "this request needs the right {0:?}; send a credential that has it (tidings token mint --right {0})",
                right.as_str()
            ))
            .with("rule", "right-missing"),
            Need::Credential => Problem::forbidden(
                "this needs a token or an API key, and a ticket is neither; send the credential that has got the ticket",
            )
            .with("rule", "credential-not-here"),
            Need::Nothing | Need::Token => Problem::forbidden("this request is not allowed"),
        }
    }

    /// 404: nothing is served at the path.
    pub(crate) fn no_such_path(path: &str) -> Problem {
        Problem::new(
            StatusCode::NOT_FOUND,
            format!("nothing is served at {path:?}; topics are below /topics/, as in /topics/news"),
        )
    }

    /// 404: nothing is served at the path of a listener for metrics.
    pub(crate) fn only_metrics(path: &str) -> Problem {
        let detail =
            format!("nothing is served at {path:?}; this address has /metrics, /healthz and /readyz alone");
        Problem::new(StatusCode::NOT_FOUND, detail)
    }

    /// 404: there is no such attachment, or not for this request.
    pub(crate) fn no_such_attachment(id: &str) -> Problem {
        Problem::new(
            StatusCode::NOT_FOUND,
            format!(
                "no attachment has the ID {id:?}; an attachment is removed with the update that announced it"
            ),
        )
    }

    /// 405: the path takes other methods.
    pub(crate) fn method_not_allowed(method: &http::Method, allow: &str) -> Problem {
        let detail = format!("{method} is not allowed here; use one of: {allow}");
        Problem::new(StatusCode::METHOD_NOT_ALLOWED, detail).with_header(
            header::ALLOW,
            HeaderValue::from_str(allow).expect("names of methods are visible ASCII"),
        )
    }

    /// 408: the body paused for too long.
    pub(crate) fn read_timeout(after: std::time::Duration) -> Problem {
        Problem::new(
            StatusCode::REQUEST_TIMEOUT,
            format!(
                "no byte of the body came for {} s; send a comment line (event stream) or an empty line (NDJSON) to keep \
                 a quiet stream open",
                after.as_secs()
            ),
        )
    }

    /// 408: one update took too long to arrive.
    pub(crate) fn update_timeout(after: std::time::Duration) -> Problem {
        Problem::new(
            StatusCode::REQUEST_TIMEOUT,
            format!(
                "an update was not complete {} s after it began (tidings serve --update-timeout); send it in one go, and \
                 publish a link to large content instead",
                after.as_secs()
            ),
        )
    }

    /// 408: a file took too long to arrive.
    pub(crate) fn upload_timeout(after: std::time::Duration) -> Problem {
        Problem::new(
            StatusCode::REQUEST_TIMEOUT,
            format!(
                "the attachment had not arrived {} s after it began (tidings serve --upload-timeout); publish a link to it \
                 instead",
                after.as_secs()
            ),
        )
    }

    /// 415: the body is of a kind that cannot be published.
    pub(crate) fn unsupported_body(detail: impl ToString) -> Problem {
        Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail)
    }

    /// 415: the body has a content coding. RFC 9110, section 15.5.16: the answer says which ones are taken.
    pub(crate) fn unsupported_coding(coding: &str) -> Problem {
        Problem::unsupported_body(format!(
            "Content-Encoding is {coding:?}; send the body without an encoding"
        ))
        .with_header(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"))
    }

    /// 416: the range begins after the end.
    pub(crate) fn unsatisfiable_range(size: u64) -> Problem {
        let detail = format!("the range begins after the end of the attachment, which has {size} bytes");
        let range = HeaderValue::try_from(format!("bytes */{size}")).expect("a number is visible ASCII");
        Problem::new(StatusCode::RANGE_NOT_SATISFIABLE, detail).with_header(header::CONTENT_RANGE, range)
    }

    /// 421: the `Host` does not lead to this hub.
    pub(crate) fn unknown_host(host: &str, is_loopback: bool) -> Problem {
        let (rule, or) = match is_loopback {
            true => (
                "without an access rule this hub only answers to loopback names and to names that are allowed",
                ", or give an access rule (--anonymous)",
            ),
            false => ("this hub only answers to loopback names and to names that are allowed", ""),
        };
        Problem::new(
            StatusCode::MISDIRECTED_REQUEST,
            format!(
                "Host is {host:?}, and {rule}; if the name is meant to lead here, allow it (tidings serve --allow-host \
                 NAME){or}"
            ),
        )
    }

    /// 501: the body has a transfer coding that is not undone.
    pub(crate) fn unknown_transfer_coding(coding: &str) -> Problem {
        let detail = format!("Transfer-Encoding has {coding:?}; the hub takes chunked alone");
        Problem::new(StatusCode::NOT_IMPLEMENTED, detail)
    }

    /// 404: there is no such stream, or no more.
    pub(crate) fn no_such_stream() -> Problem {
        Problem::new(StatusCode::NOT_FOUND, "no such stream is kept; streams are removed with the history")
    }

    /// 413: a request for the upstream is over the limit.
    pub(crate) fn request_too_large(max_bytes: usize) -> Problem {
        Problem::new(StatusCode::PAYLOAD_TOO_LARGE, format!("the request's body is over {max_bytes} bytes"))
    }

    /// 422: an idempotency key came back with another body.
    pub(crate) fn key_reused() -> Problem {
        Problem::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "Idempotency-Key was used with another body; use a new key for each request",
        )
    }

    /// 429: as many requests are with the upstream as may be.
    pub(crate) fn too_many_streams(max_streams: usize) -> Problem {
        Problem::new(
            StatusCode::TOO_MANY_REQUESTS,
            format!(
                "{max_streams} requests are with the upstream, as many as may be (tidings serve --max-streams); try \
                 again in a moment"
            ),
        )
    }

    /// 502: the upstream failed.
    pub(crate) fn upstream_failed(detail: impl ToString) -> Problem {
        Problem::new(StatusCode::BAD_GATEWAY, detail)
    }

    /// 410: a client stopped the stream before its first event. After 409, 429 and 5xx, SDKs would ask again by themselves.
    pub(crate) fn stopped(detail: impl ToString) -> Problem {
        Problem::new(StatusCode::GONE, detail)
    }

    /// 504: the upstream was silent for too long.
    pub(crate) fn upstream_timeout(detail: impl ToString) -> Problem {
        Problem::new(StatusCode::GATEWAY_TIMEOUT, detail)
    }

    /// The same with the members that the SDKs of LLM interfaces read.
    pub(crate) fn in_sdk_shape(self) -> Problem {
        let kind = match self.status {
            StatusCode::UNAUTHORIZED => "authentication_error",
            StatusCode::FORBIDDEN | StatusCode::MISDIRECTED_REQUEST => "permission_error",
            StatusCode::TOO_MANY_REQUESTS => "rate_limit_error",
            StatusCode::GATEWAY_TIMEOUT => "timeout_error",
            status if status.is_client_error() => "invalid_request_error",
            _ => "api_error",
        };
        let error = json!({ "type": kind, "message": self.detail });
        self.with("type", "error").with("error", error)
    }

    /// 404: the hub has no credentials, so nobody gets a ticket and nothing is revoked.
    pub(crate) fn no_credentials() -> Problem {
        let detail = "this hub takes no credentials, so there is nothing to get a ticket with or to revoke; start it with --key-file";
        Problem::new(StatusCode::NOT_FOUND, detail)
    }

    /// 404: no cookie is taken.
    pub(crate) fn no_sessions() -> Problem {
        let detail = "this hub takes no cookies; start it with --cookie __Host-tidings";
        Problem::new(StatusCode::NOT_FOUND, detail)
    }

    /// 404: there is no such revocation.
    pub(crate) fn no_such_revocation(id: &str) -> Problem {
        let detail = format!("no revocation has the ID {id:?}; GET /revocations lists those that hold");
        Problem::new(StatusCode::NOT_FOUND, detail)
    }

    /// 503: the operating system has no randomness.
    pub(crate) fn no_randomness() -> Problem {
        Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "there is no randomness for a ticket; try again in a moment",
        )
    }

    /// The word for the rule that refused, and the number under which the hub's log has the reason.
    pub(super) fn rule(&self) -> Option<(&str, Option<&str>)> {
        let text = |name| self.members.get(name).and_then(Value::as_str);
        Some((text("rule")?, text("request")))
    }

    /// Says which limit is used up, in the fields of RateLimit headers.
    fn with_quota(self, Quota { name, amount, window }: Quota) -> Problem {
        let window = if window == 0 { String::new() } else { format!(";w={window}") };
        let wait = self.headers.iter().find(|(name, _)| name == header::RETRY_AFTER);
        let wait = wait.and_then(|(_, value)| value.to_str().ok()).unwrap_or("1");
        let limit = format!("{name:?};r=0;t={wait}");
        let value = |text: String| HeaderValue::try_from(text).expect("names and numbers are visible ASCII");
        self.with_header(RATE_LIMIT_POLICY, value(format!("{name:?};q={amount}{window}")))
            .with_header(RATE_LIMIT, value(limit))
    }

    /// 503: the hub shuts down.
    pub(crate) fn shutting_down() -> Problem {
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, "the hub is shutting down; try again in a moment")
    }

    /// 503: the memory for bodies that are not complete is spent.
    pub(crate) fn no_room_for_body() -> Problem {
        Problem::no_room(
            "the memory for large bodies that are not complete is spent (tidings serve --body-memory); bodies of up to \
             64 KiB are taken meanwhile",
        )
    }

    /// 503: the memory for answers under way is spent.
    pub(crate) fn no_room_for_answer() -> Problem {
        Problem::no_room(
            "the memory for answers under way is spent (tidings serve --answer-memory); ask again in a moment, or for less: \
             a page that is smaller than 64 KiB needs none",
        )
    }

    /// 503: there is no room, and other requests are about to give some back.
    fn no_room(detail: impl ToString) -> Problem {
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail)
    }

    /// Whether the same request may be answered in a moment.
    ///
    /// The answer to a request for an event stream does not say so by its status: an `EventSource` comes back from a stream that
    /// ends, and from no other status than 200.
    pub(crate) fn may_pass(&self) -> bool {
        self.status == StatusCode::SERVICE_UNAVAILABLE
    }

    /// Adds a member to the document, unless the document has one of this name.
    pub(crate) fn with(mut self, name: &str, value: impl Into<Value>) -> Problem {
        self.members.entry(name).or_insert_with(|| value.into());
        self
    }

    pub(crate) fn into_response(self) -> Response<HubBody> {
        let Problem { status, detail, headers: more, members, before_the_end } = self;
        let mut document = json!({
            "title": status.canonical_reason(),
            "status": status.as_u16(),
            "detail": detail,
        });
        if let Some(document) = document.as_object_mut() {
            document.extend(members);
        }
        let mut response = Response::new(HubBody::from(Bytes::from(format!("{document}\n"))));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.extend(more);
        if before_the_end {
            response.extensions_mut().insert(BeforeTheEnd);
        }
        response
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Problem {
        let status = match refusal.kind {
            RefusalKind::Invalid => StatusCode::BAD_REQUEST,
            RefusalKind::Forbidden => StatusCode::FORBIDDEN,
            RefusalKind::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            RefusalKind::UnsupportedBody => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            RefusalKind::NotAcceptable => StatusCode::NOT_ACCEPTABLE,
        };
        let problem = Problem::new(status, refusal.detail);
        match refusal.line {
            Some(line) => problem.with("line", line),
            None => problem,
        }
    }
}

impl From<Denial> for Problem {
    fn from(denial: Denial) -> Problem {
        let Denial { kind, detail, rule, request, quota } = denial;
        let problem = match kind {
            // RFC 9110, section 15.5.2: the answer names a way to authenticate. RFC 6750, section 3.1: and whether a token was wrong.
            DenialKind::Unauthenticated => {
                let way = match rule {
                    None | Some(CREDENTIAL_MISSING) => "Bearer",
                    Some(_) => "Bearer error=\"invalid_token\"",
                };
                Problem::new(StatusCode::UNAUTHORIZED, detail)
                    .with_header(header::WWW_AUTHENTICATE, HeaderValue::from_static(way))
                    .with_header(header::RETRY_AFTER, HeaderValue::from(RETRY_AFTER_REFUSAL))
            }
            DenialKind::Forbidden => Problem::forbidden(detail),
            DenialKind::TooMany(retry_after) => {
                let seconds = retry_after.as_secs() + u64::from(retry_after.subsec_nanos() > 0);
                Problem::new(StatusCode::TOO_MANY_REQUESTS, detail)
                    .with_header(header::RETRY_AFTER, HeaderValue::from(seconds.max(1)))
            }
            DenialKind::Unavailable => Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail),
        };
        let problem = match quota {
            None => problem,
            Some(quota) => problem.with_quota(quota),
        };
        let members = [("rule", rule.map(str::to_owned)), ("request", request)];
        members
            .into_iter()
            .filter_map(|(name, text)| Some((name, text?)))
            .fold(problem, |problem, (name, text)| problem.with(name, text))
    }
}

impl From<Exceeded> for Problem {
    fn from(exceeded: Exceeded) -> Problem {
        Denial::from(exceeded).into()
    }
}

impl From<NotRevoked> for Problem {
    fn from(error: NotRevoked) -> Problem {
        let status = match &error {
            NotRevoked::Full => StatusCode::INSUFFICIENT_STORAGE,
            NotRevoked::Disk(cause) => {
                tracing::error!(%cause, "the list of revocations cannot be written");
                StatusCode::SERVICE_UNAVAILABLE
            }
        };
        Problem::new(status, error)
    }
}

impl From<NotReadable> for Problem {
    fn from(NotReadable { asked, may }: NotReadable) -> Problem {
        Problem::forbidden(format!("this request may read {may}, not {asked:?}"))
            .with("rule", READ_NOT_GRANTED)
    }
}

impl From<Refused> for Problem {
    fn from(refused: Refused) -> Problem {
        let status = match &refused {
            Refused::Closed { .. } | Refused::IdTaken { .. } => StatusCode::CONFLICT,
            Refused::KeyReused { .. } => StatusCode::UNPROCESSABLE_ENTITY,
            Refused::Reserved { .. } => StatusCode::FORBIDDEN,
        };
        let is_closed = matches!(refused, Refused::Closed { .. });
        let problem = Problem::new(status, refused);
        // It is not about this update: every other will be refused as well.
        if is_closed { problem.with("closed", true) } else { problem }
    }
}

impl From<UploadError> for Problem {
    fn from(error: UploadError) -> Problem {
        let status = match &error {
            UploadError::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            UploadError::Full { .. } | UploadError::TooMany { .. } => StatusCode::INSUFFICIENT_STORAGE,
            UploadError::Io(cause) => {
                tracing::error!(%error, "the store of attachments failed");
                match cause.kind() {
                    ErrorKind::StorageFull | ErrorKind::QuotaExceeded => StatusCode::INSUFFICIENT_STORAGE,
                    _ => StatusCode::SERVICE_UNAVAILABLE,
                }
            }
        };
        Problem::new(status, error)
    }
}

impl From<Fault> for Problem {
    fn from(Fault { since, error }: Fault) -> Problem {
        Problem::from(error).with("since", humantime::format_rfc3339_seconds(since).to_string())
    }
}

impl From<LogError> for Problem {
    fn from(error: LogError) -> Problem {
        let status = match &error {
            // Every request meanwhile gets this answer, so it is not logged.
            LogError::Busy { .. } => return Problem::new(StatusCode::SERVICE_UNAVAILABLE, error),
            LogError::Full => StatusCode::INSUFFICIENT_STORAGE,
            LogError::Unavailable { .. } => StatusCode::SERVICE_UNAVAILABLE,
        };
        // The cause names files and internals. They are for the operator alone.
        let cause = std::error::Error::source(&error).map(ToString::to_string);
        tracing::error!(%error, cause, "the log failed");
        Problem::new(status, error)
    }
}

//! Why a request is refused before anything is done.

use tidings_codec::{DecodeError, DecodeErrorKind, Incomplete};

use crate::{
    InvalidName, InvalidRetry, InvalidTopic, Topic,
    log::{InvalidKey, Unpublishable},
};

/// A request that breaks a rule of its dialect. `http` makes a problem document of it, and chooses the status code.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) kind: RefusalKind,
    /// The value and the rule.
    pub(crate) detail: String,
    /// The line of the body that breaks the rule, from 1, if the body has lines.
    pub(crate) line: Option<u64>,
}

/// The kind of rule that a request breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RefusalKind {
    /// A value is malformed, or out of its bounds.
    Invalid,
    /// The request is understood, and this client may not make it.
    Forbidden,
    /// An update is over the size limit.
    TooLarge,
    /// The body is of a kind that cannot be published.
    UnsupportedBody,
    /// The client accepts none of the types that are served.
    NotAcceptable,
}

impl Refusal {
    fn new(kind: RefusalKind, detail: impl ToString) -> Refusal {
        Refusal { kind, detail: detail.to_string(), line: None }
    }

    pub(super) fn invalid(detail: impl ToString) -> Refusal {
        Refusal::new(RefusalKind::Invalid, detail)
    }

    pub(super) fn forbidden(detail: impl ToString) -> Refusal {
        Refusal::new(RefusalKind::Forbidden, detail)
    }

    pub(super) fn unsupported_body(detail: impl ToString) -> Refusal {
        Refusal::new(RefusalKind::UnsupportedBody, detail)
    }

    pub(super) fn not_acceptable(accept: &str) -> Refusal {
        Refusal::new(
            RefusalKind::NotAcceptable,
            format!("Accept is {accept:?}; a topic is served as text/event-stream or as application/json"),
        )
    }

    /// The data of one update is over the limit.
    pub(crate) fn too_large(max_data_bytes: usize) -> Refusal {
        Refusal::new(
            RefusalKind::TooLarge,
            format!(
                "an update's data is over {max_data_bytes} bytes; publish a link to large content instead"
            ),
        )
    }

    /// An update of a body names another topic than the request does.
    pub(super) fn other_topic(named: &str, topic: &Topic) -> Refusal {
        Refusal::invalid(format!("topic is {named:?}, but this request publishes to {:?}", topic.as_str()))
    }
}

impl From<InvalidTopic> for Refusal {
    fn from(error: InvalidTopic) -> Refusal {
        Refusal::invalid(error)
    }
}

impl From<InvalidName> for Refusal {
    fn from(error: InvalidName) -> Refusal {
        Refusal::invalid(error)
    }
}

impl From<InvalidRetry> for Refusal {
    fn from(error: InvalidRetry) -> Refusal {
        Refusal::invalid(error)
    }
}

impl From<InvalidKey> for Refusal {
    fn from(error: InvalidKey) -> Refusal {
        Refusal::invalid(error)
    }
}

impl From<Unpublishable> for Refusal {
    fn from(error: Unpublishable) -> Refusal {
        Refusal::invalid(error)
    }
}

impl From<DecodeError> for Refusal {
    fn from(error: DecodeError) -> Refusal {
        let kind = match error.kind() {
            DecodeErrorKind::LineTooLong { .. } | DecodeErrorKind::EventTooLarge { .. } => {
                RefusalKind::TooLarge
            }
            _ => RefusalKind::Invalid,
        };
        Refusal { line: Some(error.line()), ..Refusal::new(kind, &error) }
    }
}

impl From<Incomplete> for Refusal {
    fn from(error: Incomplete) -> Refusal {
        Refusal { line: Some(error.line()), ..Refusal::invalid(&error) }
    }
}

//! The rights of one request.

use std::{sync::Arc, time::SystemTime};

use super::{Denial, Reach, Reading};
use crate::{
    Selector, Topic,
    log::{KeyOwner, Record},
    model::matchers::Matchers,
};

/// The rights of a request. Cheap to clone. The default grants nothing.
///
/// ```
/// use tidings_hub::{Grant, Matchers, Subject};
///
/// let alice = Grant::default()
///     .with_publish(Matchers::parse(["chat/*"])?)
///     .with_read(Matchers::all())
///     .with_private(Matchers::parse(["users/alice/*"])?)
///     .with_subject(Subject::new("https://app.example", "alice"));
/// # Ok::<(), tidings_hub::InvalidTopic>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Grant(Arc<Rights>);

#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Rights {
    subject: Option<Subject>,
    expires: Option<SystemTime>,
    publish: Matchers,
    read: Matchers,
    /// Within `read`.
    private: Matchers,
}

/// Somebody whom an issuer knows by a name.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Subject {
    issuer: Box<str>,
    name: Box<str>,
}

impl Subject {
    /// The subject that `issuer` knows as `name`. Two subjects are the same when both are.
    pub fn new(issuer: impl Into<Box<str>>, name: impl Into<Box<str>>) -> Subject {
        Subject { issuer: issuer.into(), name: name.into() }
    }

    /// The issuer, such as a URL; empty for an issuer without a name.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// The name that the issuer has given.
    pub fn name(&self) -> &str {
        &self.name
    }
}

/// A right that a request needs before it says for which topics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Right {
    /// To read some topic.
    Read,
    /// To publish to some topic.
    Publish,
}

impl Grant {
    /// Also allows to publish to these topics, and to close them. An update of several topics needs the right for each.
    #[must_use]
    pub fn with_publish(mut self, topics: Matchers) -> Grant {
        let rights = Arc::make_mut(&mut self.0);
        rights.publish = rights.publish.union(&topics);
        self
    }

    /// Also allows to read the public updates of these topics: to subscribe, and to read the history and attachments.
    #[must_use]
    pub fn with_read(mut self, topics: Matchers) -> Grant {
        let rights = Arc::make_mut(&mut self.0);
        rights.read = rights.read.union(&topics);
        self
    }

    /// Also allows to read all updates of these topics, private ones included.
    #[must_use]
    pub fn with_private(mut self, topics: Matchers) -> Grant {
        let rights = Arc::make_mut(&mut self.0);
        rights.read = rights.read.union(&topics);
        rights.private = rights.private.union(&topics);
        self
    }

    /// Says whose the grant is. Idempotency keys of different subjects are different keys.
    #[must_use]
    pub fn with_subject(mut self, subject: Subject) -> Grant {
        Arc::make_mut(&mut self.0).subject = Some(subject);
        self
    }

    /// Ends the grant at a time. A request after that is refused with 401.
    ///
    /// A subscription is told before that, by an event of type `access`: 30 seconds, or a tenth of the time that was left when it
    /// began. A subscription whose connection takes nothing at that moment is told once it does. Within a second of the end
    /// it is told so, and ends; its client resumes with another credential. A body with many updates that is still under way is
    /// answered 401, and the updates before the end are kept.
    #[must_use]
    pub fn with_expiry(mut self, expires: SystemTime) -> Grant {
        Arc::make_mut(&mut self.0).expires = Some(expires);
        self
    }

    /// When the grant ends; `None` for one that does not.
    pub fn expires(&self) -> Option<SystemTime> {
        self.0.expires
    }

    /// Whose the grant is; `None` if it is anybody's.
    pub fn subject(&self) -> Option<&Subject> {
        self.0.subject.as_ref()
    }

    /// The topics that it allows to publish to.
    pub fn publish(&self) -> &Matchers {
        &self.0.publish
    }

    /// The topics that it allows to read.
    pub fn read(&self) -> &Matchers {
        &self.0.read
    }

    /// The topics that it allows to read with their private updates.
    pub fn private(&self) -> &Matchers {
        &self.0.private
    }

    /// # Errors
    /// 401 once it has ended.
    pub(crate) fn holds(&self) -> Result<(), Denial> {
        match self.0.expires.and_then(|end| SystemTime::now().duration_since(end).ok()) {
            None => Ok(()),
            Some(since) => Err(Denial::unauthenticated(format!(
                "the credential expired {} s ago; get a new one and send the request again",
                since.as_secs()
            ))
            .with_rule("token-expired")),
        }
    }

    /// Whose idempotency keys its holder uses; `None` for those of nobody.
    pub(crate) fn key_owner(&self) -> Option<KeyOwner> {
        self.subject().map(|Subject { issuer, name }| KeyOwner::of(issuer, name))
    }

    /// Whether its holder has a right for any topic.
    pub(crate) fn has(&self, right: Right) -> bool {
        match right {
            Right::Read => !self.0.read.is_none(),
            Right::Publish => !self.0.publish.is_none(),
        }
    }

    /// Whether its holder may publish an update of all these topics, or close them.
    ///
    /// # Errors
    /// The first topic that it may not publish to.
    pub(crate) fn may_publish<'a>(&self, topics: &'a [Topic]) -> Result<(), &'a Topic> {
        topics.iter().find(|topic| !self.0.publish.covers(topic)).map_or(Ok(()), Err)
    }

    /// Whether its holder may receive `record`, for any of its topics.
    pub(crate) fn may_receive(&self, record: &Record) -> bool {
        let matchers = if record.is_private() { &self.0.private } else { &self.0.read };
        matchers.covers_any(record.topics())
    }

    /// The part of the requested topics that its holder gets. Patterns are narrowed to the topics that it may read.
    ///
    /// # Errors
    /// The first topic of which it may read nothing, otherwise the first such pattern.
    pub(crate) fn reading(&self, asked: Selector) -> Result<Reading, NotReadable> {
        let Rights { read, private, expires, .. } = &*self.0;
        let (expires, is_exact) = (*expires, asked.is_exact());
        if read.covers_selector(&asked) {
            return Ok(Reading {
                reach: Reach::of(&asked, private, read.is_all()),
                selector: asked,
                is_partial: false,
                is_exact,
                expires,
            });
        }
        if let Some(topic) = asked.topics().iter().find(|topic| !read.covers(topic)) {
            return Err(NotReadable { asked: topic.to_string(), may: read.clone() });
        }
        let selector = read.narrow(&asked);
        if selector.is_nothing() {
            let pattern = asked
                .prefixes()
                .first()
                .map_or_else(|| "*".to_owned(), |prefix| format!("{}*", prefix.as_str()));
            return Err(NotReadable { asked: pattern, may: read.clone() });
        }
        let reach = Reach::of(&selector, private, false);
        Ok(Reading { reach, selector, is_partial: true, is_exact, expires })
    }

    /// Whether its holder may know of the same subscriptions as the holder of `other`.
    pub(crate) fn knows_as_much_as(&self, other: &Grant) -> bool {
        self.0.read == other.0.read && self.0.private == other.0.private
    }

    /// Whether its holder may receive all that a subscription to `selector` gets that reaches so far.
    pub(crate) fn covers(&self, selector: &Selector, reach: &Reach) -> bool {
        reach.is_within(selector, &self.0.read, &self.0.private)
    }
}

/// A topic or pattern of which a request may read nothing.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct NotReadable {
    pub(crate) asked: String,
    /// The topics that it may read.
    pub(crate) may: Matchers,
}

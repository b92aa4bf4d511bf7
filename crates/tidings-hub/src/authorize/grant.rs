//! The rights of one request.

use std::{
    sync::{Arc, Weak},
    time::SystemTime,
};

use super::{
    Accepted, AccessEnd, Credential, Denial, Limits, OpenStream, Reach, Reading, Right, Rights, Standing,
    Term, UsedTicket, View, roles::Allowed,
};
use crate::{
    Selector, Topic, TopicFilter,
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
#[derive(Debug, Clone, Default)]
pub struct Grant(Arc<Content>);

#[derive(Debug, Clone, Default)]
struct Content {
    subject: Option<Subject>,
    term: Option<Term>,
    publish: Matchers,
    read: Matchers,
    /// Within `read`.
    private: Matchers,
    /// Rules that allow more, where these topics cannot say all that they allow: stricter rules are among them.
    read_by: Option<View>,
    publish_by: Option<View>,
    rights: Rights,
    limits: Limits,
    /// The credential that it was made of; `None` for one that the application made, or that is everybody's.
    accepted: Option<Accepted>,
    /// The ticket that opened it. `accepted` is then of the credential that got the ticket.
    ticket: Option<Arc<UsedTicket>>,
    /// Whether its holder may go on. `None` if nobody ends it before its time.
    standing: Option<Arc<Standing>>,
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

impl Grant {
    /// Also allows to publish to these topics, and to close them. An update of several topics needs the right for each.
    #[must_use]
    pub fn with_publish(mut self, topics: Matchers) -> Grant {
        let content = Arc::make_mut(&mut self.0);
        content.publish = content.publish.union(&topics);
        self
    }

    /// Also allows to read the public updates of these topics: to subscribe, and to read the history and attachments.
    #[must_use]
    pub fn with_read(mut self, topics: Matchers) -> Grant {
        let content = Arc::make_mut(&mut self.0);
        content.read = content.read.union(&topics);
        self
    }

    /// Also allows to read all updates of these topics, private ones included.
    #[must_use]
    pub fn with_private(mut self, topics: Matchers) -> Grant {
        let content = Arc::make_mut(&mut self.0);
        content.read = content.read.union(&topics);
        content.private = content.private.union(&topics);
        self
    }

    /// Also grants a right that is for no topic.
    #[must_use]
    pub fn with_right(mut self, right: Right) -> Grant {
        let content = Arc::make_mut(&mut self.0);
        content.rights = content.rights.with(right);
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
    /// A subscription is told before that, by an event of type `access`: 30 seconds, or a tenth of the time that is left now. A subscription whose connection takes nothing at that moment is told once it does. Within a second of the end
    /// it is told so, and ends; its client resumes with another credential. A body with many updates that is still under way is
    /// answered 401, and the updates before the end are kept.
    #[must_use]
    pub fn with_expiry(mut self, expires: SystemTime) -> Grant {
        Arc::make_mut(&mut self.0).term = Some(Term::new(expires, None));
        self
    }

    /// When the grant ends; `None` for one that does not.
    pub fn expires(&self) -> Option<SystemTime> {
        self.0.term.map(|term| term.expires)
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

    /// A grant for the bearer of this credential, which nobody else has.
    pub(super) fn of(accepted: Accepted) -> Grant {
        let Accepted { credential, publish, read, rights, limits, .. } = &accepted;
        Grant(Arc::new(Content {
            subject: credential.subject.clone(),
            term: credential.expires.map(|expires| Term::new(expires, credential.issued_at)),
            publish: publish.clone(),
            private: read.clone(),
            read: read.clone(),
            read_by: None,
            publish_by: None,
            rights: *rights,
            limits: *limits,
            accepted: Some(accepted),
            ticket: None,
            standing: Some(Arc::default()),
        }))
    }

    /// The same, which somebody may end.
    pub(super) fn with_standing(mut self) -> Grant {
        Arc::make_mut(&mut self.0).standing = Some(Arc::default());
        self
    }

    /// Whether it allows to read and publish all that `other` does.
    pub(super) fn allows_as_much_as(&self, other: &Grant) -> bool {
        let none = View::default();
        let (own, other) = (&*self.0, &*other.0);
        let view = |by: &Option<View>| by.clone().unwrap_or_else(|| none.clone());
        let (reads, publishes) = (view(&own.read_by), view(&own.publish_by));
        own.private.include(&other.private)
            && reads.reads_as_much_as(&own.read, &view(&other.read_by), &other.read)
            && publishes.publishes_as_much_as(&own.publish, &view(&other.publish_by), &other.publish)
    }

    /// The same with all that the roles of its holder allow.
    pub(super) fn and_by_roles(mut self, roles: &Allowed) -> Grant {
        let content = Arc::make_mut(&mut self.0);
        content.publish = content.publish.union(&roles.publish);
        content.read = content.read.union(&roles.read);
        content.private = content.private.union(&roles.read);
        content.rights = content.rights.union(roles.rights);
        content.limits = content.limits.and(roles.limits);
        self
    }

    /// The same with all that rules allow its holder.
    pub(super) fn and_by_rules(mut self, view: &View) -> Grant {
        let content = Arc::make_mut(&mut self.0);
        match view.reads_exactly() {
            true => content.read = content.read.union(view.readable()),
            false => content.read_by = Some(view.clone()),
        }
        match view.publishes_exactly() {
            true => content.publish = content.publish.union(view.publishable()),
            false => content.publish_by = Some(view.clone()),
        }
        self
    }

    /// The same with all that `other` allows. It ends when this does.
    pub(super) fn and_all_of(mut self, other: &Grant) -> Grant {
        let (own, other) = (Arc::make_mut(&mut self.0), &other.0);
        own.publish = own.publish.union(&other.publish);
        own.read = own.read.union(&other.read);
        own.private = own.private.union(&other.private);
        own.rights = own.rights.union(other.rights);
        debug_assert!(other.read_by.is_none() && other.publish_by.is_none(), "rules are added by themselves");
        self
    }

    /// Ends it before its time. Returns how many streams were open by it.
    pub(super) fn end(&self, reason: AccessEnd) -> u32 {
        let Some(standing) = self.standing() else { return 0 };
        standing.end(reason);
        standing.streams()
    }

    /// Whether nobody has ended it before its time.
    pub(super) fn is_open(&self) -> bool {
        self.standing().is_none_or(|standing| standing.ended().is_none())
    }

    pub(super) fn downgrade(&self) -> WeakGrant {
        WeakGrant(Arc::downgrade(&self.0))
    }

    /// The credential that it was made of; `None` for one of an application, and for that of everybody.
    pub(crate) fn credential(&self) -> Option<&Arc<Credential>> {
        let of_ticket = self.ticket().map(|ticket| &ticket.credential);
        of_ticket.or_else(|| self.accepted().map(|accepted| &accepted.credential))
    }

    /// All credentials that have to hold for it: its own, and of a ticket the one that got it, too.
    pub(super) fn credentials(&self) -> impl Iterator<Item = &Arc<Credential>> {
        let of_ticket = self.ticket().map(|ticket| &ticket.credential);
        of_ticket.into_iter().chain(self.accepted().map(|accepted| &accepted.credential))
    }

    /// The ticket that opened it.
    pub(crate) fn ticket(&self) -> Option<&UsedTicket> {
        self.0.ticket.as_deref()
    }

    /// The part of it that a ticket opens: its topics are read, until it ends.
    pub(super) fn of_ticket(mut self, ticket: UsedTicket) -> Grant {
        let content = Arc::make_mut(&mut self.0);
        let terms = ticket.terms();
        content.publish = Matchers::none();
        content.publish_by = None;
        content.read = content.read.narrow(&terms.asked).into();
        content.private = content.private.narrow(&terms.asked).into();
        content.rights = Rights::default();
        content.subject.clone_from(&terms.subject);
        let ends = content.term.map_or(terms.ends, |term| term.expires.min(terms.ends));
        content.term = Some(Term::new(ends, None));
        content.ticket = Some(Arc::new(ticket));
        self
    }

    /// The same, with what that allows by itself.
    pub(crate) fn accepted(&self) -> Option<&Accepted> {
        self.0.accepted.as_ref()
    }

    /// Whether its holder has shown nothing that says who it is.
    pub(crate) fn is_anonymous(&self) -> bool {
        self.0.accepted.is_none() && self.0.subject.is_none()
    }

    /// The limits that it comes with.
    pub(crate) fn limits(&self) -> Limits {
        self.0.limits
    }

    /// Whether its streams may go on; `None` if nobody ends it before its time.
    pub(super) fn standing(&self) -> Option<&Standing> {
        self.0.standing.as_deref()
    }

    pub(super) fn term(&self) -> Option<&Term> {
        self.0.term.as_ref()
    }

    /// # Errors
    /// 401 if somebody has ended it before its time.
    pub(super) fn was_not_ended(&self) -> Result<(), Denial> {
        match self.standing().and_then(Standing::ended) {
            None | Some(AccessEnd::Expired) => Ok(()),
            Some(AccessEnd::Revoked) => {
                Err(Denial::unauthenticated("the credential has been revoked; get a new one")
                    .with_rule("token-revoked"))
            }
            Some(AccessEnd::Rules | AccessEnd::Limit) => Err(Denial::unauthenticated(
                "the rules of the hub have changed since the request began; send it again",
            )
            .with_rule("rules-changed")),
        }
    }

    /// # Errors
    /// 401 once it has ended.
    pub(crate) fn holds(&self) -> Result<(), Denial> {
        self.was_not_ended()?;
        match self.expires().and_then(|end| SystemTime::now().duration_since(end).ok()) {
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

    /// Whether it allows to read some topic.
    pub(crate) fn reads_something(&self) -> bool {
        !self.readable().is_none()
    }

    /// Whether it allows to publish to some topic.
    pub(crate) fn publishes_something(&self) -> bool {
        !self.publishable().is_none()
    }

    /// The topics that may be read, and perhaps some among them that may not.
    pub(crate) fn readable(&self) -> Matchers {
        let Content { read, read_by, .. } = &*self.0;
        let Some(by) = read_by else { return read.clone() };
        let readable = read.union(by.readable());
        match self.ticket() {
            None => readable,
            Some(ticket) => readable.narrow(&ticket.terms().asked).into(),
        }
    }

    /// The topics that may be published to, and perhaps some among them that may not.
    pub(crate) fn publishable(&self) -> Matchers {
        let Content { publish, publish_by, .. } = &*self.0;
        publish_by.as_ref().map_or_else(|| publish.clone(), |by| publish.union(by.publishable()))
    }

    /// Whether it allows to read the public updates of a topic, by its own topics or by a rule.
    pub fn reads(&self, topic: &Topic) -> bool {
        let Content { read, read_by, .. } = &*self.0;
        let is_of_ticket = |ticket: &UsedTicket| ticket.terms().asked.matches(std::slice::from_ref(topic));
        read.covers(topic)
            || read_by.as_ref().is_some_and(|by| by.reads(topic) && self.ticket().is_none_or(is_of_ticket))
    }

    /// Whether it allows to publish to a topic, by its own topics or by a rule.
    pub fn publishes(&self, topic: &Topic) -> bool {
        let Content { publish, publish_by, .. } = &*self.0;
        publish.covers(topic) || publish_by.as_ref().is_some_and(|by| by.publishes(topic))
    }

    /// Whether it has this right.
    pub fn has(&self, right: Right) -> bool {
        self.0.rights.has(right)
    }

    /// Whether its holder may publish an update of all these topics, or close them.
    ///
    /// # Errors
    /// The first topic that it may not publish to.
    pub(crate) fn may_publish<'a>(&self, topics: &'a [Topic]) -> Result<(), &'a Topic> {
        topics.iter().find(|topic| !self.publishes(topic)).map_or(Ok(()), Err)
    }

    /// Whether its holder may receive `record`, for any of its topics.
    pub(crate) fn may_receive(&self, record: &Record) -> bool {
        match record.is_private() {
            true => self.0.private.covers_any(record.topics()),
            false => record.topics().iter().any(|topic| self.reads(topic)),
        }
    }

    /// The part of the requested topics that its holder gets. Patterns are narrowed to the topics that it may read.
    ///
    /// # Errors
    /// The first topic of which it may read nothing, otherwise the first such pattern.
    pub(crate) fn reading(&self, asked: Selector) -> Result<Reading, NotReadable> {
        let Content { read, private, read_by, .. } = &*self.0;
        let is_exact = asked.is_exact();
        let open = OpenStream::of(self);
        if read.covers_selector(&asked) {
            let reach = Reach::of(&asked, private, read.is_all());
            return Ok(Reading { reach, selector: asked, is_partial: false, is_exact, open });
        }
        let readable = self.readable();
        let not_readable = |asked: String| NotReadable { asked, may: readable.clone() };
        if let Some(topic) = asked.topics().iter().find(|topic| !self.reads(topic)) {
            return Err(not_readable(topic.to_string()));
        }
        let mut selector = readable.narrow(&asked);
        if read_by.is_some() {
            // A topic may have been found by a pattern, and have a stricter rule.
            let filters = Matchers::from(selector);
            selector = filters
                .iter()
                .filter(|filter| !matches!(filter, TopicFilter::Exact(topic) if !self.reads(topic)))
                .collect();
        }
        let is_left = |by: &View| {
            // Rules are compared as patterns here, and a stricter one may take all that this leaves.
            by.reads_exactly()
                || !read.narrow(&selector).is_nothing()
                || by.reads_some(&Matchers::from(selector.clone()))
        };
        if selector.is_nothing() || !read_by.as_ref().is_none_or(is_left) {
            let pattern = asked.prefixes().first();
            return Err(not_readable(
                pattern.map_or_else(|| "*".to_owned(), |prefix| format!("{}*", prefix.as_str())),
            ));
        }
        let reach = Reach::of(&selector, private, false);
        let reach = match read_by.as_ref().filter(|by| !by.reads_all(&selector, read)) {
            None => reach,
            Some(by) => reach.by_rules(selector.clone(), read.clone(), by.clone()),
        };
        let is_partial = selector != asked || reach.is_by_rules();
        Ok(Reading { reach, selector, is_partial, is_exact, open })
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

/// A grant, if somebody still has it.
#[derive(Debug)]
pub(super) struct WeakGrant(Weak<Content>);

impl WeakGrant {
    pub(super) fn upgrade(&self) -> Option<Grant> {
        self.0.upgrade().map(Grant)
    }

    pub(super) fn is_held(&self) -> bool {
        self.0.strong_count() > 0
    }
}

/// A topic or pattern of which a request may read nothing.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct NotReadable {
    pub(crate) asked: String,
    /// The topics that it may read.
    pub(crate) may: Matchers,
}

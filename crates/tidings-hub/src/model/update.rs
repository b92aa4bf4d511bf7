//! Updates, as a publisher sends them.

use std::{collections::HashSet, time::Duration};

use tidings_codec::{Event, EventId, EventType};

use super::{attachment_id::AttachmentId, position::HubId, topic::Topic};

/// The types of the hub's own events; a publisher cannot use them.
pub const RESERVED_TYPES: [&str; 4] = ["start", "gap", "close", "access"];

/// The longest event type and the longest ID that a publisher may choose, in bytes.
pub const MAX_NAME_BYTES: usize = 255;

/// An event for the subscribers of a topic, as its publisher sends it.
///
/// Its parts are checked when they are made ([`Topic`], [`UpdateType`], [`UpdateId`], [`UpdateRetry`]), so an `Update` is
/// always valid.
///
/// ```
/// use tidings_hub::{Topic, Update, UpdateType};
///
/// let update = Update::new(Topic::parse("builds/42")?, "passed").with_type(UpdateType::parse("finished")?);
/// assert_eq!(update.event().event_type(), "finished");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Update {
    topics: Topics,
    event: Event,
    private: bool,
    close: bool,
    attachment: Option<AttachmentId>,
}

/// One topic, which most updates have, needs no memory of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Topics {
    One(Topic),
    /// Never exactly one.
    Several(Box<[Topic]>),
}

impl From<Vec<Topic>> for Topics {
    fn from(mut topics: Vec<Topic>) -> Topics {
        match topics.pop() {
            Some(only) if topics.is_empty() => Topics::One(only),
            last => {
                topics.extend(last);
                Topics::Several(topics.into())
            }
        }
    }
}

impl Update {
    /// An update of one topic. In `data`, CRLF and CR become LF: an event stream has no other line break.
    pub fn new(topic: Topic, data: impl Into<String>) -> Update {
        Update::of(topic, Event::new(data))
    }

    /// The update that closes `topic`: an event of type `close` whose data is `reason`.
    ///
    /// It is the last of its topic. Subscribers get it, then their streams end. A client that comes back gets 204.
    pub fn close(topic: Topic, reason: impl Into<String>) -> Update {
        let close = EventType::parse("close").expect("a word is a valid event type");
        Update::of(topic, Event::new(reason).with_type(close)).closing()
    }

    /// Sets the event type, which says which listeners of an `EventSource` are called.
    pub fn with_type(mut self, event_type: UpdateType) -> Update {
        self.event = self.event.with_type(event_type.0);
        self
    }

    /// Chooses the ID; without one, the hub gives it an ID that names its place in the log.
    pub fn with_id(mut self, id: UpdateId) -> Update {
        self.event = self.event.with_id(id.0);
        self
    }

    /// Tells subscribers how long to wait before they reconnect.
    pub fn with_retry(mut self, retry: UpdateRetry) -> Update {
        self.event = self.event.with_retry(retry.0);
        self
    }

    /// Lets only subscribers with a grant for it receive it.
    pub fn private(mut self) -> Update {
        self.private = true;
        self
    }

    /// The same for an update that is borrowed.
    pub(crate) fn hide(&mut self) {
        self.private = true;
    }

    /// The topics of the update, at least one.
    pub fn topics(&self) -> &[Topic] {
        match &self.topics {
            Topics::One(only) => std::slice::from_ref(only),
            Topics::Several(topics) => topics,
        }
    }

    /// Its type, data, retry, and its ID if the publisher chose one.
    pub fn event(&self) -> &Event {
        &self.event
    }

    /// Whether only those with a grant for it may receive it.
    pub fn is_private(&self) -> bool {
        self.private
    }

    /// Whether it closes its topic.
    pub fn is_close(&self) -> bool {
        self.close
    }

    /// The attachment that it announces, if it does; its data says what that is.
    pub fn attachment(&self) -> Option<&AttachmentId> {
        self.attachment.as_ref()
    }

    /// An update whose event the hub has made.
    pub(crate) fn of(topic: Topic, event: Event) -> Update {
        Update { topics: Topics::One(topic), event, private: false, close: false, attachment: None }
    }

    /// One that was stored, with at least one topic.
    pub(crate) fn stored(topics: Vec<Topic>, event: Event, private: bool, close: bool) -> Update {
        Update { topics: topics.into(), event, private, close, attachment: None }
    }

    /// The same for what closes its topic.
    pub(crate) fn closing(mut self) -> Update {
        self.close = true;
        self
    }

    /// Announces an attachment, which is from then on removed with the update's record, or at once if there will be none.
    pub(crate) fn with_attachment(mut self, id: AttachmentId) -> Update {
        self.attachment = Some(id);
        self
    }

    /// Gives back what its texts have allocated and do not need.
    pub(crate) fn shrink_to_fit(&mut self) {
        self.event.shrink_to_fit();
    }

    /// Replaces its topics; there is at least one. A topic that is named twice counts once.
    pub(crate) fn with_topics(mut self, mut topics: Vec<Topic>) -> Update {
        let mut seen = HashSet::with_capacity(topics.len());
        topics.retain(|topic| seen.insert(topic.clone()));
        self.topics = topics.into();
        self
    }
}

/// An event type that a publisher may use: up to 255 bytes without control characters, and not one of
/// [`RESERVED_TYPES`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpdateType(EventType);

impl UpdateType {
    /// Checks `text`. `message` and the empty text stand for an event without a type.
    ///
    /// # Errors
    /// [`InvalidName`] says what to change.
    pub fn parse(text: &str) -> Result<UpdateType, InvalidName> {
        const WHAT: &str = "event type";
        if RESERVED_TYPES.contains(&text) {
            return Err(InvalidName::Reserved {
                what: WHAT,
                text: text.into(),
                rule: "is the hub's own; choose another",
            });
        }
        check_name(WHAT, text, char::is_control)?;
        Ok(UpdateType(EventType::parse(text).expect("without control characters there is no line break")))
    }
}

/// An ID that a publisher may choose: 1 to 255 bytes of printable ASCII, without a space at either end, and not
/// starting with the `~` of the hub's own.
///
/// Printable ASCII, because a client repeats it in a header, and what else a header can carry is up to each proxy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpdateId(EventId);

impl UpdateId {
    /// Checks `text`.
    ///
    /// # Errors
    /// [`InvalidName`] says what to change.
    pub fn parse(text: &str) -> Result<UpdateId, InvalidName> {
        const WHAT: &str = "event id";
        let reserved = |rule| Err(InvalidName::Reserved { what: WHAT, text: text.into(), rule });
        if text.is_empty() {
            return reserved("is empty; leave it out and the hub gives one");
        }
        if text.starts_with(HubId::PREFIX) {
            return reserved("starts with '~', as only the hub's own do");
        }
        if text.starts_with(' ') || text.ends_with(' ') {
            return reserved("starts or ends with a space, which a header cannot carry");
        }
        check_name(WHAT, text, |character| !matches!(character, ' '..='~'))?;
        Ok(UpdateId(EventId::parse(text).expect("printable ASCII has no line breaks and no NUL")))
    }
}

/// A reconnection time that a publisher may choose: whole milliseconds, from 100 ms to a day.
///
/// All subscribers of the topic obey it. A shorter one would bring them back as a flood, and a longer one would keep them away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UpdateRetry(Duration);

impl UpdateRetry {
    /// The shortest: 100 ms.
    pub const MIN: Duration = Duration::from_millis(100);
    /// The longest that any hub takes: a day.
    pub const MAX: Duration = Duration::from_secs(24 * 60 * 60);
    /// The longest that a hub takes from its publishers unless its settings say otherwise: an hour.
    pub const DEFAULT_MAX: Duration = Duration::from_secs(60 * 60);

    /// Checks `retry`, which is at most `most`, and never more than [`MAX`](UpdateRetry::MAX). Parts of a millisecond are
    /// cut off.
    ///
    /// # Errors
    /// [`InvalidRetry`] says what is allowed.
    pub fn parse(retry: Duration, most: Duration) -> Result<UpdateRetry, InvalidRetry> {
        let (millis, most) = (retry.as_millis(), most.min(UpdateRetry::MAX));
        match u64::try_from(millis).map(Duration::from_millis) {
            Ok(whole) if (UpdateRetry::MIN..=most).contains(&whole) => Ok(UpdateRetry(whole)),
            _ => Err(InvalidRetry { retry: millis.to_string(), most }),
        }
    }

    /// The same for a text: ASCII digits, as milliseconds.
    ///
    /// # Errors
    /// [`InvalidRetry`] for anything else.
    pub fn parse_millis(text: &str, most: Duration) -> Result<UpdateRetry, InvalidRetry> {
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        match text.parse().ok().filter(|_| digits) {
            Some(millis) => UpdateRetry::parse(Duration::from_millis(millis), most),
            None => Err(InvalidRetry { retry: format!("{text:?}"), most: most.min(UpdateRetry::MAX) }),
        }
    }

    /// The time, in whole milliseconds.
    pub fn as_duration(self) -> Duration {
        self.0
    }
}

/// Why a time is no [`UpdateRetry`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "retry is {retry}; it is a whole number of milliseconds from {} to {} here (tidings serve --max-retry says how many a hub takes)",
    UpdateRetry::MIN.as_millis(),
    most.as_millis()
)]
pub struct InvalidRetry {
    /// As it was given.
    retry: String,
    most: Duration,
}

fn check_name(what: &'static str, text: &str, refused: fn(char) -> bool) -> Result<(), InvalidName> {
    if text.len() > MAX_NAME_BYTES {
        return Err(InvalidName::TooLong { what, bytes: text.len() });
    }
    match text.chars().find(|character| refused(*character)) {
        Some(character) => Err(InvalidName::Character { what, text: text.into(), character }),
        None => Ok(()),
    }
}

/// Why a text is no event type or no event ID for an update.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidName {
    /// It is kept for the hub, or could not come back from a client as it was.
    #[error("{what} {text:?} {rule}")]
    Reserved {
        /// `event type` or `event id`.
        what: &'static str,
        /// The text.
        text: String,
        /// The broken rule.
        rule: &'static str,
    },
    /// Longer than [`MAX_NAME_BYTES`].
    #[error("{what} has {bytes} bytes; at most {MAX_NAME_BYTES} are allowed")]
    TooLong {
        /// `event type` or `event id`.
        what: &'static str,
        /// How long it is.
        bytes: usize,
    },
    /// A control character, or, in an ID, anything but printable ASCII.
    #[error("{what} {text:?} contains {character:?}, which is not allowed there")]
    Character {
        /// `event type` or `event id`.
        what: &'static str,
        /// The text.
        text: String,
        /// The first character that is refused.
        character: char,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_of_the_hub_and_control_characters_are_refused() {
        for text in ["", "message", "finished", "ä b"] {
            assert!(UpdateType::parse(text).is_ok(), "{text}");
        }
        for text in ["start", "gap", "close", "a\nb", "a\rb", "a\0b", &"x".repeat(256)] {
            assert!(UpdateType::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn an_id_is_what_a_header_brings_back_unchanged() {
        for text in ["1", "a b", "urn:uuid:1-2", &"x".repeat(255)] {
            assert!(UpdateId::parse(text).is_ok(), "{text}");
        }
        for text in ["", " a", "a ", "ä", "a\tb", "~AAAA", &"x".repeat(256)] {
            assert!(UpdateId::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_reconnection_time_is_within_its_bounds() {
        let millis = Duration::from_millis;
        let parse = |time| UpdateRetry::parse(time, UpdateRetry::DEFAULT_MAX);
        for good in [millis(100), Duration::from_micros(100_999), Duration::from_secs(3600)] {
            assert_eq!(parse(good).unwrap().as_duration(), millis(good.as_millis() as u64));
        }
        let bad = [Duration::ZERO, millis(99), millis(3_600_001), millis(u64::MAX), Duration::MAX];
        for bad in bad {
            assert!(parse(bad).is_err(), "{bad:?}");
        }
        assert!(UpdateRetry::parse(UpdateRetry::MAX, Duration::MAX).is_ok());
        assert!(
            UpdateRetry::parse(UpdateRetry::MAX + millis(1), Duration::MAX).is_err(),
            "a day is the most"
        );
        for bad in ["", "+100", "-1", "100.5", "1e3", " 100", "100 ", "99999999999999999999999", "١٠٠"] {
            let error = UpdateRetry::parse_millis(bad, UpdateRetry::MAX).unwrap_err().to_string();
            assert!(error.contains(&format!("{bad:?}")) && error.contains("from 100 to 86400000"), "{error}");
        }
        assert_eq!(UpdateRetry::parse_millis("0100", UpdateRetry::MAX).unwrap().as_duration(), millis(100));
    }

    #[test]
    fn a_topic_that_is_named_twice_counts_once() {
        let topics =
            |names: &[&str]| names.iter().map(|name| Topic::parse(name).unwrap()).collect::<Vec<_>>();
        let update = Update::new(Topic::parse("x").unwrap(), "");
        assert_eq!(
            update.clone().with_topics(topics(&["a", "b", "a", "b", "c"])).topics(),
            topics(&["a", "b", "c"])
        );
        assert_eq!(update.with_topics(topics(&["a", "a"])), Update::new(Topic::parse("a").unwrap(), ""));
    }

    #[test]
    fn line_breaks_in_data_become_line_feeds() {
        let update = Update::new(Topic::parse("t").unwrap(), "a\r\nb\rc\n");
        assert_eq!(update.event().data(), "a\nb\nc\n");
    }
}

//! One update as it is kept.

use std::{fmt, time::SystemTime};

use ring::digest;
use tidings_codec::{Event, EventId};

use super::{Epoch, HubId, Position, Receipt, RecordTime};
use crate::{AttachmentId, Topic, Update};

/// An update in the log: its content, its position, and when it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    epoch: Epoch,
    sequence: u64,
    time: RecordTime,
    check: u32,
    update: Update,
}

impl Record {
    /// Makes the record of `update` at `sequence`. Its ID is the publisher's. Without one it is the hub's ID for this
    /// position.
    pub fn new(epoch: Epoch, sequence: u64, time: RecordTime, update: Update) -> Record {
        let check = check(sequence, time.as_millis(), &update);
        Record { epoch, sequence, time, check, update }
    }

    /// One that was stored with a check that cannot be computed any more.
    pub(super) fn with_check(
        epoch: Epoch,
        sequence: u64,
        time: RecordTime,
        update: Update,
        check: u32,
    ) -> Record {
        Record { epoch, sequence, time, check, update }
    }

    /// Its number in the log's one order, from 1.
    pub fn sequence(&self) -> u64 {
        self.sequence
    }

    /// When it was appended, in whole milliseconds.
    pub fn time(&self) -> SystemTime {
        self.time.into()
    }

    pub(crate) fn record_time(&self) -> RecordTime {
        self.time
    }

    /// The same record for a reader that may know of these topics alone; there is at least one. It keeps its position and its
    /// ID.
    pub(crate) fn with_topics(&self, topics: Vec<Topic>) -> Record {
        Record { update: self.update.clone().with_topics(topics), ..*self }
    }

    /// The update that it was made of.
    pub(super) fn into_update(self) -> Update {
        self.update
    }

    /// The same as text.
    pub(crate) fn time_text(&self) -> String {
        self.time.to_string()
    }

    pub(crate) fn time_ms(&self) -> u64 {
        self.time.as_millis()
    }

    /// A CRC-32 of all that the record says, its position and time included.
    ///
    /// It is part of the IDs that the hub makes. A log that was restored from a backup gives the same sequences to
    /// other records; their checks differ, and an ID from before is noticed.
    pub fn check(&self) -> u32 {
        self.check
    }

    /// Its sequence and its check.
    pub fn position(&self) -> Position {
        Position { sequence: self.sequence, check: self.check }
    }

    /// The topics of the update, at least one.
    pub fn topics(&self) -> &[Topic] {
        self.update.topics()
    }

    /// The event as it was published: type, data, retry, and an ID if the publisher chose one.
    pub fn event(&self) -> &Event {
        self.update.event()
    }

    /// The event that subscribers get: the same, and always with an ID.
    pub fn to_event(&self) -> Event {
        let event = self.event().clone();
        match self.hub_id() {
            Some(id) => event
                .with_id(EventId::parse(id.to_string()).expect("base64url has no line breaks and no NUL")),
            None => event,
        }
    }

    /// The event's ID.
    pub fn id(&self) -> RecordId {
        match self.event().id() {
            Some(id) => RecordId::Publisher(id.clone()),
            None => RecordId::Hub(HubId { epoch: self.epoch, position: self.position() }),
        }
    }

    /// The ID if the publisher chose it: such IDs are found by an index, the hub's own by their sequence.
    pub fn publisher_id(&self) -> Option<&str> {
        self.event().id().map(EventId::as_str)
    }

    /// The ID if the hub made it.
    pub fn hub_id(&self) -> Option<HubId> {
        let position = self.position();
        self.event().id().is_none().then_some(HubId { epoch: self.epoch, position })
    }

    /// Whether only those with a grant for it may receive it.
    pub fn is_private(&self) -> bool {
        self.update.is_private()
    }

    /// Whether it closes its topic; its data is the reason.
    pub fn is_close(&self) -> bool {
        self.update.is_close()
    }

    /// The attachment that it announces, if it does.
    pub fn attachment(&self) -> Option<&AttachmentId> {
        self.update.attachment()
    }

    /// Whether publishing `update` again would say the same: all that a publisher says is equal, the ID that it chose
    /// included.
    ///
    /// The ID of an attachment is the hub's, and another each time that the same bytes are sent.
    pub fn says_the_same_as(&self, update: &Update) -> bool {
        let (ours, theirs) = (self.event(), update.event());
        announce_the_same((ours.data(), self.attachment()), (theirs.data(), update.attachment()))
            && ours.event_type() == theirs.event_type()
            && ours.retry() == theirs.retry()
            && self.topics() == update.topics()
            && self.publisher_id() == theirs.id().map(EventId::as_str)
            && self.is_private() == update.is_private()
            && self.is_close() == update.is_close()
    }

    /// See [`content`].
    pub(super) fn content(&self) -> u64 {
        content(&self.update)
    }

    /// The cost of keeping it in bytes: its text, and a flat amount for its structures.
    pub fn cost(&self) -> u64 {
        let topics = self.topics().iter().map(|topic| topic.as_str().len());
        let event = self.event();
        cost(topics, event.event_type().len() + event.data().len(), self.publisher_id().map_or(0, str::len))
    }
}

/// The ID of an event: text that its publisher chose, or the hub's, which is made of its position.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum RecordId {
    /// The hub's.
    Hub(HubId),
    /// The publisher's.
    Publisher(EventId),
}

impl fmt::Display for RecordId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RecordId::Hub(id) => id.fmt(f),
            RecordId::Publisher(id) => id.fmt(f),
        }
    }
}

/// The cost of keeping a record whose topics, event and own ID have these lengths.
pub(crate) fn cost(topics: impl Iterator<Item = usize>, event: usize, publisher_id: usize) -> u64 {
    const AROUND: usize = 384;
    const AROUND_TOPIC: usize = 64;
    (AROUND + topics.map(|topic| topic + AROUND_TOPIC).sum::<usize>() + event + 2 * publisher_id) as u64
}

/// The answer to the publisher of `record`.
pub(super) fn receipt(record: &Record, repeated: bool) -> Receipt {
    Receipt {
        id: record.id(),
        sequence: record.sequence(),
        repeated,
        attachment: record.attachment().cloned(),
    }
}

/// Whether two data are equal but for the IDs of the attachments that they announce; their sizes and sums are in them.
fn announce_the_same(ours: (&str, Option<&AttachmentId>), theirs: (&str, Option<&AttachmentId>)) -> bool {
    match (ours, theirs) {
        ((ours, None), (theirs, None)) => ours == theirs,
        ((ours, Some(our_id)), (theirs, Some(their_id))) => {
            ours.split_once(our_id.as_str()) == theirs.split_once(their_id.as_str())
        }
        _ => false,
    }
}

/// A sum of all that a publisher says with an update: two that [say the same](Record::says_the_same_as) have the same, and
/// others do not. It is kept of updates that are gone, whose publishers may send them again.
///
/// The first 8 bytes of the SHA-256 of: flags (as in the check, and 4 for an attachment), retry (all ones for none),
/// the number of topics; then each topic, the type, the publisher's ID, and the data, each after its length. Data that
/// announces an attachment has two parts: the text before the attachment's ID, and the text after it. Numbers are
/// big-endian and 8 bytes wide.
pub(super) fn content(update: &Update) -> u64 {
    let event = update.event();
    let flags = flags(update) | u64::from(update.attachment().is_some()) << 2;
    let mut sum = digest::Context::new(&digest::SHA256);
    for number in [flags, retry(update), update.topics().len() as u64] {
        sum.update(&number.to_be_bytes());
    }
    let attachment = update.attachment().map(AttachmentId::as_str);
    let (data, after) = match attachment.and_then(|id| event.data().split_once(id)) {
        Some((before, after)) => (before, Some(after)),
        None => (event.data(), None),
    };
    let id = event.id().map_or("", EventId::as_str);
    let topics = update.topics().iter().map(Topic::as_str);
    for text in topics.chain([event.event_type(), id, data]).chain(after) {
        sum.update(&(text.len() as u64).to_be_bytes());
        sum.update(text.as_bytes());
    }
    let sum = sum.finish();
    sum.as_ref().iter().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte))
}

fn flags(update: &Update) -> u64 {
    u64::from(update.is_private()) | u64::from(update.is_close()) << 1
}

fn retry(update: &Update) -> u64 {
    let retry = update.event().retry();
    retry.map_or(u64::MAX, |retry| u64::try_from(retry.as_millis()).unwrap_or(u64::MAX))
}

/// The CRC-32 of: sequence, time, flags, retry (all ones for none), then topics, type, data and the publisher's ID,
/// each after its length, and the attachment's ID in the same way if there is one. Numbers are big-endian and 8 bytes wide.
fn check(sequence: u64, time_ms: u64, update: &Update) -> u32 {
    let event = update.event();
    let topics = update.topics().len() as u64;
    let numbers = [sequence, time_ms, flags(update), retry(update), topics].map(u64::to_be_bytes);
    let mut sum = Sum::of(&numbers);
    let id = event.id().map_or("", EventId::as_str);
    let topics = update.topics().iter().map(Topic::as_str);
    let attachment = update.attachment().map(AttachmentId::as_str);
    for text in topics.chain([event.event_type(), event.data(), id]).chain(attachment) {
        sum.add_text(text);
    }
    sum.finish()
}

/// A CRC-32 of many short pieces, which are gathered: of long ones it is faster.
struct Sum {
    hasher: crc32fast::Hasher,
    gathered: [u8; 512],
    len: usize,
}

impl Sum {
    fn of(numbers: &[[u8; 8]; 5]) -> Sum {
        let mut sum = Sum { hasher: crc32fast::Hasher::new(), gathered: [0; 512], len: 0 };
        let numbers = numbers.as_flattened();
        sum.gathered[..numbers.len()].copy_from_slice(numbers);
        sum.len = numbers.len();
        sum
    }

    /// Text, after its length.
    fn add_text(&mut self, text: &str) {
        let length = (text.len() as u64).to_be_bytes();
        let end = self.len + length.len() + text.len();
        match self.gathered.get_mut(self.len..end) {
            Some(room) => {
                let (before, room) = room.split_at_mut(length.len());
                before.copy_from_slice(&length);
                room.copy_from_slice(text.as_bytes());
                self.len = end;
            }
            None => {
                self.hasher.update(&self.gathered[..std::mem::take(&mut self.len)]);
                self.hasher.update(&length);
                self.hasher.update(text.as_bytes());
            }
        }
    }

    fn finish(&mut self) -> u32 {
        self.hasher.update(&self.gathered[..self.len]);
        std::mem::take(&mut self.hasher).finalize()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::{UpdateId, UpdateRetry, UpdateType};

    fn record(sequence: u64, data: &str) -> Record {
        let update = Update::new(Topic::parse("t").unwrap(), data);
        Record::new(Epoch::from_bits(7), sequence, RecordTime::stored(1_000), update)
    }

    #[test]
    fn the_hubs_id_names_the_place_and_the_content() {
        let first = record(1, "a");
        let id = HubId { epoch: Epoch::from_bits(7), position: first.position() };
        assert_eq!((first.id(), first.hub_id(), first.publisher_id()), (RecordId::Hub(id), Some(id), None));
        assert_eq!(first.to_event().id().unwrap().as_str(), id.to_string());
        assert_ne!(record(1, "b").check(), first.check());
        assert_ne!(record(2, "a").check(), first.check());
    }

    #[test]
    fn the_same_file_again_says_the_same_under_another_name() {
        let announcing = |id: &str, sum: &str| {
            let data = format!("{{\"url\":\"/attachments/{id}\",\"sha256\":\"{sum}\"}}");
            Update::new(Topic::parse("t").unwrap(), data).with_attachment(AttachmentId::parse(id).unwrap())
        };
        let (one, two) = ("AAAAAAAAAAAAAAAAAAAAAA", "BBBBBBBBBBBBBBBBBBBBBA");
        let record = Record::new(Epoch::from_bits(7), 1, RecordTime::MIN, announcing(one, "x"));
        assert!(record.says_the_same_as(&announcing(two, "x")));
        assert!(!record.says_the_same_as(&announcing(two, "y")));
        let text = Update::new(Topic::parse("t").unwrap(), announcing(one, "x").event().data());
        assert!(!record.says_the_same_as(&text), "text that looks like it announces nothing");
        assert_ne!(
            Record::new(Epoch::from_bits(7), 1, RecordTime::MIN, text.clone()).check(),
            record.check()
        );
        assert_eq!(record.content(), content(&announcing(two, "x")));
        assert_ne!(record.content(), content(&announcing(two, "y")));
        assert_ne!(record.content(), content(&text));
    }

    #[test]
    fn the_sum_of_what_is_said_differs_with_each_part_and_not_with_place_and_time() {
        let update = || Update::new(Topic::parse("t").unwrap(), "a");
        assert_eq!(record(1, "a").content(), record(2, "a").content());
        assert_eq!(record(1, "a").content(), content(&update()));
        let others = [
            Update::new(Topic::parse("u").unwrap(), "a"),
            Update::new(Topic::parse("t").unwrap(), "b"),
            update().with_type(UpdateType::parse("x").unwrap()),
            update().with_id(UpdateId::parse("x").unwrap()),
            update().with_retry(UpdateRetry::parse(UpdateRetry::MIN, UpdateRetry::MAX).unwrap()),
            update().private(),
            update().closing(),
            update().with_topics(["t", "u"].map(|topic| Topic::parse(topic).unwrap()).into()),
        ];
        let sums: HashSet<u64> = others.iter().chain([&update()]).map(content).collect();
        assert_eq!(sums.len(), others.len() + 1);
    }

    #[test]
    fn the_sum_of_what_is_said_never_changes() {
        // Logs on disk contain it. The expected ones were computed with Python's hashlib from the description above.
        let named = Update::new(Topic::parse("t").unwrap(), "data").with_id(UpdateId::parse("7").unwrap());
        assert_eq!(
            [content(&named), content(&named.private())],
            [9_873_266_514_731_616_146, 14_802_400_808_327_286_437]
        );
    }

    #[test]
    fn the_check_of_a_record_never_changes() {
        // IDs that clients hold, and logs on disk, contain it: another value here breaks them. The expected ones were
        // computed with zlib from the description above.
        assert_eq!(record(1, "a").check(), 325_577_187);
        // Around what is gathered: all of it; all but the ID's length and the ID; all but the data and what follows.
        let lengths = [432, 433, 440, 441, 2_000];
        assert_eq!(
            lengths.map(|bytes| record(2, &"x".repeat(bytes)).check()),
            [2_560_211_869, 4_160_487_483, 1_234_070_698, 3_581_727_405, 696_756_215]
        );
    }
}

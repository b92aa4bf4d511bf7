//! The wire bytes of a topic's events.

use std::io::{ErrorKind, Write};

/// How much of a topic is kept. A subscriber that lags behind further is disconnected: it never skips events in
/// silence.
const MAX_BYTES: usize = 64 << 20;

#[derive(Default)]
pub(super) struct Topic {
    /// The connections, as indexes among all.
    pub(super) subscribers: Vec<usize>,
    /// Whether the topic has events that were not written yet.
    pub(super) is_dirty: bool,
    bytes: Vec<u8>,
    /// The number of bytes before `bytes`.
    dropped: u64,
    /// The ends of the kept events, and the number of events before them.
    ends: Vec<u64>,
    dropped_events: u64,
}

impl Topic {
    /// Appends an event in its own chunk, with an ID as long as a hub's.
    pub(super) fn append(&mut self, data: &str) {
        let number = self.dropped_events + self.ends.len() as u64;
        let event = format!("data: {data}\nid: ~{number:024}\n\n");
        // Writing to memory cannot fail.
        let _ = write!(self.bytes, "{:x}\r\n{event}\r\n", event.len());
        self.ends.push(self.end());
        if self.bytes.len() > MAX_BYTES {
            self.drop_half();
        }
    }

    fn drop_half(&mut self) {
        let half = self.ends.len() / 2;
        let Some(place) = self.ends.get(half.saturating_sub(1)).copied() else { return };
        self.bytes.drain(..(place - self.dropped) as usize);
        self.ends.drain(..half.max(1));
        self.dropped = place;
        self.dropped_events += half.max(1) as u64;
    }

    fn end(&self) -> u64 {
        self.dropped + self.bytes.len() as u64
    }

    /// The position after the event with this ID. Without an ID, or if it is unknown, the end.
    pub(super) fn place_after(&self, id: Option<&str>) -> u64 {
        let number = id.and_then(|id| id.strip_prefix('~')?.parse::<u64>().ok());
        let place = number.and_then(|number| number.checked_sub(self.dropped_events));
        place.and_then(|place| self.ends.get(usize::try_from(place).ok()?)).copied().unwrap_or(self.end())
    }

    /// Writes everything after `place` at once, and moves `place`. `None` if the connection is over.
    pub(super) fn write(&self, stream: &mut impl Write, place: &mut u64) -> Option<()> {
        loop {
            let start = usize::try_from(place.checked_sub(self.dropped)?).ok()?;
            let rest = self.bytes.get(start..)?;
            if rest.is_empty() {
                return Some(());
            }
            match stream.write(rest) {
                Ok(0) => return None,
                // If this was not all, the next attempt finds the socket full, so the kernel reports when it has room.
                Ok(written) => *place += written as u64,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Some(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return None,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_survives_events_that_are_dropped_before_it() {
        let mut topic = Topic::default();
        let mut place = topic.place_after(None);
        let data = "x".repeat(1 << 20);
        for _ in 0..100 {
            topic.append(&data);
        }
        assert!(topic.bytes.len() <= MAX_BYTES && topic.dropped_events > 0);
        assert_eq!(topic.write(&mut Vec::new(), &mut place), None, "what is gone is not skipped");
        let mut rest = topic.place_after(Some(&format!("~{:024}", 97)));
        let mut out = Vec::new();
        assert_eq!(topic.write(&mut out, &mut rest), Some(()));
        let out = String::from_utf8(out).expect("it is text");
        let ids: Vec<_> = out.lines().filter_map(|line| line.strip_prefix("id: ~")).collect();
        assert_eq!(ids, [format!("{:024}", 98), format!("{:024}", 99)]);
        assert_eq!(rest, topic.end());
    }
}

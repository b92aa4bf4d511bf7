//! The data of the updates. Readers use it to check the order and to compute the latency.

use std::fmt::Write;

/// The minimum size of data that holds all fields.
const HEAD_BYTES: usize = "~01234567 0123456789 01234567890123456789 ".len();

/// The data of one run. It begins with the number of the run, so that other data is never taken for it.
#[derive(Debug, Clone)]
pub(super) struct Payload {
    prefix: String,
    bytes: usize,
}

/// The fields in a payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mark {
    /// The number of the update in its topic, from 0.
    pub(super) number: u64,
    /// The time at which it should have been sent, in nanoseconds of the `Clock`. The publisher may have been late.
    pub(super) due: u64,
}

impl Payload {
    pub(super) fn new(run: u32, bytes: usize) -> Payload {
        Payload { prefix: format!("~{run:08x} "), bytes: bytes.max(HEAD_BYTES) }
    }

    /// Appends the data of one update: printable ASCII without quotes or backslashes, so that JSON needs no escapes.
    pub(super) fn write(&self, mark: Mark, out: &mut String) {
        let start = out.len();
        let _ = write!(out, "{}{:010} {:020} ", self.prefix, mark.number, mark.due);
        let filler = self.bytes.saturating_sub(out.len() - start);
        out.extend(std::iter::repeat_n('x', filler));
    }

    /// Reads the data of an event. `None` if it is not complete, or of another run.
    pub(super) fn parse(&self, data: &[u8]) -> Option<Mark> {
        if data.len() != self.bytes {
            return None;
        }
        let rest = data.strip_prefix(self.prefix.as_bytes())?;
        Some(Mark { number: decimal(rest.get(..10)?)?, due: decimal(rest.get(11..31)?)? })
    }
}

fn decimal(digits: &[u8]) -> Option<u64> {
    digits.iter().try_fold(0_u64, |number, digit| {
        let digit = digit.is_ascii_digit().then(|| u64::from(digit - b'0'))?;
        number.checked_mul(10)?.checked_add(digit)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_nothing_else() {
        let payload = Payload::new(7, 200);
        let mark = Mark { number: 1234, due: 1_700_000_000_000_000_000 };
        let mut data = String::new();
        payload.write(mark, &mut data);
        assert_eq!((data.len(), payload.parse(data.as_bytes())), (200, Some(mark)));
        assert_eq!(Payload::new(8, 200).parse(data.as_bytes()), None, "another run's");
        assert_eq!(payload.parse(&data.as_bytes()[..199]), None, "cut off");
        assert_eq!(payload.parse(b"{\"id\": \"~0\"}"), None);
    }
}

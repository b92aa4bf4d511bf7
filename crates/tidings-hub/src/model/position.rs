//! Places in a log, and the event IDs that name them.

use std::{fmt, io};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

/// One life of a log: 48 random bits.
///
/// A log that is wiped, or found to have been rolled back, starts a new epoch, so that an old ID can never silently
/// mean a different record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Epoch(u64);

impl Epoch {
    const MASK: u64 = (1 << 48) - 1;

    /// The epoch of a log that begins now.
    ///
    /// # Errors
    /// When the operating system has no randomness to give.
    pub fn random() -> io::Result<Epoch> {
        Ok(Epoch::from_bits(getrandom::u64()?))
    }

    /// The epoch with these 48 bits; higher ones are cut off.
    pub fn from_bits(bits: u64) -> Epoch {
        Epoch(bits & Epoch::MASK)
    }

    /// The 48 bits, to be stored.
    pub fn bits(self) -> u64 {
        self.0
    }
}

/// A position in the order of one log, with what tells that the record there is still the same one.
///
/// Sequences start at 1 and have no holes. Sequence 0 is the position before every record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Position {
    /// The number of the record that was last seen.
    pub sequence: u64,
    /// That record's check ([`Record::check`](crate::log::Record::check)); 0 where there is no record to check.
    pub check: u32,
}

impl Position {
    /// Before every record.
    pub const START: Position = Position { sequence: 0, check: 0 };

    /// The position `sequence`, of which no record is left to check.
    pub fn unchecked(sequence: u64) -> Position {
        Position { sequence, check: 0 }
    }
}

/// The ID that the hub gives to an event: where it stands, as text.
///
/// A tilde and 24 characters of base64url for 18 bytes: epoch (6), sequence (8), check (4), each big-endian. The length
/// is fixed and no bit is spare, so each position has exactly one text. IDs that start with a tilde are the hub's alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct HubId {
    /// The life of the log that the position is in.
    pub epoch: Epoch,
    /// The position.
    pub position: Position,
}

impl HubId {
    /// The first character of each ID made by the hub. No other ID may start with it.
    pub const PREFIX: char = '~';

    /// How long each is, in bytes.
    pub const LEN: usize = 25;

    /// Reads an ID back; anything that [`Display`](fmt::Display) would not have written is `None`.
    pub fn parse(text: &str) -> Option<HubId> {
        let encoded = text.strip_prefix(HubId::PREFIX)?;
        let mut bytes = [0; 18];
        // The decoder refuses other alphabets and padding; 24 characters are exactly 18 bytes.
        if encoded.len() != HubId::LEN - 1 || URL_SAFE_NO_PAD.decode_slice(encoded, &mut bytes) != Ok(18) {
            return None;
        }
        let number = |range: &[u8]| range.iter().fold(0, |number, byte| number << 8 | u64::from(*byte));
        let check = number(&bytes[14..]) as u32;
        Some(HubId {
            epoch: Epoch::from_bits(number(&bytes[..6])),
            position: Position { sequence: number(&bytes[6..14]), check },
        })
    }

    /// The bytes of [`to_bytes`](HubId::to_bytes), as text.
    pub(crate) fn as_str(bytes: &[u8; HubId::LEN]) -> &str {
        std::str::from_utf8(bytes).expect("base64url is ASCII")
    }

    /// The bytes of its text.
    pub(crate) fn to_bytes(self) -> [u8; HubId::LEN] {
        let mut bytes = [0; 18];
        bytes[..6].copy_from_slice(&self.epoch.bits().to_be_bytes()[2..]);
        bytes[6..14].copy_from_slice(&self.position.sequence.to_be_bytes());
        bytes[14..].copy_from_slice(&self.position.check.to_be_bytes());
        let mut text = [HubId::PREFIX as u8; HubId::LEN];
        URL_SAFE_NO_PAD.encode_slice(bytes, &mut text[1..]).expect("18 bytes are 24 characters");
        text
    }
}

impl fmt::Display for HubId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(HubId::as_str(&self.to_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(epoch: u64, sequence: u64, check: u32) -> HubId {
        HubId { epoch: Epoch::from_bits(epoch), position: Position { sequence, check } }
    }

    #[test]
    fn an_id_says_its_place_and_back() {
        for id in [id(0, 0, 0), id(u64::MAX, u64::MAX, u32::MAX), id(0x0123_4567_89ab, 42, 0xdead_beef)] {
            let text = id.to_string();
            assert_eq!(text.len(), HubId::LEN);
            assert_eq!(HubId::parse(&text), Some(id));
        }
        assert_eq!(id(0x0123_4567_89ab, 42, 0xdead_beef).to_string(), "~ASNFZ4mrAAAAAAAAACrerb7v");
    }

    #[test]
    fn garbage_is_no_id() {
        let good = id(1, 2, 3).to_string();
        for bad in [
            "",
            "~",
            "42",
            &good[1..],
            &good[..24],
            &format!("{good}A"),
            &format!(" {good}"),
            &good.replace('A', "+"),
        ] {
            assert_eq!(HubId::parse(bad), None, "{bad}");
        }
    }
}

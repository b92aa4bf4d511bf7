//! The answer to a publish, as JSON.

use std::io::Write as _;

use serde::Serialize;

use crate::{
    attachments::Announcement,
    dialect::{Published, Receipts},
    log::{HubId, RecordId},
};

/// The answer to one update.
#[derive(Serialize)]
struct OneJson<'a> {
    id: &'a RecordId,
    sequence: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    attachment: Option<String>,
}

/// The answer to many.
#[derive(Serialize)]
struct ManyJson<'a> {
    count: u64,
    first: Option<&'a RecordId>,
    last: Option<&'a RecordId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    attachment: Option<&'a str>,
}

/// A line of JSON.
pub(super) fn json(published: &Published<'_>) -> Vec<u8> {
    match published {
        Published::One(receipt) => match (&receipt.id, &receipt.attachment) {
            (RecordId::Hub(id), None) => one(id, receipt.sequence),
            (id, attachment) => serialized(&OneJson {
                id,
                sequence: receipt.sequence,
                attachment: attachment.as_ref().map(Announcement::url),
            }),
        },
        Published::Many(Receipts { count, first, last, attachment }) => serialized(&ManyJson {
            count: *count,
            first: first.as_ref(),
            last: last.as_ref(),
            attachment: attachment.as_deref(),
        }),
    }
}

fn serialized(answer: &impl Serialize) -> Vec<u8> {
    let mut json = serde_json::to_vec(answer).expect("text and numbers are JSON");
    json.push(b'\n');
    json
}

/// The answer to most publishes, with nothing in it that JSON escapes: a `OneJson` of this ID.
fn one(id: &HubId, sequence: u64) -> Vec<u8> {
    let (before, between, after) = ("{\"id\":\"", "\",\"sequence\":", "}\n");
    // Of just its length, which spares `Bytes` a piece of memory.
    let digits = sequence.checked_ilog10().unwrap_or(0) as usize + 1;
    let length = before.len() + HubId::LEN + between.len() + digits + after.len();
    let mut json = Vec::with_capacity(length);
    json.extend_from_slice(before.as_bytes());
    json.extend_from_slice(&id.to_bytes());
    json.extend_from_slice(between.as_bytes());
    write!(json, "{sequence}").expect("writing to memory does not fail");
    json.extend_from_slice(after.as_bytes());
    json
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::{Epoch, Position};

    #[test]
    fn a_receipt_written_by_hand_is_the_one_that_is_serialized() {
        for sequence in [0, 1, 9, 10, 1_000, 12_345, u64::MAX] {
            let id = HubId { epoch: Epoch::from_bits(7), position: Position { sequence, check: 3 } };
            let answer = OneJson { id: &RecordId::Hub(id), sequence, attachment: None };
            let mut expected = serde_json::to_string(&answer).unwrap();
            expected.push('\n');
            let json = one(&id, sequence);
            assert_eq!(json.len(), json.capacity());
            assert_eq!(String::from_utf8(json).unwrap(), expected);
        }
    }
}

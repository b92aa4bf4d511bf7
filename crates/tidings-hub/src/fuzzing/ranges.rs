//! Reads the `Range` of a request for an attachment.

use crate::http::fuzzed::{Wanted, wanted};

/// A range lies within the file and equals the range in the header. A header that is not a single range of bytes means
/// the whole file.
///
/// Input: the size of the file in eight bytes, big-endian; then the header.
pub fn ranges(input: &[u8]) {
    let (size, header) = input.split_at(input.len().min(8));
    let size = size.iter().fold(0, |size, byte| size << 8 | u64::from(*byte));
    let Ok(header) = std::str::from_utf8(header) else { return };
    let is = wanted(header, size);
    assert_eq!(is, asked(header, size), "{header:?} of {size} bytes");
    if let Wanted::Part { first, last } = is {
        assert!(first <= last && last < size, "{first} to {last} of {size} bytes");
        for same in [format!("bytes={first}-{last}"), format!("BYTES = {first}-{last} ")] {
            assert_eq!(wanted(&same, size), is, "{same:?} of {size} bytes");
        }
        assert_eq!(wanted(&format!("bytes=-{}", size - first), size), Wanted::Part { first, last: size - 1 });
    }
}

/// The same result by the text of RFC 9110, section 14.1.2, in whole numbers of any size.
fn asked(header: &str, size: u64) -> Wanted {
    let size = u128::from(size);
    let part = |first: u128, last: u128| match first < size {
        true => Wanted::Part { first: first as u64, last: last.min(size - 1) as u64 },
        false => Wanted::Nothing,
    };
    let ranges = header.split_once('=').filter(|(unit, _)| unit.trim().eq_ignore_ascii_case("bytes"));
    let Some((first, last)) = ranges.and_then(|(_, range)| range.trim().split_once('-')) else {
        return Wanted::Whole;
    };
    match (number(first), number(last)) {
        (Some(first), Some(last)) if first <= last => part(first, last),
        (Some(first), None) if last.is_empty() => part(first, u128::MAX),
        (None, Some(0)) if first.is_empty() => Wanted::Nothing,
        (None, Some(count)) if first.is_empty() => part(size.saturating_sub(count), u128::MAX),
        _ => Wanted::Whole,
    }
}

/// Reads digits. Numbers of more than twenty digits are all larger than any file, and count as equal.
fn number(text: &str) -> Option<u128> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let digits = text.trim_start_matches('0');
    let number = if digits.len() > 20 { u128::MAX } else { digits.parse().unwrap_or(0) };
    Some(number.min(u128::from(u64::MAX)))
}

//! The `Range` of a request (RFC 9110, section 14).

/// The part of some bytes that a request asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// All of them.
    Whole,
    /// The bytes from `first` to `last`, both included.
    Part { first: u64, last: u64 },
    /// Bytes after the end alone.
    Nothing,
}

/// Reads a `Range` header for `size` bytes. A header that is not a single range of bytes is ignored, as HTTP allows.
pub(crate) fn wanted(range: &str, size: u64) -> Wanted {
    parse(range, size).unwrap_or(Wanted::Whole)
}

fn parse(range: &str, size: u64) -> Option<Wanted> {
    let (unit, spec) = range.split_once('=')?;
    let (first, last) = spec.trim().split_once('-')?;
    if !unit.trim().eq_ignore_ascii_case("bytes") {
        return None;
    }
    let end = size.checked_sub(1);
    if first.is_empty() {
        // The last so many.
        let count = number(last)?;
        return Some(match end {
            Some(end) if count > 0 => Wanted::Part { first: size.saturating_sub(count), last: end },
            _ => Wanted::Nothing,
        });
    }
    let first = number(first)?;
    let last = if last.is_empty() { u64::MAX } else { number(last)? };
    if last < first {
        return None;
    }
    Some(match end {
        Some(end) if first <= end => Wanted::Part { first, last: last.min(end) },
        _ => Wanted::Nothing,
    })
}

/// Digits alone. A number that is too large to count is after every end.
fn number(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::{Wanted::*, *};

    #[test]
    fn one_range_is_a_part_and_anything_odd_is_the_whole() {
        let huge = "9".repeat(30);
        let cases = [
            ("bytes=0-0", Part { first: 0, last: 0 }),
            ("bytes=2-5", Part { first: 2, last: 5 }),
            ("Bytes= 2-5", Part { first: 2, last: 5 }),
            ("bytes=2-", Part { first: 2, last: 9 }),
            ("bytes=2-99", Part { first: 2, last: 9 }),
            (&format!("bytes=2-{huge}"), Part { first: 2, last: 9 }),
            ("bytes=-3", Part { first: 7, last: 9 }),
            ("bytes=-99", Part { first: 0, last: 9 }),
            ("bytes=10-", Nothing),
            ("bytes=10-20", Nothing),
            (&format!("bytes={huge}-"), Nothing),
            ("bytes=-0", Nothing),
            ("bytes=0-1,4-5", Whole),
            ("bytes=5-2", Whole),
            ("bytes=-", Whole),
            ("bytes=a-b", Whole),
            ("bytes=+1-2", Whole),
            ("bytes=1--2", Whole),
            ("lines=1-2", Whole),
            ("bytes", Whole),
            ("", Whole),
        ];
        for (range, expected) in cases {
            assert_eq!(wanted(range, 10), expected, "{range}");
        }
        for range in ["bytes=0-", "bytes=0-0", "bytes=-1"] {
            assert_eq!(wanted(range, 0), Nothing, "{range} of an empty file");
        }
    }
}

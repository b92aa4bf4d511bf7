//! Faults in the bytes of the stream itself.

use super::super::{
    case::{Case, Role},
    finding::Finding,
    observation::{End, MAX_KEPT_BYTES, Seen, What},
};

/// Larger events burden everything that reads the stream.
const HUGE_EVENT_BYTES: usize = 1 << 20;

/// The least amount of data by which the kind of data can be judged.
const ENOUGH_DATA_BYTES: usize = 2048;

pub(super) fn findings(case: &Case) -> Vec<Finding> {
    // A proxy's changes to bytes show on every stream. The application's own mistakes show only on its own stream.
    let streams: Vec<_> = [Role::Plain, Role::Probe]
        .iter()
        .filter_map(|role| case.get(*role))
        .filter(|seen| seen.is_stream() && seen.is_decoded)
        .collect();
    let mut findings: Vec<Finding> = streams.iter().flat_map(|seen| in_bytes(seen)).collect();
    findings.extend(case.get(Role::Plain).filter(|plain| plain.is_stream()).and_then(no_retry));
    findings
}

fn in_bytes(seen: &Seen) -> Vec<Finding> {
    let found = |rule, measured: String| Finding::of(rule, measured, "the bytes as they arrived");
    let mut findings = Vec::new();
    if seen.body.starts_with(b"\xEF\xBB\xBF") {
        findings.push(found("byte-order-mark", "EF BB BF before the first field".into()));
    }
    findings.extend(line_ends(&seen.body).map(|(rule, measured)| found(rule, measured)));
    if let Some(at) = invalid_utf8(&seen.body) {
        findings.push(found("invalid-utf8", format!("at byte {at}")));
    }
    let fields = || seen.body.split(|byte| matches!(byte, b'\n' | b'\r'));
    if fields().any(|line| line.starts_with(b"id") && line.contains(&0)) {
        findings.push(found("nul-in-id", "an id field with a NUL".into()));
    }
    let bad_retry = fields().filter_map(|line| line.strip_prefix(b"retry:")).find_map(|value| {
        let value = String::from_utf8_lossy(value.strip_prefix(b" ").unwrap_or(value)).into_owned();
        let is_good = !value.is_empty()
            && value.bytes().all(|byte| byte.is_ascii_digit())
            && value.bytes().any(|byte| byte != b'0');
        (!is_good).then_some(value)
    });
    findings.extend(bad_retry.map(|value| found("bad-retry", format!("retry: {value:?}"))));
    if seen.end == End::Complete && seen.body.len() < MAX_KEPT_BYTES && is_unfinished(&seen.body) {
        findings.push(found("unfinished-event", "the stream ends within an event".into()));
    }
    findings.extend(data(seen));
    findings
}

/// The rule that the line ends break, with the number of line ends of each kind.
fn line_ends(body: &[u8]) -> Option<(&'static str, String)> {
    let (mut crlf, mut cr, mut lf) = (0, 0, 0);
    let mut bytes = body.iter().peekable();
    while let Some(byte) = bytes.next() {
        match (byte, bytes.peek()) {
            (b'\r', Some(b'\n')) => {
                bytes.next();
                crlf += 1;
            }
            // The byte after the last one is not known yet.
            (b'\r', None) => {}
            (b'\r', _) => cr += 1,
            (b'\n', _) => lf += 1,
            _ => {}
        }
    }
    let kinds = [(crlf, "CRLF"), (cr, "CR"), (lf, "LF")];
    let kinds: Vec<_> =
        kinds.iter().filter(|(count, _)| *count > 0).map(|(count, name)| format!("{count} {name}")).collect();
    match &*kinds {
        [] => None,
        [only] => (lf == 0).then(|| ("carriage-returns", format!("{only}, no LF"))),
        several => Some(("mixed-line-ends", several.join(", "))),
    }
}

/// The position of the first byte that is not UTF-8. Our own leaving may have cut the last character.
fn invalid_utf8(body: &[u8]) -> Option<usize> {
    let error = std::str::from_utf8(body).err()?;
    error.error_len().map(|_| error.valid_up_to())
}

/// Whether the last block has a field with data, but no blank line after it.
fn is_unfinished(body: &[u8]) -> bool {
    let text = String::from_utf8_lossy(body).replace("\r\n", "\n").replace('\r', "\n");
    let last = text.rsplit("\n\n").next().unwrap_or_default();
    last.lines().any(|line| line.starts_with("data"))
}

fn data(seen: &Seen) -> Option<Finding> {
    let found = |rule, measured: String| Some(Finding::of(rule, measured, "the events as they arrived"));
    let largest = seen.events().map(|event| event.data_bytes).max()?;
    if largest > HUGE_EVENT_BYTES {
        return found("huge-event", format!("{:.1} MiB of data", largest as f64 / f64::from(1 << 20)));
    }
    if seen.is_probe() {
        return None;
    }
    let all: usize = seen.events().map(|event| event.data.len()).sum();
    let binary: usize = seen.events().map(|event| binary_bytes(event.data)).sum();
    let percent = binary * 100 / all.max(1);
    (all >= ENOUGH_DATA_BYTES && percent > 50).then(|| {
        found("binary-in-text", format!("{percent} % of the data looks like base64 or control characters"))
    })?
}

/// Counts the bytes in long runs without a space or punctuation, such as base64, and control characters.
fn binary_bytes(data: &str) -> usize {
    let is_base64 =
        |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=' | b'-' | b'_');
    let runs = data.as_bytes().split(|byte| !is_base64(*byte)).map(<[u8]>::len).filter(|run| *run >= 256);
    let control = data.bytes().filter(|byte| byte.is_ascii_control() && !byte.is_ascii_whitespace()).count();
    runs.sum::<usize>() + control
}

fn no_retry(plain: &Seen) -> Option<Finding> {
    let says = plain.said.iter().any(|said| matches!(said.what, What::Retry(_)));
    let is_whole = plain.is_decoded && plain.events().count() >= 3;
    let attempted = memchr::memmem::find(&plain.body, b"retry:").is_some();
    (is_whole && !says && !attempted)
        .then(|| Finding::of("no-retry", "no retry field", "the stream as it arrived"))
}

#[cfg(test)]
mod tests {
    use super::super::names;
    use super::*;
    use crate::doctor::case::made::{CLEAN, answer, case, stream};

    fn found(body: &str) -> Vec<&'static str> {
        found_in(answer(200, CLEAN, &[(1, body)], End::Complete))
    }

    fn found_in(plain: Seen) -> Vec<&'static str> {
        names(&findings(&case("http://localhost/", vec![(Role::Plain, plain)])))
    }

    #[test]
    fn clean_bytes_are_clean() {
        for body in ["retry: 3000\ndata: a\n\n", ":\n", ""] {
            assert!(found(body).is_empty(), "{body:?}");
        }
    }

    #[test]
    fn each_mistake_in_the_bytes_has_its_rule() {
        assert_eq!(found("\u{FEFF}data: a\n\n"), ["byte-order-mark"]);
        assert_eq!(found("data: a\r\ndata: b\n\r\n"), ["mixed-line-ends"]);
        assert_eq!(found("retry: 3000\r\ndata: a\r\n\r\n"), ["carriage-returns"]);
        assert_eq!(found("retry: 3000\rdata: a\r\r"), ["carriage-returns"]);
        assert_eq!(found("id: a\0b\ndata: a\n\n"), ["nul-in-id"]);
        assert_eq!(found("retry: soon\ndata: a\n\n"), ["bad-retry"]);
        assert_eq!(found("retry: 0\ndata: a\n\n"), ["bad-retry"]);
        assert_eq!(found("data: a\n\ndata: b\n"), ["unfinished-event"]);
        assert_eq!(found(&"data: a\n\n".repeat(3)), ["no-retry"]);
        assert_eq!(found(&format!("data: {}\n\n", "QUJD".repeat(800))), ["binary-in-text"]);
        assert_eq!(found(&format!("data: {}\n\n", "a b ".repeat(300_000))), ["huge-event"]);
        assert!(found(&format!("data: {}\n\n", "some words of text, ".repeat(200))).is_empty());
    }

    #[test]
    fn bytes_that_are_no_utf8_are_found_but_not_a_character_that_is_cut() {
        let mut seen = stream(&[(1, "data: a")]);
        seen.body.extend(b"\xFF\n\n");
        assert_eq!(found_in(seen), ["invalid-utf8"]);
        let mut seen = stream(&[(1, "data: ")]);
        seen.body.extend(b"\xE2\x82");
        assert!(found_in(seen).is_empty());
    }
}

//! Responses that cannot be read: the bytes are not HTTP, or the connection ends before a response.

use super::super::{
    case::{Case, Role},
    finding::Finding,
    observation::{End, Protocol, Seen},
};

pub(super) fn findings(case: &Case) -> Vec<Finding> {
    let plain = case.get(Role::Plain).and_then(|plain| Some((plain, unreadable(plain)?)));
    match plain {
        // Over HTTP/2 the rules for HTTP/2 report it.
        Some((plain, _)) if plain.protocol == Some(Protocol::Http2) => vec![],
        Some((_, what)) => vec![Finding::of("unreadable", what, "the first request")],
        None => at_times(case).into_iter().collect(),
    }
}

/// Some responses cannot be read, although the stream itself can. HEAD, OPTIONS and other versions of HTTP have their
/// own rules.
fn at_times(case: &Case) -> Option<Finding> {
    let asked = || case.seen.iter().filter(|(role, _)| role.is_for_the_stream());
    let broken: Vec<_> =
        asked().filter_map(|(role, seen)| Some(format!("{}: {}", role.asked(), unreadable(seen)?))).collect();
    let (first, count) = (broken.first()?, broken.len());
    let measured = format!("{count} of {} requests, the first {first}", asked().count());
    Some(Finding::of("unreadable-at-times", measured, "the same stream, requested in several ways"))
}

/// The bytes that arrived instead of a response. `None` if a response arrived, or might still have arrived.
pub(in crate::doctor) fn unreadable(seen: &Seen) -> Option<String> {
    let (None, End::Broken(reason)) = (&seen.head, &seen.end) else { return None };
    let first = &*seen.first_bytes;
    Some(match first {
        // TLS failed.
        _ if seen.protocol.is_none() => reason.clone(),
        [] if reason.contains("reset") => "the connection was reset before a byte of an answer".into(),
        [] => format!("the connection ended before a byte of an answer ({reason})"),
        [0x15 | 0x16, 3, ..] => "the server speaks TLS: use https://".into(),
        [_, _, _, 4, _, 0, 0, 0, 0, ..] => "the server speaks HTTP/2: use --http2".into(),
        _ if first.starts_with(b"HTTP/") => format!("the head of the answer is broken ({reason})"),
        _ => format!("the answer is not HTTP, it begins {:?}", beginning(first)),
    })
}

fn beginning(bytes: &[u8]) -> String {
    const MAX_CHARACTERS: usize = 40;
    let line = bytes.split(|&byte| byte == b'\n').next().unwrap_or_default();
    String::from_utf8_lossy(line).trim_end().chars().take(MAX_CHARACTERS).collect()
}

#[cfg(test)]
mod tests {
    use super::super::names;
    use super::*;
    use crate::doctor::case::made::{case, stream};

    fn broken(first_bytes: &[u8], reason: &str) -> Seen {
        Seen {
            protocol: Some(Protocol::Http1),
            first_bytes: first_bytes.to_vec(),
            end: End::Broken(reason.into()),
            ..Seen::default()
        }
    }

    #[test]
    fn what_came_instead_of_an_answer_is_named() {
        let ssh = "the answer is not HTTP, it begins \"SSH-2.0-OpenSSH_9.2\"";
        for (bytes, reason, said) in [
            (&b""[..], "Connection reset by peer", "the connection was reset before a byte of an answer"),
            (b"", "closed", "the connection ended before a byte of an answer (closed)"),
            (b"SSH-2.0-OpenSSH_9.2\r\n", "invalid HTTP version parsed", ssh),
            (b"\x15\x03\x01\0\x02\x02\x46", "invalid", "the server speaks TLS: use https://"),
            (&[0, 0, 6, 4, 0, 0, 0, 0, 0, 0], "invalid", "the server speaks HTTP/2: use --http2"),
            (
                b"HTTP/1.1 200 OK\r\nX: a\r\n b",
                "invalid header",
                "the head of the answer is broken (invalid header)",
            ),
        ] {
            let found = findings(&case("http://localhost/", vec![(Role::Plain, broken(bytes, reason))]));
            assert_eq!((names(&found), &*found[0].measured), (vec!["unreadable"], said));
        }
    }

    #[test]
    fn some_unreadable_answers_beside_a_stream_are_told_apart() {
        let seen = vec![
            (Role::Plain, stream(&[])),
            (Role::Gzip, broken(b"", "closed")),
            (Role::Again, stream(&[])),
            (Role::Head, broken(b"", "closed")),
        ];
        let found = findings(&case("http://localhost/", seen));
        let said = "1 of 3 requests, the first with Accept-Encoding: gzip: the connection ended before a byte of an answer (closed)";
        assert_eq!((names(&found), &*found[0].measured), (vec!["unreadable-at-times"], said));
    }

    #[test]
    fn an_answer_that_breaks_later_or_is_only_late_can_be_read() {
        let mut later = stream(&[(5, "data: a\n\n")]);
        later.end = End::Broken("closed".into());
        let late = Seen { protocol: Some(Protocol::Http1), ..Seen::default() };
        for plain in [later, late] {
            assert!(findings(&case("http://localhost/", vec![(Role::Plain, plain)])).is_empty());
        }
    }
}

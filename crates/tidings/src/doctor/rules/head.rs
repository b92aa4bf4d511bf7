//! Faults in the head of the response.

use std::time::Duration;

use super::super::{
    case::{Case, Role},
    exchange::Unpack,
    finding::Finding,
    observation::{End, Protocol, Seen},
    vendors::{Hop, hops},
};

/// A first byte after this time is late.
const LATE: Duration = Duration::from_secs(3);

/// Names of parameters that hold secrets.
const SECRETS: [&str; 9] =
    ["token", "access_token", "auth", "apikey", "api_key", "key", "jwt", "password", "secret"];

pub(super) fn findings(case: &Case) -> Vec<Finding> {
    let mut findings = Vec::new();
    findings.extend(redirect(case));
    findings.extend(token_in_url(case));
    findings.extend(plain_http(case));
    findings.extend(head_request(case));
    findings.extend(options_request(case));
    let Some(plain) = case.get(Role::Plain) else { return findings };
    findings.extend(first_byte(plain, case));
    findings.extend(status(plain));
    if plain.status() == Some(200) {
        findings.extend(content_type(plain));
    }
    if plain.is_stream() {
        findings.extend(content_length(plain));
        findings.extend(content_encoding_none(case, plain));
        findings.extend(cache_control(plain));
        findings.extend(cache_hit(plain));
    }
    findings
}

fn redirect(case: &Case) -> Option<Finding> {
    let (status, location) = case.redirects.first()?;
    let count = case.redirects.len();
    let measured = if count == 1 {
        format!("{status} to {location}")
    } else {
        format!("{count} redirects, the first {status} to {location}")
    };
    Some(Finding::of("redirect", measured, "the first request, without following it"))
}

fn status(plain: &Seen) -> Option<Finding> {
    let status = plain.status()?;
    if matches!(status, 200 | 204 | 300..=399) {
        return None;
    }
    let hop = matches!(status, 502..=504 | 520..=530).then(|| hops(plain).first().map(Hop::shown)).flatten();
    Some(Finding::of("bad-status", format!("status {status}"), beginning(plain)).with_hop(hop))
}

fn content_type(plain: &Seen) -> Option<Finding> {
    if plain.is_stream() {
        return None;
    }
    let given = plain.header("content-type").unwrap_or("missing");
    let start =
        String::from_utf8_lossy(&plain.body[..plain.body.len().min(64)]).trim_start().to_ascii_lowercase();
    let is_page =
        given.starts_with("text/html") || start.starts_with("<!doctype html") || start.starts_with("<html");
    let rule = if is_page { "html-page" } else { "wrong-content-type" };
    Some(Finding::of(rule, format!("Content-Type: {given}"), beginning(plain)))
}

fn content_length(plain: &Seen) -> Option<Finding> {
    let length = plain.header("content-length")?;
    Some(Finding::of("content-length", format!("Content-Length: {length}"), "the answer's head"))
}

fn content_encoding_none(case: &Case, plain: &Seen) -> Option<Finding> {
    let none = |seen: &Seen| {
        let coding = seen.header("content-encoding")?.trim();
        let is_none = !coding.eq_ignore_ascii_case("identity") && Unpack::of(Some(coding)).is_plain();
        is_none.then(|| format!("Content-Encoding: {coding}"))
    };
    let given = none(plain).or_else(|| none(case.get(Role::Browser)?))?;
    Some(Finding::of("content-encoding-none", given, "the answer's head"))
}

fn cache_control(plain: &Seen) -> Option<Finding> {
    let given = plain.header("cache-control").unwrap_or_default().to_ascii_lowercase();
    let has = |word: &str| given.split(',').any(|directive| directive.trim() == word);
    let evidence =
        if given.is_empty() { "no Cache-Control".into() } else { format!("Cache-Control: {given}") };
    if !has("no-cache") && !has("no-store") && !has("private") && !has("max-age=0") {
        return Some(Finding::of("cacheable", evidence, "the answer's head"));
    }
    (!has("no-transform")).then(|| Finding::of("no-transform-missing", evidence, "the answer's head"))
}

/// A cache says itself that it answered.
fn cache_hit(plain: &Seen) -> Option<Finding> {
    let age = plain.header("age").filter(|age| age.trim().parse().is_ok_and(|age: u64| age > 0));
    let age = age.map(|age| format!("Age: {age}"));
    let hit = ["x-cache", "cf-cache-status", "x-cache-status", "x-vercel-cache", "x-proxy-cache"]
        .iter()
        .find_map(|name| {
            let value = plain.header(name)?;
            value.to_ascii_lowercase().contains("hit").then(|| format!("{name}: {value}"))
        });
    let evidence = hit.or(age)?;
    let hop = hops(plain).into_iter().find(|hop| !hop.is_application());
    let fix = hop.as_ref().map_or("cdn", |hop| hop.fix);
    Some(
        Finding::of("cached", evidence, "the answer's head")
            .with_fix(fix)
            .with_hop(hop.map(|hop| hop.shown())),
    )
}

fn first_byte(plain: &Seen, case: &Case) -> Option<Finding> {
    match &plain.head {
        None if plain.end == End::Open => {
            // A stream of known timing that arrived at once, or all at the end, tells more than this.
            let probed = case.get(Role::Probe).is_some_and(|probe| probe.head.is_some());
            (!probed).then(|| {
                let measured = format!("no header within {} s", plain.ended.as_secs());
                let finding = Finding::of("no-first-byte", measured, "the first request").consistent();
                // The usual cause is a proxy that buffers. It names itself in its responses to other requests.
                match case.seen.iter().flat_map(|(_, seen)| hops(seen)).find(|hop| !hop.is_application()) {
                    Some(hop) => finding.with_fix(hop.fix).with_hop(Some(hop.shown())),
                    None => finding,
                }
            })
        }
        Some(head) if head.at > LATE && !case.is_cooperative() => {
            let measured = format!("{:.1} s until the header", head.at.as_secs_f64());
            Some(Finding::of("late-first-byte", measured, "the first request"))
        }
        _ => None,
    }
}

fn token_in_url(case: &Case) -> Option<Finding> {
    let query = case.url.query()?;
    let pairs = form_urlencoded::parse(query.as_bytes());
    let name = pairs.into_iter().find_map(|(name, value)| is_secret(&name, &value).then_some(name))?;
    // The value is a secret, so it is not repeated.
    Some(Finding::of("token-in-url", format!("parameter {name:?}"), "the URL").consistent())
}

/// Whether a parameter of a URL is a secret, by its name or by its value.
pub(in crate::doctor) fn is_secret(name: &str, value: &str) -> bool {
    let looks_like_one = value.len() > 40 && value.matches('.').count() == 2 && value.starts_with("eyJ");
    SECRETS.contains(&&*name.to_ascii_lowercase()) && !value.is_empty() || looks_like_one
}

fn plain_http(case: &Case) -> Option<Finding> {
    let host = case.url.host()?.trim_matches(['[', ']']);
    let address = host.parse::<std::net::IpAddr>();
    let is_near = host == "localhost"
        || host.ends_with(".localhost")
        || host.ends_with(".internal")
        || host.ends_with(".local")
        || !host.contains(['.', ':'])
        || address.is_ok_and(|address| match address {
            std::net::IpAddr::V4(v4) => v4.is_loopback() || v4.is_private(),
            std::net::IpAddr::V6(v6) => v6.is_loopback() || v6.is_unique_local(),
        });
    (case.url.scheme_str() == Some("http") && !is_near)
        .then(|| Finding::of("plain-http", "http://", "the URL").consistent())
}

fn head_request(case: &Case) -> Option<Finding> {
    let head = case.get(Role::Head).filter(|_| is_prompt_stream(case))?;
    let measured = match (head.status(), &head.end) {
        (Some(status), _) if status >= 500 => format!("HEAD is answered with {status}"),
        (None, End::Open) => "HEAD is not answered".into(),
        (_, End::Broken(reason)) => format!("HEAD breaks the connection: {reason}"),
        // Over HTTP/1.1 the response ends with its head, even if bytes follow. Over HTTP/2 the server marks the end.
        (Some(_), End::Open) if head.protocol == Some(Protocol::Http2) => {
            "HEAD opens a stream that does not end".into()
        }
        (Some(status), _) => match head.bytes_behind_head() {
            0 => return None,
            bytes => format!("HEAD is answered with {status} and a body: {bytes} bytes of it arrived"),
        },
        _ => return None,
    };
    Some(Finding::of("head-request", measured, "GET and HEAD at the same URL"))
}

fn options_request(case: &Case) -> Option<Finding> {
    let options = case.get(Role::Preflight).filter(|_| is_prompt_stream(case))?;
    let measured = match (options.status(), &options.end) {
        // A server may answer that it does not know the method.
        (Some(status), _) if status >= 500 && status != 501 => format!("OPTIONS is answered with {status}"),
        (None, End::Open) => "OPTIONS is not answered".into(),
        (None, End::Broken(reason)) => format!("OPTIONS breaks the connection: {reason}"),
        (Some(200), _) if options.is_stream() => "OPTIONS opens an event stream".into(),
        _ => return None,
    };
    Some(Finding::of("options-request", measured, "GET and OPTIONS at the same URL"))
}

/// Whether GET is answered with a stream, and soon. If GET is slow, slow answers to other requests prove nothing.
fn is_prompt_stream(case: &Case) -> bool {
    let prompt = |plain: &&Seen| plain.head.as_ref().is_some_and(|head| head.at < Duration::from_secs(1));
    case.get(Role::Plain).filter(prompt).is_some_and(Seen::is_stream)
}

/// The beginning of a body, for people.
fn beginning(seen: &Seen) -> String {
    let text = String::from_utf8_lossy(&seen.body[..seen.body.len().min(200)]);
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let line: String = line.chars().filter(|character| !character.is_control()).take(80).collect();
    if line.is_empty() { "the answer has no body".into() } else { format!("the body begins: {line}") }
}

#[cfg(test)]
mod tests {
    use super::super::names;
    use super::*;
    use crate::doctor::case::made::{CLEAN, answer, case, stream};

    fn found(headers: &[(&str, &str)], body: &str) -> Vec<&'static str> {
        let plain = answer(200, headers, &[(10, body)], End::Open);
        names(&findings(&case("http://localhost/events", vec![(Role::Plain, plain)])))
    }

    fn with<'a>(more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
        CLEAN.iter().chain(more).copied().collect()
    }

    #[test]
    fn a_head_of_an_event_stream_is_clean() {
        assert!(found(CLEAN, "data: a\n\n").is_empty());
        let suffix = [("content-type", "text/event-stream; charset=utf-8"), CLEAN[1]];
        assert!(found(&suffix, "").is_empty());
        let joined = [("content-type", "text/html, text/event-stream"), CLEAN[1]];
        assert!(found(&joined, "").is_empty());
    }

    #[test]
    fn content_type_says_whether_it_is_a_stream_or_a_page() {
        assert_eq!(found(&[("content-type", "application/json")], "{}"), ["wrong-content-type"]);
        assert_eq!(found(&[], "data: a\n\n"), ["wrong-content-type"]);
        assert_eq!(found(&[("content-type", "text/html")], "<!doctype html>"), ["html-page"]);
        assert_eq!(found(&[("content-type", "text/plain")], " <!DOCTYPE HTML><title>"), ["html-page"]);
    }

    #[test]
    fn headers_that_no_stream_should_have_are_found() {
        assert_eq!(found(&with(&[("content-length", "12")]), ""), ["content-length"]);
        for none in ["none", "utf-8", "chunked", ""] {
            assert_eq!(found(&with(&[("content-encoding", none)]), ""), ["content-encoding-none"], "{none}");
        }
        assert!(found(&with(&[("content-encoding", "Identity")]), "").is_empty());
        assert!(found(&with(&[("content-encoding", "br")]), "").is_empty());
        assert_eq!(found(&with(&[("age", "31")]), ""), ["cached"]);
        assert!(found(&with(&[("age", "0"), ("x-cache", "MISS")]), "").is_empty());
        assert_eq!(found(&with(&[("cf-cache-status", "HIT"), ("cf-ray", "1")]), ""), ["cached"]);
        assert_eq!(found(&CLEAN[..1], ""), ["cacheable"]);
        assert_eq!(found(&[CLEAN[0], ("cache-control", "no-cache")], ""), ["no-transform-missing"]);
    }

    #[test]
    fn statuses_but_200_and_204_are_bad() {
        let found = |status| {
            let plain = answer(status, &[], &[], End::Complete);
            names(&findings(&case("http://localhost/", vec![(Role::Plain, plain)])))
        };
        assert_eq!((found(503), found(404)), (vec!["bad-status"], vec!["bad-status"]));
        assert!(found(204).is_empty());
    }

    #[test]
    fn a_redirect_is_found_although_it_is_followed() {
        let mut case = case("http://localhost/b", vec![(Role::Plain, stream(&[(9, "data: a\n\n")]))]);
        case.redirects.push((302, "/b".into()));
        assert_eq!(names(&findings(&case)), ["redirect"]);
    }

    #[test]
    fn the_first_byte_is_missing_or_late() {
        let silent = Seen { end: End::Open, ..Seen::default() };
        assert_eq!(
            names(&findings(&case("http://localhost/", vec![(Role::Plain, silent)]))),
            ["no-first-byte"]
        );
        let silent = Seen { end: End::Open, ..Seen::default() };
        let nginx = answer(404, &[("server", "nginx")], &[], End::Complete);
        let found =
            findings(&case("http://localhost/", vec![(Role::Plain, silent), (Role::Elsewhere, nginx)]));
        assert_eq!((names(&found), found[0].fix), (vec!["no-first-byte"], "nginx"));
        let mut late = stream(&[]);
        late.head.as_mut().unwrap().at = Duration::from_secs(4);
        assert_eq!(
            names(&findings(&case("http://localhost/", vec![(Role::Plain, late)]))),
            ["late-first-byte"]
        );
    }

    #[test]
    fn a_secret_in_the_url_is_found_and_not_shown() {
        let found = findings(&case("http://localhost/e?topic=a&access_token=hunter2", vec![]));
        assert_eq!(names(&found), ["token-in-url"]);
        assert!(!format!("{found:?}").contains("hunter2"));
        assert!(findings(&case("http://localhost/e?topic=keys", vec![])).is_empty());
    }

    #[test]
    fn plain_http_counts_only_beyond_the_own_network() {
        assert_eq!(names(&findings(&case("http://example.com/", vec![]))), ["plain-http"]);
        for near in [
            "https://example.com/",
            "http://10.0.0.1/",
            "http://[::1]/",
            "http://app/",
            "http://localhost:1/",
        ] {
            assert!(findings(&case(near, vec![])).is_empty(), "{near}");
        }
    }

    #[test]
    fn head_that_fails_or_hangs_is_found() {
        let found = |head| {
            let seen = vec![(Role::Plain, stream(&[])), (Role::Head, head)];
            names(&findings(&case("http://localhost/", seen)))
        };
        assert_eq!(found(answer(500, &[], &[], End::Complete)), ["head-request"]);
        assert_eq!(found(Seen { end: End::Open, ..Seen::default() }), ["head-request"]);
        assert!(found(answer(405, &[], &[], End::Complete)).is_empty());
    }

    #[test]
    fn head_that_opens_a_stream_is_found_over_both_versions() {
        let found = |protocol, first_bytes: &[u8], end| {
            let head = Seen { protocol, first_bytes: first_bytes.to_vec(), ..answer(200, CLEAN, &[], end) };
            let seen = vec![(Role::Plain, stream(&[])), (Role::Head, head)];
            names(&findings(&case("http://localhost/", seen)))
        };
        let http1 = |bytes: &[u8]| found(Some(Protocol::Http1), bytes, End::Complete);
        assert!(http1(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n").is_empty());
        assert!(http1(b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\n\r\n").is_empty());
        assert_eq!(http1(b"HTTP/1.1 200 OK\r\n\r\n: hello\n"), ["head-request"]);
        assert_eq!(http1(b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\n\r\n:\n"), ["head-request"]);
        // The first bytes of HTTP/2 are frames. So are those of a response that was observed for too short a time.
        assert!(found(Some(Protocol::Http2), b"\r\n\r\nx", End::Complete).is_empty());
        assert_eq!(found(Some(Protocol::Http2), b"", End::Open), ["head-request"]);
        assert!(found(Some(Protocol::Http1), b"", End::Open).is_empty());
    }

    #[test]
    fn options_that_fails_hangs_or_opens_a_stream_is_found() {
        let found = |options| {
            let seen = vec![(Role::Plain, stream(&[])), (Role::Preflight, options)];
            names(&findings(&case("http://localhost/", seen)))
        };
        for status in [200, 204, 403, 404, 405, 501] {
            assert!(found(answer(status, &[], &[], End::Complete)).is_empty(), "{status}");
        }
        assert_eq!(found(answer(500, &[], &[], End::Complete)), ["options-request"]);
        assert_eq!(found(Seen { end: End::Open, ..Seen::default() }), ["options-request"]);
        assert_eq!(found(stream(&[(5, ":\n")])), ["options-request"]);
    }
}

//! The table of all faults, and the syntax by which a flag names one.

use std::fmt;

use http::{HeaderValue, StatusCode};

use super::{random::Random, span::Span};

/// A fault in the form of a flag: `NAME[=VALUE][@PERCENT]`.
#[derive(Debug, Clone)]
pub(crate) struct Fault {
    name: &'static str,
    kind: Kind,
    /// The share of affected requests, in hundredths of a percent.
    share: u64,
}

/// The kind of fault, with its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    Status(StatusCode),
    Redirect(StatusCode),
    Cached,
    StripLastEventId,
    DuplicateOnResume,
    ContentType(HeaderValue),
    ContentLength(Span),
    ConnectionHeader,
    Bom,
    CrlfSplit,
    OneBehind,
    Hold(Span),
    HoldAll,
    Gzip,
    Drip(Span),
    IdleCut(Span),
    Lifetime(Span),
}

/// A row of the table.
struct Known {
    name: &'static str,
    /// The default value. Empty if the fault takes none.
    default: &'static str,
    does: &'static str,
    parse: fn(&str) -> Result<Kind, String>,
}

/// The faults in the order in which they are applied. The order of the flags does not matter.
#[rustfmt::skip]
const KNOWN: &[Known] = &[
    Known { name: "status", default: "503", does: "answers with this status without asking the upstream", parse: |value| error_status(value).map(Kind::Status) },
    Known { name: "redirect", default: "307", does: "redirects to the same URL with a mark, where the stream is", parse: |value| redirect_status(value).map(Kind::Redirect) },
    Known { name: "cached", default: "", does: "records the first stream of a URL, and replays it to all later clients", parse: |_| Ok(Kind::Cached) },
    Known { name: "strip-last-event-id", default: "", does: "removes the header Last-Event-ID from the request", parse: |_| Ok(Kind::StripLastEventId) },
    Known { name: "duplicate-on-resume", default: "", does: "sends the event of the last event ID again to a client that resumes", parse: |_| Ok(Kind::DuplicateOnResume) },
    Known { name: "content-type", default: "text/html", does: "gives the stream another content type", parse: |value| HeaderValue::from_str(value).map(Kind::ContentType).map_err(|error| error.to_string()) },
    Known { name: "content-length", default: "64KiB", does: "announces a length, and ends there", parse: |value| Span::parse_bytes(value).map(Kind::ContentLength) },
    Known { name: "connection-header", default: "", does: "adds 'Connection: keep-alive' to HTTP/2, where it is forbidden", parse: |_| Ok(Kind::ConnectionHeader) },
    Known { name: "bom", default: "", does: "begins the stream with a byte order mark", parse: |_| Ok(Kind::Bom) },
    Known { name: "crlf-split", default: "", does: "ends lines with CR and LF, in separate packets", parse: |_| Ok(Kind::CrlfSplit) },
    Known { name: "one-behind", default: "", does: "keeps each event back until the next one arrives", parse: |_| Ok(Kind::OneBehind) },
    Known { name: "hold", default: "8KiB", does: "keeps bytes back until there are this many", parse: |value| Span::parse_bytes(value).map(Kind::Hold) },
    Known { name: "hold-all", default: "", does: "keeps everything back until the stream ends", parse: |_| Ok(Kind::HoldAll) },
    Known { name: "gzip", default: "", does: "compresses without flushing, for clients that accept gzip", parse: |_| Ok(Kind::Gzip) },
    Known { name: "drip", default: "200", does: "passes on at most this many bytes a second", parse: |value| Span::parse_bytes(value).map(Kind::Drip) },
    Known { name: "idle-cut", default: "2s", does: "cuts a connection when nothing arrived for this long", parse: |value| Span::parse_time(value).map(Kind::IdleCut) },
    Known { name: "lifetime", default: "5s", does: "cuts a connection after this time, even if data flows", parse: |value| Span::parse_time(value).map(Kind::Lifetime) },
];

/// 100 %, in the unit of [`Fault::share`].
const ALWAYS: u64 = 10_000;

impl Fault {
    pub(crate) fn parse(text: &str) -> Result<Fault, String> {
        let (rest, share) = match text.rsplit_once('@') {
            Some((rest, share)) => (rest, parse_share(share)?),
            None => (text, ALWAYS),
        };
        let (name, value) = match rest.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (rest, None),
        };
        let known = KNOWN.iter().find(|known| known.name == name);
        let known = known.ok_or_else(|| format!("{name:?} is not a fault; list them with --list"))?;
        if known.default.is_empty() && value.is_some() {
            return Err(format!("{name} takes no value"));
        }
        let kind = (known.parse)(value.unwrap_or(known.default))?;
        if kind == Kind::ConnectionHeader && share != ALWAYS {
            return Err(format!("{name} affects all connections, so it takes no share"));
        }
        Ok(Fault { name: known.name, kind, share })
    }

    /// Returns the fault with one value if it applies to a request. In both cases it makes the same number of random
    /// choices.
    pub(super) fn choose(&self, random: &mut Random) -> Option<Fault> {
        let does = random.up_to(ALWAYS - 1) < self.share;
        let kind = self.kind.choose(random);
        does.then_some(Fault { name: self.name, kind, share: ALWAYS })
    }

    pub(super) fn kind(&self) -> &Kind {
        &self.kind
    }

    /// The position of the fault in the order of application.
    pub(super) fn place(&self) -> usize {
        KNOWN.iter().position(|known| known.name == self.name).unwrap_or(KNOWN.len())
    }
}

impl Kind {
    fn choose(&self, random: &mut Random) -> Kind {
        match self {
            Kind::ContentLength(span) => Kind::ContentLength(span.choose(random)),
            Kind::Hold(span) => Kind::Hold(span.choose(random)),
            Kind::Drip(span) => Kind::Drip(span.choose(random)),
            Kind::IdleCut(span) => Kind::IdleCut(span.choose(random)),
            Kind::Lifetime(span) => Kind::Lifetime(span.choose(random)),
            other => other.clone(),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)?;
        match &self.kind {
            Kind::Status(status) | Kind::Redirect(status) => write!(f, "={}", status.as_u16())?,
            Kind::ContentType(value) => write!(f, "={}", String::from_utf8_lossy(value.as_bytes()))?,
            Kind::ContentLength(span)
            | Kind::Hold(span)
            | Kind::Drip(span)
            | Kind::IdleCut(span)
            | Kind::Lifetime(span) => write!(f, "={span}")?,
            _ => {}
        }
        if self.share != ALWAYS {
            write!(f, "@{}%", self.share as f64 / 100.0)?;
        }
        Ok(())
    }
}

fn parse_share(text: &str) -> Result<u64, String> {
    let percent = text.strip_suffix('%').unwrap_or(text).parse::<f64>().ok();
    match percent {
        Some(percent) if (0.0..=100.0).contains(&percent) => Ok((percent * 100.0).round() as u64),
        _ => Err(format!("{text:?} is not a share of requests; use one such as 30%")),
    }
}

fn error_status(text: &str) -> Result<StatusCode, String> {
    match text.parse::<StatusCode>() {
        Ok(status) if status.is_client_error() || status.is_server_error() => Ok(status),
        _ => Err("use a status from 400 to 599".to_owned()),
    }
}

fn redirect_status(text: &str) -> Result<StatusCode, String> {
    match text {
        "301" => Ok(StatusCode::MOVED_PERMANENTLY),
        "302" => Ok(StatusCode::FOUND),
        "303" => Ok(StatusCode::SEE_OTHER),
        "307" => Ok(StatusCode::TEMPORARY_REDIRECT),
        "308" => Ok(StatusCode::PERMANENT_REDIRECT),
        _ => Err("use 301, 302, 303, 307 or 308".to_owned()),
    }
}

/// The output of `--list`.
pub(super) fn list() -> String {
    let line = |known: &Known| {
        let name = match known.default {
            "" => known.name.to_owned(),
            default => format!("{}={default}", known.name),
        };
        format!("{name:<23} {}\n", known.does)
    };
    KNOWN.iter().map(line).collect()
}

/// The faults as text for people.
pub(super) fn named(faults: &[Fault]) -> String {
    if faults.is_empty() {
        return "none".to_owned();
    }
    let names: Vec<_> = faults.iter().map(Fault::to_string).collect();
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_fault_of_the_list_can_be_given_as_it_is_listed() {
        for known in KNOWN {
            let fault = Fault::parse(known.name).expect(known.name);
            if !known.default.is_empty() {
                assert_eq!(
                    Fault::parse(&format!("{}={}", known.name, known.default)).unwrap().kind,
                    fault.kind
                );
            }
            assert_eq!(Fault::parse(&fault.to_string()).unwrap().kind, fault.kind, "{fault}");
        }
        assert_eq!(list().lines().count(), KNOWN.len());
    }

    #[test]
    fn what_is_no_fault_is_refused_with_the_reason() {
        for (text, reason) in [
            ("holt", "--list"),
            ("hold=much", "KiB"),
            ("gzip=9", "takes no value"),
            ("status=200", "400 to 599"),
            ("status@half", "not a share"),
            ("status@101%", "not a share"),
            ("redirect=304", "301"),
            ("connection-header@5%", "takes no share"),
        ] {
            let error = Fault::parse(text).unwrap_err();
            assert!(error.contains(reason), "{text}: {error}");
        }
    }

    #[test]
    fn a_share_is_a_share_of_requests() {
        let fault = Fault::parse("status=502@30%").unwrap();
        let done = (0..10_000).filter(|&number| fault.choose(&mut Random::of(1, number)).is_some()).count();
        assert!((2_800..3_200).contains(&done), "{done}");
        let never = Fault::parse("status@0").unwrap();
        assert!((0..1_000).all(|number| never.choose(&mut Random::of(1, number)).is_none()));
    }
}

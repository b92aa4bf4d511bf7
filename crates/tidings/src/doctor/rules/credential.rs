//! Checks whether the server took the credential of the requests, and whether both sides agree about the time.

use std::time::{Duration, SystemTime};

use super::super::{case::Case, finding::Finding};

/// A `Date` has whole seconds, and is a moment old.
const TOLERANCE: f64 = 2.0;

/// The times that a JSON Web Token claims, in seconds since 1970. Nothing else of it is kept, so that no report can show it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(in crate::doctor) struct Credential {
    issued: Option<f64>,
    begins: Option<f64>,
    ends: Option<f64>,
    /// When the requests were sent, by the clock of this machine.
    sent: f64,
}

impl Credential {
    /// Reads the claims in the value of an `Authorization` header. Any other credential has no times.
    pub(in crate::doctor) fn of(header: &[u8], now: SystemTime) -> Credential {
        let claims = std::str::from_utf8(header).ok().and_then(claims).unwrap_or_default();
        let time = |name: &str| claims.get(name).and_then(serde_json::Value::as_f64);
        Credential { issued: time("iat"), begins: time("nbf"), ends: time("exp"), sent: seconds(now) }
    }
}

fn claims(header: &str) -> Option<serde_json::Map<String, serde_json::Value>> {
    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
    let payload = header.rsplit(' ').next()?.split('.').nth(1)?;
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).ok()?).ok()
}

fn seconds(time: SystemTime) -> f64 {
    time.duration_since(SystemTime::UNIX_EPOCH).as_ref().map_or(0.0, Duration::as_secs_f64)
}

/// Without a credential there is nothing to judge.
pub(super) fn findings(case: &Case) -> Vec<Finding> {
    let Some(credential) = &case.credential else { return vec![] };
    ignored(case).into_iter().chain(skewed(case, *credential)).collect()
}

fn ignored(case: &Case) -> Option<Finding> {
    let is_ignored = |access: &str| access.starts_with("anonymous");
    let (role, _) =
        case.seen.iter().find(|(_, seen)| seen.header("tidings-access").is_some_and(is_ignored))?;
    let measured = "Tidings-Access: anonymous, although the request had a credential";
    Some(Finding::of("credential-ignored", measured, format!("asked {}", role.asked())))
}

fn skewed(case: &Case, credential: Credential) -> Option<Finding> {
    let dates = case.seen.iter().filter_map(|(_, seen)| seen.header("date"));
    let date = dates.filter_map(|date| httpdate::parse_http_date(date).ok()).map(seconds).next()?;
    let after = |time: Option<f64>| time.map(|time| time - date).filter(|ahead| *ahead > TOLERANCE);
    let measured = if let Some(ahead) = after(credential.issued).or(after(credential.begins)) {
        format!("the token begins {ahead:.0} s after the server's Date")
    } else {
        let late = credential.ends.map(|end| date - end).filter(|late| *late > TOLERANCE)?;
        // It has ended by both clocks, which is no skew.
        if credential.ends.is_some_and(|end| end <= credential.sent) {
            return None;
        }
        format!(
            "the token ended {late:.0} s before the server's Date, and still holds by the clock of this machine"
        )
    };
    Some(Finding::of("clock-skew", measured, "the header Date, and the times in the token"))
}

#[cfg(test)]
mod tests {
    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

    use super::super::names;
    use super::*;
    use crate::doctor::{
        case::{
            Role,
            made::{answer, case},
        },
        observation::End,
    };

    /// 2026-01-01T00:00:00Z.
    const DATE: (&str, &str) = ("date", "Thu, 01 Jan 2026 00:00:00 GMT");
    const NOW: i64 = 1_767_225_600;

    fn found(headers: &[(&str, &str)], authorization: &str) -> Vec<&'static str> {
        let mut case = case("http://localhost/", vec![(Role::Plain, answer(200, headers, &[], End::Open))]);
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(NOW.unsigned_abs());
        case.credential = Some(Credential::of(authorization.as_bytes(), now));
        names(&findings(&case))
    }

    fn token(claims: &serde_json::Value) -> String {
        format!("Bearer e30.{}.c2ln", URL_SAFE_NO_PAD.encode(claims.to_string()))
    }

    #[test]
    fn a_stream_for_everyone_is_found_although_a_credential_was_sent() {
        let access = |value| ("tidings-access", value);
        for value in ["anonymous", "anonymous, partial"] {
            assert_eq!(found(&[access(value)], "Bearer tdk_a"), ["credential-ignored"]);
        }
        for value in ["token", "token, partial"] {
            assert!(found(&[access(value)], "Bearer tdk_a").is_empty());
        }
        let without =
            case("http://h/", vec![(Role::Plain, answer(200, &[access("anonymous")], &[], End::Open))]);
        assert!(findings(&without).is_empty());
    }

    #[test]
    fn a_clock_that_does_not_agree_with_the_token_is_found() {
        let of = |claims: serde_json::Value| found(&[DATE], &token(&claims));
        assert_eq!(of(serde_json::json!({ "iat": NOW + 60, "exp": NOW + 600 })), ["clock-skew"]);
        assert_eq!(of(serde_json::json!({ "nbf": NOW + 60, "exp": NOW + 600 })), ["clock-skew"]);
        assert!(
            of(serde_json::json!({ "iat": NOW + 1, "exp": NOW + 600 })).is_empty(),
            "a Date has whole seconds"
        );
        assert!(
            of(serde_json::json!({ "iat": NOW - 600, "exp": NOW - 60 })).is_empty(),
            "it has ended by both clocks"
        );
        let ahead = ("date", "Thu, 01 Jan 2026 00:10:00 GMT");
        assert_eq!(found(&[ahead], &token(&serde_json::json!({ "exp": NOW + 60 }))), ["clock-skew"]);
        for other in ["Bearer tdk_a", "Basic YTpi", "Bearer a.%.c", "Bearer e30.W10.c2ln"] {
            assert!(found(&[DATE], other).is_empty(), "{other}");
        }
    }
}

//! When a token holds.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value};

use super::{Demands, Refusal};
use crate::authorize::tokens::{report::Report, shown::shown};

/// 2^53: a JSON number above it is not the same to everyone.
const MAX_NUMBER: f64 = 9_007_199_254_740_992.0;

/// A day in seconds.
const DAY: u64 = 86_400;

/// The times of a token that holds now.
pub(super) struct Times {
    pub(super) issued: Option<SystemTime>,
    /// With the leeway of its issuer; `None` for one that does not end.
    pub(super) expires: Option<SystemTime>,
}

/// The times of a token, and the time that they are compared with, in seconds since 1970.
struct Clock<'a> {
    claims: &'a Map<String, Value>,
    now: f64,
    leeway: f64,
}

impl Times {
    /// Reads the times, each in a step of its own.
    pub(super) fn read(
        claims: &Map<String, Value>,
        demands: &Demands<'_>,
        issuer: &str,
        report: &mut Report,
    ) -> Result<Option<Times>, Refusal> {
        let now = demands.now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
        let clock = Clock { claims, now, leeway: demands.issuer.leeway.as_secs_f64() };
        let end = report.step("exp", clock.end(demands.issuer.demands_expiry, issuer), |end| match end {
            Some(end) => {
                format!("{}, in {} s; now it is {}", text_of(*end), (end - now) as i64, text_of(now))
            }
            None => "none; the token does not end by itself".to_owned(),
        })?;
        report.optional_step("nbf", clock.begin(), |begin| format!("{}, which is past", text_of(*begin)))?;
        let issued = report
            .optional_step("iat", clock.issued(), |issued| format!("{}, which is past", text_of(*issued)))?;
        if let Some(Some(end)) = end {
            let max_life = demands.issuer.max_life.map_or(demands.max_life, |own| own.min(demands.max_life));
            let from = issued.flatten().unwrap_or(now);
            report.step("life", is_short_enough(end - from, max_life), |life| {
                format!("{} s, and at most {} s are allowed", *life as u64, max_life.as_secs())
            })?;
        }
        let (Some(end), Some(issued)) = (end, issued) else { return Ok(None) };
        Ok(Some(Times { issued: issued.map(time_of), expires: end.map(|end| time_of(end + clock.leeway)) }))
    }
}

impl Clock<'_> {
    fn end(&self, is_demanded: bool, issuer: &str) -> Result<Option<f64>, Refusal> {
        let Some(end) = self.number("exp")? else {
            return match is_demanded {
                false => Ok(None),
                true => Err(Refusal::after(
                    "expiry-missing",
                    "the token has no exp; a token must say when it ends",
                )),
            };
        };
        if end + self.leeway > self.now {
            return Ok(Some(end));
        }
        let ago = (self.now - end) as u64;
        let detail =
            format!("the token expired at {}, {ago} s ago; ask {issuer} for a new one", text_of(end));
        Err(Refusal::after("token-expired", detail))
    }

    fn begin(&self) -> Result<Option<f64>, Refusal> {
        match self.number("nbf")? {
            Some(begin) if begin > self.now + self.leeway => {
                let detail = format!(
                    "the token holds from {} on, and now it is {}",
                    text_of(begin),
                    text_of(self.now)
                );
                Err(Refusal::after("token-not-yet", detail))
            }
            begin => Ok(begin),
        }
    }

    fn issued(&self) -> Result<Option<f64>, Refusal> {
        match self.number("iat")? {
            Some(issued) if issued > self.now + self.leeway => {
                let detail = format!(
                    "the token was issued at {}, and now it is {}; set the clocks of its issuer and the hub",
                    text_of(issued),
                    text_of(self.now)
                );
                Err(Refusal::after("issued-in-future", detail))
            }
            issued => Ok(issued),
        }
    }

    /// A time in seconds since 1970.
    fn number(&self, name: &str) -> Result<Option<f64>, Refusal> {
        let Some(value) = self.claims.get(name) else { return Ok(None) };
        let number = value.as_f64().filter(|number| (0.0..=MAX_NUMBER).contains(number));
        match number {
            Some(number) => Ok(Some(number)),
            None => {
                let detail =
                    format!("{name} is {}; it is a number of seconds since 1970, not text", shown(value));
                Err(Refusal::after("claims-malformed", detail))
            }
        }
    }
}

fn is_short_enough(life: f64, max_life: Duration) -> Result<f64, Refusal> {
    if life <= max_life.as_secs_f64() {
        return Ok(life);
    }
    let most = match (max_life.as_secs() / DAY, max_life.as_secs() % DAY) {
        (days, 0) => format!("{days} days"),
        _ => humantime::format_duration(max_life).to_string(),
    };
    let detail =
        format!("the token holds for {life} s; at most {} s ({most}) are allowed", max_life.as_secs());
    Err(Refusal::after("lives-too-long", detail))
}

fn time_of(seconds: f64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs_f64(seconds)
}

fn text_of(seconds: f64) -> humantime::Rfc3339Timestamp {
    // Later times cannot be written.
    const LAST: f64 = 253_402_300_799.0;
    humantime::format_rfc3339_seconds(UNIX_EPOCH + Duration::from_secs(seconds.min(LAST) as u64))
}

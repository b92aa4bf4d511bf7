//! The claims of a token whose signature holds, and the grant that they make.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value};

use super::{Grant, Refusal, jws::Verified};
use crate::{MAX_FILTERS, Matchers, Subject, TopicFilter};

/// The longest that a token may hold: 30 days.
pub const MAX_TOKEN_LIFE: Duration = Duration::from_secs(30 * 86_400);

/// The longest `sub` and `iss`, in bytes.
const MAX_NAME_BYTES: usize = 1024;

/// 2^53: a JSON number above it is not the same to everyone.
const MAX_NUMBER: f64 = 9_007_199_254_740_992.0;

/// The demands of a hub on a token, beside its signature.
#[derive(Debug, Clone, Default)]
pub(super) struct Rules {
    pub(super) audience: Vec<String>,
}

impl Rules {
    /// The grant of a token.
    pub(super) fn grant(&self, verified: &Verified, now: SystemTime) -> Result<Grant, Refusal> {
        let Verified { header, claims } = verified;
        has_type(header)?;
        let issuer = name(claims, "iss", "issuer-wrong")?;
        let expires = holds_now(claims, issuer.unwrap_or("its issuer"), now)?;
        self.is_for_this_hub(claims)?;
        let mut grant = Grant::default().with_expiry(expires);
        if let Some(subject) = name(claims, "sub", "subject-not-usable")? {
            grant = grant.with_subject(Subject::new(issuer.unwrap_or_default(), subject));
        }
        let Some(own) = claims.get("tidings") else { return Ok(grant) };
        let Value::Object(own) = own else {
            return Err(Refusal::after("claims-malformed", "the claim tidings is no object"));
        };
        if let Some(unknown) = own.keys().find(|name| !["publish", "read"].contains(&name.as_str())) {
            let detail =
                format!("the claim tidings has {unknown:?}; it has publish and read, each a list of topics");
            return Err(Refusal::after("claim-unknown", detail));
        }
        Ok(grant.with_publish(matchers(own, "publish")?).with_private(matchers(own, "read")?))
    }

    fn is_for_this_hub(&self, claims: &Map<String, Value>) -> Result<(), Refusal> {
        let named: Vec<_> = match claims.get("aud") {
            None => return Ok(()),
            Some(Value::String(one)) => vec![one.as_str()],
            Some(Value::Array(several)) if several.iter().all(Value::is_string) => {
                several.iter().filter_map(Value::as_str).collect()
            }
            Some(_) => {
                return Err(Refusal::after(
                    "claims-malformed",
                    "aud is neither a string nor a list of strings",
                ));
            }
        };
        if named.iter().any(|name| self.audience.iter().any(|own| own == name)) {
            return Ok(());
        }
        let ours = match &self.audience[..] {
            [] => "this hub has no name for it; leave aud out, or give the hub one (tidings serve --audience NAME)".into(),
            ours => format!("this hub is {}", ours.join(" or ")),
        };
        Err(Refusal::after("audience-wrong", format!("the token is for {named:?}, and {ours}")))
    }
}

/// The type of a token that was made for access, or none.
fn has_type(header: &Map<String, Value>) -> Result<(), Refusal> {
    let Some(given) = header.get("typ") else { return Ok(()) };
    let text = given.as_str().unwrap_or_default().to_ascii_lowercase();
    match text.strip_prefix("application/").unwrap_or(&text) {
        "jwt" | "at+jwt" => Ok(()),
        _ => Err(Refusal::after("type-wrong", format!("typ is {given}; the hub takes JWT, at+jwt, or none"))),
    }
}

/// Whether the token holds now, and until when.
fn holds_now(claims: &Map<String, Value>, issuer: &str, now: SystemTime) -> Result<SystemTime, Refusal> {
    let seconds = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
    let Some(end) = number(claims, "exp")? else {
        return Err(Refusal::after("expiry-missing", "the token has no exp; a token must say when it ends"));
    };
    if end <= seconds {
        let ago = (seconds - end) as u64;
        let detail =
            format!("the token expired at {}, {ago} s ago; ask {issuer} for a new one", text_of(end));
        return Err(Refusal::after("token-expired", detail));
    }
    if let Some(begin) = number(claims, "nbf")?.filter(|begin| *begin > seconds) {
        let detail =
            format!("the token holds from {} on, and now it is {}", text_of(begin), text_of(seconds));
        return Err(Refusal::after("token-not-yet", detail));
    }
    let issued = number(claims, "iat")?;
    if let Some(issued) = issued.filter(|issued| *issued > seconds) {
        let detail = format!(
            "the token was issued at {}, and now it is {}; set the clocks of its issuer and the hub",
            text_of(issued),
            text_of(seconds)
        );
        return Err(Refusal::after("issued-in-future", detail));
    }
    let life = end - issued.unwrap_or(seconds);
    if life > MAX_TOKEN_LIFE.as_secs_f64() {
        let most = MAX_TOKEN_LIFE.as_secs();
        let detail = format!("the token holds for {life} s; at most {most} s (30 days) are allowed");
        return Err(Refusal::after("lives-too-long", detail));
    }
    Ok(UNIX_EPOCH + Duration::from_secs_f64(end))
}

fn text_of(seconds: f64) -> humantime::Rfc3339Timestamp {
    // Later times can't be written.
    const LAST: f64 = 253_402_300_799.0;
    humantime::format_rfc3339_seconds(UNIX_EPOCH + Duration::from_secs(seconds.min(LAST) as u64))
}

/// A time in seconds since 1970.
fn number(claims: &Map<String, Value>, name: &str) -> Result<Option<f64>, Refusal> {
    let Some(value) = claims.get(name) else { return Ok(None) };
    let number = value.as_f64().filter(|number| (0.0..=MAX_NUMBER).contains(number));
    match number {
        Some(number) => Ok(Some(number)),
        None => {
            let detail = format!("{name} is {value}; it is a number of seconds since 1970, not text");
            Err(Refusal::after("claims-malformed", detail))
        }
    }
}

fn name<'a>(
    claims: &'a Map<String, Value>,
    claim: &str,
    rule: &'static str,
) -> Result<Option<&'a str>, Refusal> {
    let Some(value) = claims.get(claim) else { return Ok(None) };
    match value.as_str() {
        Some(text) if (1..=MAX_NAME_BYTES).contains(&text.len()) && !text.chars().any(char::is_control) => {
            Ok(Some(text))
        }
        _ => {
            let detail =
                format!("{claim} is not 1 to {MAX_NAME_BYTES} bytes of text without control characters");
            Err(Refusal::after(rule, detail))
        }
    }
}

fn matchers(own: &Map<String, Value>, member: &str) -> Result<Matchers, Refusal> {
    let Some(value) = own.get(member) else { return Ok(Matchers::none()) };
    let Value::Array(texts) = value else {
        return Err(Refusal::after(
            "claims-malformed",
            format!("{member} is {value}; it is a list of topics"),
        ));
    };
    if texts.len() > MAX_FILTERS {
        let detail = format!("{member} has {} topics; at most {MAX_FILTERS} are allowed", texts.len());
        return Err(Refusal::after("too-many-matchers", detail));
    }
    let read = |text: &Value| {
        let malformed =
            |what: String| Refusal::after("pattern-malformed", format!("{member} has {text}: {what}"));
        let topic = text.as_str().ok_or_else(|| malformed("a topic is a string".into()))?;
        TopicFilter::parse(topic).map_err(|error| malformed(error.to_string()))
    };
    texts.iter().map(read).collect()
}

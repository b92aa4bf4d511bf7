//! The claims of a token whose signature holds, and the grant that they make.

use std::{
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use serde_json::{Map, Value};

use ring::digest;

use super::{Accepted, Credential, CredentialKind, Limits, Refusal, Rights, jws::Verified};
use crate::{MAX_FILTERS, Matchers, Right, Subject, TopicFilter};

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
    /// The rights of a token.
    pub(super) fn accept(
        &self,
        token: &str,
        verified: Verified,
        now: SystemTime,
    ) -> Result<Accepted, Refusal> {
        let Verified { header, claims } = verified;
        has_type(&header)?;
        let issuer = name(&claims, "iss", "issuer-wrong")?;
        let times = holds_now(&claims, issuer.unwrap_or("its issuer"), now)?;
        self.is_for_this_hub(&claims)?;
        let subject = name(&claims, "sub", "subject-not-usable")?
            .map(|name| Subject::new(issuer.unwrap_or_default(), name));
        let token_id = name(&claims, "jti", "claims-malformed")?;
        let (mut publish, mut read, mut rights) = (Matchers::none(), Matchers::none(), Rights::default());
        if let Some(own) = claims.get("tidings") {
            let Value::Object(own) = own else {
                return Err(Refusal::after("claims-malformed", "the claim tidings is no object"));
            };
            if let Some(unknown) =
                own.keys().find(|name| !["publish", "read", "rights"].contains(&name.as_str()))
            {
                let detail = format!(
                    "the claim tidings has {unknown:?}; it has publish and read, each a list of topics, and rights, a list of words"
                );
                return Err(Refusal::after("claim-unknown", detail));
            }
            (publish, read) = (matchers(own, "publish")?, matchers(own, "read")?);
            rights = read_rights(own)?;
        }
        let credential = Credential {
            name: token_id.map_or_else(|| short_hash(token), Into::into),
            kind: CredentialKind::Token,
            issuer: issuer.map(Into::into),
            token_id: token_id.map(Into::into),
            subject,
            issued_at: times.issued,
            expires: Some(times.expires),
            claims,
        };
        Ok(Accepted {
            credential: Arc::new(credential),
            publish,
            read,
            rights,
            limits: Limits::default(),
            payload: None,
        })
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

/// The times of a token that holds.
struct Times {
    issued: Option<SystemTime>,
    expires: SystemTime,
}

/// Whether the token holds now, and until when.
fn holds_now(claims: &Map<String, Value>, issuer: &str, now: SystemTime) -> Result<Times, Refusal> {
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
    let time = |seconds: f64| UNIX_EPOCH + Duration::from_secs_f64(seconds);
    Ok(Times { issued: issued.map(time), expires: time(end) })
}

fn text_of(seconds: f64) -> humantime::Rfc3339Timestamp {
    // Later times cannot be written.
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

fn read_rights(own: &Map<String, Value>) -> Result<Rights, Refusal> {
    let Some(value) = own.get("rights") else { return Ok(Rights::default()) };
    let words = value.as_array().filter(|words| words.len() <= MAX_FILTERS);
    let words = words.ok_or_else(|| {
        Refusal::after("claims-malformed", format!("rights is {value}; it is a list of words"))
    })?;
    let read = |word: &Value| {
        let known = word.as_str().and_then(Right::parse);
        known.ok_or_else(|| {
            let words = Right::ALL.map(Right::as_str).join(", ");
            Refusal::after("claim-unknown", format!("rights has {word}; it has some of {words}"))
        })
    };
    words.iter().map(read).collect()
}

/// The first 8 hexadecimal digits of the SHA-256 of a token.
fn short_hash(token: &str) -> Box<str> {
    let hash = digest::digest(&digest::SHA256, token.as_bytes());
    hash.as_ref()[..4].iter().map(|byte| format!("{byte:02x}")).collect::<String>().into()
}

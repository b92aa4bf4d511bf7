//! The claims of a token whose signature holds, and what they allow.

mod audience;
mod own;
mod times;

use std::{
    fmt::Write,
    sync::Arc,
    time::{Duration, SystemTime},
};

use ring::digest::{SHA256, digest};
use serde_json::{Map, Value};

use self::times::Times;
use super::{
    Accepted, Credential, CredentialKind, Refusal,
    issuer::Issuer,
    report::Report,
    shown::{quoted, shown},
};
use crate::{Matchers, Subject, authorize::Template};

/// The longest `sub`, `iss` and `jti`, in bytes.
const MAX_NAME_BYTES: usize = 1024;

/// The demands of a hub on the claims of one token.
pub(super) struct Demands<'h> {
    pub(super) issuer: &'h Issuer,
    /// The names of the hub.
    pub(super) audience: &'h [String],
    pub(super) max_life: Duration,
    pub(super) now: SystemTime,
}

/// Reads the claims, each in a step of its own. `None` if a step was refused and the others were to be seen.
pub(super) fn read(
    demands: &Demands<'_>,
    token: &str,
    header: &Map<String, Value>,
    claims: Map<String, Value>,
    report: &mut Report,
) -> Result<Option<Accepted>, Refusal> {
    report.step("typ", has_type(header, demands.issuer), |()| match header.get("typ") {
        Some(given) => shown(given),
        None => "none".to_owned(),
    })?;
    let issuer = report.silent_step("iss", name(&claims, "iss", "issuer-wrong"))?.flatten();
    let times = Times::read(&claims, demands, issuer.unwrap_or("its issuer"), report)?;
    report.step("aud", audience::is_met(&claims, demands), |()| audience::said(&claims))?;
    let subject =
        report.step("sub", name(&claims, "sub", "subject-not-usable"), |subject| match subject {
            Some(subject) => quoted(subject),
            None => "none; it is nobody's by name".to_owned(),
        })?;
    let id = report.silent_step("jti", name(&claims, "jti", "claims-malformed"))?.flatten();
    let own = own::read(&claims, report)?;
    let (Some(times), Some(subject), Some(own)) = (times, subject, own) else { return Ok(None) };
    let credential = Credential {
        name: id.map_or_else(|| short_hash(token), Into::into),
        kind: CredentialKind::Token,
        subject: subject.map(|subject| Subject::new(issuer.unwrap_or_default(), subject)),
        issuer: issuer.map(Into::into),
        token_id: id.map(Into::into),
        issued_at: times.issued,
        expires: times.expires,
        claims,
        keys: demands.issuer.fingerprint(),
    };
    let fill = |topics: &[Template]| -> Matchers {
        topics.iter().filter_map(|topic| topic.fill(Some(&credential))).collect()
    };
    Ok(Some(Accepted {
        publish: fill(&own.publish),
        read: fill(&own.read),
        credential: Arc::new(credential),
        rights: own.rights,
        limits: own.limits,
        payload: own.payload,
    }))
}

/// The name of a token without an ID: enough to find it in a log, and nothing of its secret.
fn short_hash(token: &str) -> Box<str> {
    let hash = digest(&SHA256, token.as_bytes());
    let mut name = String::with_capacity(8);
    for byte in &hash.as_ref()[..4] {
        // Writing to a string does not fail.
        let _ = write!(name, "{byte:02x}");
    }
    name.into()
}

/// The type of a token that was made for access.
fn has_type(header: &Map<String, Value>, issuer: &Issuer) -> Result<(), Refusal> {
    let given = header.get("typ");
    // A type that is no text is none that somebody takes.
    let text = given.map(|given| given.as_str().map_or_else(|| given.to_string(), str::to_owned));
    let taken = issuer.takes_type(text.as_deref());
    taken.map_err(|types| {
        let given = given.map_or("missing".to_owned(), shown);
        let detail = format!(
            "typ is {given}, and the hub takes {types} of {}; ask it for an access token, or allow this type for it",
            issuer.shown()
        );
        Refusal::after("type-wrong", detail)
    })
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

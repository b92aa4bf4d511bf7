use serde_json::{Value, json};

use super::*;
use crate::Matchers;

mod grants;
mod issuers;
#[cfg(feature = "jwks")]
mod published;
mod refusals;

const SECRET: &str = "3q2-7wAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
/// 2026-01-02T03:04:05Z.
const NOW: u64 = 1_767_323_045;

fn key() -> TokenKey {
    TokenKey::parse(SECRET.as_bytes()).unwrap()
}

fn tokens() -> Tokens {
    Tokens::new(key()).with_audience("https://hub.example")
}

fn at(seconds: u64) -> std::time::SystemTime {
    std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(seconds)
}

fn header() -> Value {
    json!({ "alg": "HS256", "typ": "JWT" })
}

fn claims() -> Value {
    json!({ "exp": NOW + 900, "sub": "alice", "tidings": { "read": ["users/alice/*"], "publish": ["chat/1"] } })
}

/// The object with a member replaced, or taken out by null.
fn with(mut object: Value, member: &str, value: Value) -> Value {
    let members = object.as_object_mut().unwrap();
    match value {
        Value::Null => drop(members.remove(member)),
        value => drop(members.insert(member.to_owned(), value)),
    }
    object
}

fn matchers(texts: &[&str]) -> Matchers {
    Matchers::parse(texts).unwrap()
}

impl TokenKey {
    pub(super) fn sign_claims(&self, header: &Value, claims: &Value) -> String {
        self.sign_text(header, &claims.to_string())
    }
}

impl Tokens {
    /// Judges a token anew.
    fn judged(&self, token: &str, now: std::time::SystemTime) -> Result<Accepted, Refusal> {
        self.judge(token, now, &mut report::Report::verdict()).map(|(accepted, _)| accepted)
    }
}

fn read(token: &str) -> Result<Accepted, Refusal> {
    tokens().judged(token, at(NOW))
}

/// A token with these claims, as it is accepted.
#[track_caller]
fn accepted(claims: &Value) -> Accepted {
    read(&key().sign_claims(&header(), claims)).unwrap()
}

#[track_caller]
fn refused_by(tokens: &Tokens, token: &str, rule: &str, is_signed: bool, words: &[&str]) {
    let refusal = tokens.judged(token, at(NOW)).expect_err(rule);
    assert_eq!((refusal.rule, refusal.is_signed), (rule, is_signed), "{refusal:?}");
    assert!(words.iter().all(|word| refusal.detail.contains(word)), "{}", refusal.detail);
    // An explanation comes to the same verdict first.
    let checks = tokens.explain(token, at(NOW)).checks;
    assert_eq!(checks.iter().find_map(|check| check.refused_by), Some(rule), "{checks:?}");
}

#[track_caller]
fn refused(token: &str, rule: &str, is_signed: bool, words: &[&str]) {
    refused_by(&tokens(), token, rule, is_signed, words);
}

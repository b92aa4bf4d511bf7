use serde_json::{Value, json};

use super::*;
use crate::{Grant, Matchers, Subject};

const SECRET: &str = "3q2-7wAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
/// 2026-01-02T03:04:05Z.
const NOW: u64 = 1_767_323_045;

fn key() -> TokenKey {
    TokenKey::parse(SECRET.as_bytes()).unwrap()
}

fn tokens() -> Tokens {
    Tokens::new(key()).with_audience("https://hub.example")
}

fn at(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(seconds)
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

fn read(token: &str) -> Result<Grant, Refusal> {
    tokens().accept(token, at(NOW)).map(Grant::of)
}

/// Whose a token is, until when, and the topics to publish and to read.
type Said = (Option<Subject>, Option<SystemTime>, Matchers, Matchers);

fn said(grant: &Grant) -> Said {
    (grant.subject().cloned(), grant.expires(), grant.publish().clone(), grant.private().clone())
}

#[track_caller]
fn refused(token: &str, rule: &str, is_signed: bool, words: &[&str]) {
    let refusal = read(token).expect_err(rule);
    assert_eq!((refusal.rule, refusal.is_signed), (rule, is_signed), "{refusal:?}");
    assert!(words.iter().all(|word| refusal.detail.contains(word)), "{}", refusal.detail);
}

#[test]
fn a_token_grants_what_it_says_and_private_updates_of_what_it_reads() {
    let topics = |text: &str| Matchers::parse([text]).unwrap();
    let expected =
        (Some(Subject::new("", "alice")), Some(at(NOW + 900)), topics("chat/1"), topics("users/alice/*"));
    let read = |token: &str| read(token).map(|grant| said(&grant));
    assert_eq!(read(&key().sign(&header(), &claims())), Ok(expected.clone()));
    // Fractions, and what other issuers add.
    let more = with(with(claims(), "exp", json!(NOW as f64 + 900.0)), "email", json!("a@b"));
    let more =
        with(with(more, "aud", json!(["other", "https://hub.example"])), "nbf", json!(NOW as f64 - 0.5));
    for typ in [json!("at+jwt"), json!("application/at+JWT"), Value::Null] {
        assert_eq!(read(&key().sign(&with(header(), "typ", typ), &more)), Ok(expected.clone()));
    }
    let of_issuer = with(claims(), "iss", json!("https://app.example"));
    let subject = read(&key().sign(&header(), &of_issuer)).unwrap().0;
    assert_eq!(subject, Some(Subject::new("https://app.example", "alice")));
    let nothing = with(with(claims(), "tidings", Value::Null), "sub", Value::Null);
    assert_eq!(
        read(&key().sign(&header(), &nothing)),
        Ok((None, Some(at(NOW + 900)), Matchers::none(), Matchers::none()))
    );
}

/// RFC 7515, appendix A.1: the key, and the token that was signed with it.
#[test]
fn the_token_of_the_standard_is_verified() {
    let secret = "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow";
    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
    let key = TokenKey::parse(&URL_SAFE_NO_PAD.decode(secret).unwrap()).unwrap();
    let token = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
    let read = |now| Tokens::new(key.clone()).accept(token, at(now)).map(Grant::of);
    let grant = read(1_300_819_379).unwrap();
    assert_eq!((grant.expires(), grant.reads_something()), (Some(at(1_300_819_380)), false));
    assert_eq!(read(1_300_819_380).unwrap_err().rule, "token-expired");
}

#[test]
fn a_token_with_any_character_changed_is_not_accepted() {
    let token = key().sign(&header(), &claims());
    assert!(read(&token).is_ok());
    for at in 0..token.len() {
        for other in ["A", "B", "_", ".", "=", ""] {
            if token[at..=at] != *other {
                let changed = format!("{}{other}{}", &token[..at], &token[at + 1..]);
                let refusal = read(&changed).expect_err(&changed);
                assert!(!refusal.is_signed, "{changed}: {refusal:?}");
            }
        }
    }
    refused(&TokenKey::parse(&[b'x'; 32]).unwrap().sign(&header(), &claims()), "signature-wrong", false, &[]);
}

#[test]
fn what_is_wrong_before_the_signature_is_found_out_and_not_told() {
    let signed = |header: Value| key().sign(&header, &claims());
    for none in ["none", "None", "NONE", "nOnE"] {
        refused(&signed(with(header(), "alg", json!(none))), "algorithm-none", false, &[none]);
    }
    for other in ["HS512", "RS256", "ES512", "EdDSA"] {
        refused(
            &signed(with(header(), "alg", json!(other))),
            "algorithm-not-of-key",
            false,
            &[other, "HS256"],
        );
    }
    refused(&signed(with(header(), "alg", json!("hs256"))), "algorithm-not-allowed", false, &["hs256"]);
    for (name, value) in [("crit", json!(["exp"])), ("b64", json!(false)), ("zip", json!("DEF"))] {
        refused(&signed(with(header(), name, value)), "header-not-supported", false, &[name]);
    }
    refused(&signed(with(header(), "kid", json!("../../etc/passwd"))), "key-unknown", false, &["kid"]);
    // A key inside of the token is none.
    assert!(read(&signed(with(header(), "jwk", json!({ "kty": "oct", "k": "AAAA" })))).is_ok());
    refused(&"x".repeat(20_000), "token-too-long", false, &["20000", "16384"]);
    let token = signed(header());
    let [head, body, signature] = token.split('.').collect::<Vec<_>>()[..] else { panic!("{token}") };
    for malformed in [
        String::new(),
        "a.b".into(),
        format!("{token}.a.b"),
        format!("{head}=.{body}.{signature}"),
        format!("{head}.{body}.{signature}="),
        format!("e30.{body}.{signature}"),
        format!("W10.{body}.{signature}"),
        // {"alg":"none","alg":"HS256"}
        format!("eyJhbGciOiJub25lIiwiYWxnIjoiSFMyNTYifQ.{body}.{signature}"),
    ] {
        refused(&malformed, "token-malformed", false, &[]);
    }
}

#[test]
fn what_is_wrong_behind_a_signature_that_holds_is_told_with_value_and_rule() {
    let signed = |claims: Value| key().sign(&header(), &claims);
    let of = |member: &str, value: Value| signed(with(claims(), member, value));
    refused(
        &of("exp", json!(NOW)),
        "token-expired",
        true,
        &["2026-01-02T03:04:05Z", "0 s ago", "its issuer"],
    );
    let issued = with(with(claims(), "exp", json!(NOW - 41)), "iss", json!("https://app.example"));
    refused(&signed(issued), "token-expired", true, &["41 s ago", "ask https://app.example"]);
    refused(&of("exp", Value::Null), "expiry-missing", true, &["exp"]);
    for exp in [json!("1767324000"), json!(-1), json!(1e300), json!([]), json!(9_007_199_254_740_994_u64)] {
        refused(&of("exp", exp), "claims-malformed", true, &["exp is"]);
    }
    refused(&of("exp", json!(9_007_199_254_740_992_u64)), "lives-too-long", true, &["30 days"]);
    refused(&of("exp", json!(NOW + 30 * 86_400 + 1)), "lives-too-long", true, &["2592001"]);
    let long = with(with(claims(), "iat", json!(NOW - 1)), "exp", json!(NOW + 30 * 86_400));
    refused(&signed(long), "lives-too-long", true, &[]);
    refused(&of("nbf", json!(NOW + 60)), "token-not-yet", true, &["03:05:05Z"]);
    refused(&of("iat", json!(NOW + 60)), "issued-in-future", true, &["clocks"]);
    refused(&of("aud", json!("other")), "audience-wrong", true, &["other", "https://hub.example"]);
    refused(&of("aud", json!([1])), "claims-malformed", true, &["aud"]);
    for sub in [json!(""), json!(7), json!("a\nb"), json!("x".repeat(1025))] {
        refused(&of("sub", sub), "subject-not-usable", true, &["sub"]);
    }
    refused(&of("iss", json!(7)), "issuer-wrong", true, &["iss"]);
    refused(&key().sign(&with(header(), "typ", json!("id+jwt")), &claims()), "type-wrong", true, &["id+jwt"]);
    refused(&of("tidings", json!([])), "claims-malformed", true, &["tidings"]);
    for unknown in ["reads", "right", "limits"] {
        refused(
            &of("tidings", json!({ unknown: [] })),
            "claim-unknown",
            true,
            &[unknown, "publish and read"],
        );
    }
    refused(&of("tidings", json!({ "read": "a" })), "claims-malformed", true, &["read"]);
    for pattern in [json!("a*"), json!(""), json!(7), json!("*/a")] {
        refused(&of("tidings", json!({ "read": ["ok", pattern] })), "pattern-malformed", true, &["read has"]);
    }
    let many: Vec<_> = (0..257).map(|number| number.to_string()).collect();
    refused(&of("tidings", json!({ "publish": many })), "too-many-matchers", true, &["257", "256"]);
}

/// The pieces of which claims are made, wrong ones among them.
const PIECES: [&str; 24] = [
    "{",
    "}",
    "[",
    "]",
    ":",
    ",",
    "\"exp\"",
    "\"nbf\"",
    "\"iat\"",
    "\"aud\"",
    "\"sub\"",
    "\"iss\"",
    "\"tidings\"",
    "\"read\"",
    "\"publish\"",
    "\"a/*\"",
    "\"*\"",
    "1767323945",
    "-1",
    "1e308",
    "null",
    "true",
    "\\u0000",
    "\u{85}",
];

#[test]
fn a_signed_token_of_any_content_is_refused_by_a_rule_or_grants_something_and_never_panics() {
    let mut number = 1_u64;
    let mut next = |most: usize| {
        number = number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (number >> 33) as usize % most
    };
    let (mut rules, mut granted) = (std::collections::BTreeSet::new(), 0);
    for _ in 0..30_000 {
        let members = ["exp", "nbf", "iat", "aud", "sub", "iss", "tidings"];
        let mut text = String::from("{");
        for _ in 0..next(6) {
            let value = match next(4) {
                0 => "1767323945".to_owned(),
                1 => format!("{{\"{}\":[\"a\"]}}", ["read", "publish", "reads"][next(3)]),
                2 => PIECES[next(PIECES.len())].to_owned(),
                _ => format!("[{}]", PIECES[next(PIECES.len())]),
            };
            text += &format!(
                "{}\"{}\":{value}",
                if text.len() > 1 { "," } else { "" },
                members[next(members.len())]
            );
        }
        text.push('}');
        match read(&key().sign_text(&header(), &text)) {
            Ok(_) => granted += 1,
            Err(refusal) => {
                assert!(refusal.is_signed && !refusal.detail.is_empty(), "{text}: {refusal:?}");
                rules.insert(refusal.rule);
            }
        }
    }
    assert!(granted > 100 && rules.len() > 6, "{granted} {rules:?}");
}

#[test]
fn a_minted_token_is_accepted_and_grants_what_was_asked_for() {
    let matchers = |texts: &[&str]| crate::Matchers::parse(texts).unwrap();
    let subject = crate::Subject::new("https://app.example", "bob");
    let life = std::time::Duration::from_secs(60);
    let token = key().mint(&matchers(&["a", "b/*"]), &matchers(&["*"]), Some(&subject), life);
    let grant = Tokens::new(key()).accept(&token, SystemTime::now()).map(Grant::of).unwrap();
    assert_eq!((grant.publish(), grant.private()), (&matchers(&["a", "b/*"]), &crate::Matchers::all()));
    assert_eq!(grant.subject(), Some(&subject));
}

#[test]
fn a_short_secret_and_a_key_that_is_no_secret_are_no_key() {
    assert!(TokenKey::parse(TokenKey::new_secret().unwrap().as_bytes()).is_ok());
    let with_line_break = TokenKey::parse(format!("{SECRET}\r\n").as_bytes()).unwrap();
    assert!(Tokens::new(with_line_break).accept(&key().sign(&header(), &claims()), at(NOW)).is_ok());
    for (text, words) in [
        (&[b'x'; 31][..], "31 bytes"),
        (b"", "0 bytes"),
        (b"-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE", "in PEM"),
        (br#"{"kty":"oct","k":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}"#, "JSON Web Key"),
    ] {
        let error = TokenKey::parse(text).unwrap_err().to_string();
        assert!(error.contains(words) && error.contains("tidings token key"), "{error}");
    }
    assert!(!format!("{:?}", key()).contains("3q2"));
}

use super::*;

#[test]
fn a_token_with_any_character_changed_is_not_accepted() {
    let token = key().sign_claims(&header(), &claims());
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
    refused(
        &TokenKey::parse(&[b'x'; 32]).unwrap().sign_claims(&header(), &claims()),
        "signature-wrong",
        false,
        &[],
    );
}

#[test]
fn what_is_wrong_before_the_signature_is_found_out_and_not_told() {
    let signed = |header: Value| key().sign_claims(&header, &claims());
    for none in ["none", "None", "NONE", "nOnE"] {
        refused(&signed(with(header(), "alg", json!(none))), "algorithm-none", false, &[none]);
    }
    for other in ["HS512", "RS256", "ES384", "EdDSA"] {
        refused(
            &signed(with(header(), "alg", json!(other))),
            "algorithm-not-of-key",
            false,
            &[other, "HS256"],
        );
    }
    for other in ["hs256", "ES512", "ES256K", "RSA-OAEP", ""] {
        refused(&signed(with(header(), "alg", json!(other))), "algorithm-not-allowed", false, &[other]);
    }
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
        format!("{token}.a"),
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
fn what_is_wrong_after_a_signature_that_holds_is_told_with_value_and_rule() {
    let signed = |claims: Value| key().sign_claims(&header(), &claims);
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
    for jti in [json!(""), json!(7), json!("a\nb"), json!("x".repeat(1025))] {
        refused(&of("jti", jti), "claims-malformed", true, &["jti"]);
    }
    refused(&of("iss", json!(7)), "issuer-wrong", true, &["iss"]);
    refused(
        &key().sign_claims(&with(header(), "typ", json!("id+jwt")), &claims()),
        "type-wrong",
        true,
        &["id+jwt"],
    );
    refused(&of("tidings", json!([])), "claims-malformed", true, &["tidings"]);
    let own = |member: &str, value: Value| of("tidings", json!({ member: value }));
    for unknown in ["reads", "right", "limit", "Publish"] {
        refused(&own(unknown, json!([])), "claim-unknown", true, &[unknown, "publish, read, rights"]);
    }
    refused(&own("limits", json!({ "stream": 1 })), "claim-unknown", true, &["stream", "streams, topics"]);
    for (member, value) in [
        ("read", json!("a")),
        ("rights", json!("admin")),
        ("rights", json!(["root"])),
        ("limits", json!([])),
        ("limits", json!({ "streams": -1 })),
        ("limits", json!({ "topics": 1.5 })),
        ("limits", json!({ "publish": 10 })),
        ("limits", json!({ "publish": "10/min" })),
        ("limits", json!({ "publish": "1e9/s" })),
        ("limits", json!({ "publish": "0/s" })),
        ("payload", json!("x".repeat(1023))),
    ] {
        refused(&own(member, value), "claims-malformed", true, &[member]);
    }
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

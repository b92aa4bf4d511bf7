use std::time::Duration;

use super::*;

/// A JSON Web Key of a secret, or of several.
fn oct(id: Option<&str>, algorithm: &str, byte: u8) -> Value {
    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
    let key = json!({ "kty": "oct", "alg": algorithm, "k": URL_SAFE_NO_PAD.encode([byte; 64]) });
    id.map_or(key.clone(), |id| with(key, "kid", json!(id)))
}

fn secret(key: &Value) -> TokenKey {
    TokenKey::parse(key.to_string().as_bytes()).unwrap()
}

fn keys(key: &Value) -> TokenKeys {
    TokenKeys::parse(key.to_string().as_bytes()).unwrap()
}

#[test]
fn each_issuer_has_its_own_keys_and_no_other_issuer_signs_in_its_name() {
    let (app, shop) = (oct(None, "HS256", 1), oct(None, "HS256", 2));
    let tokens = Tokens::new(key())
        .with_issuer(Issuer::named("https://app.example", keys(&app)))
        .and_then(|tokens| tokens.with_issuer(Issuer::named("https://shop.example", keys(&shop))))
        .unwrap();
    let of = |issuer: Option<&str>| with(claims(), "iss", issuer.map_or(Value::Null, |name| json!(name)));
    for (signed_by, issuer, is_accepted) in [
        (key(), None, true),
        (key(), Some("anybody"), true),
        (key(), Some("https://app.example"), false),
        (secret(&app), Some("https://app.example"), true),
        (secret(&app), Some("https://shop.example"), false),
        (secret(&app), Some("https://app.example/"), false),
        (secret(&app), None, false),
        (secret(&shop), Some("https://shop.example"), true),
    ] {
        let token = signed_by.sign_claims(&header(), &of(issuer));
        match is_accepted {
            true => assert!(tokens.judged(&token, at(NOW)).is_ok(), "{issuer:?}"),
            false => refused_by(&tokens, &token, "signature-wrong", false, &["key of"]),
        }
    }
    let named = Tokens::default().with_issuer(Issuer::named("https://app.example", keys(&app))).unwrap();
    for (issuer, words) in [(Some("joe"), "\"joe\""), (None, "names no issuer")] {
        let token = secret(&app).sign_claims(&header(), &of(issuer));
        refused_by(&named, &token, "issuer-unknown", false, &[words, "https://app.example"]);
    }
    refused_by(
        &Tokens::default(),
        &key().sign_claims(&header(), &claims()),
        "issuer-unknown",
        false,
        &["nobody"],
    );
}

#[test]
fn an_issuer_stands_once() {
    let issuer = || Issuer::named("app", key());
    let error = Tokens::default().with_issuer(issuer()).unwrap().with_issuer(issuer()).unwrap_err();
    assert!(error.to_string().contains("\"app\""), "{error}");
    let error = Tokens::new(key()).with_issuer(Issuer::nameless(key())).unwrap_err();
    assert!(error.to_string().contains("no name"), "{error}");
}

#[test]
fn a_kid_chooses_among_the_keys_of_the_issuer() {
    let (one, two) = (oct(Some("one"), "HS256", 1), oct(Some("../two"), "HS512", 2));
    let tokens = Tokens::new(keys(&json!({ "keys": [one, two, oct(None, "HS256", 3)] })));
    let sign = |by: &Value, kid: Option<&str>| {
        let header = json!({ "alg": by["alg"], "kid": kid });
        let header = if kid.is_none() { with(header, "kid", Value::Null) } else { header };
        secret(by).sign_claims(&header, &claims())
    };
    let holds = |token: &str| tokens.judged(token, at(NOW)).is_ok();
    assert!(holds(&sign(&one, Some("one"))) && holds(&sign(&two, Some("../two"))));
    assert!(
        holds(&sign(&one, None)) && holds(&sign(&two, None)) && holds(&sign(&oct(None, "HS256", 3), None))
    );
    refused_by(&tokens, &sign(&one, Some("two")), "key-unknown", false, &["\"two\"", "no key of that name"]);
    refused_by(&tokens, &sign(&one, Some("../two")), "algorithm-not-of-key", false, &["HS256", "HS512"]);
    let long = "x".repeat(257);
    refused_by(&tokens, &sign(&one, Some(&long)), "key-unknown", false, &["256 bytes"]);
    let many: Vec<_> = (0..5).map(|byte| oct(Some(&format!("key {byte}")), "HS256", byte)).collect();
    let tokens = Tokens::new(keys(&json!({ "keys": many })));
    refused_by(&tokens, &sign(&many[0], None), "key-unknown", false, &["5 keys for HS256", "kid"]);
    assert!(tokens.judged(&sign(&many[4], Some("key 4")), at(NOW)).is_ok());
}

#[test]
fn the_clock_of_an_issuer_may_differ_by_its_leeway() {
    let tokens = |leeway| {
        let issuer = Issuer::nameless(key()).with_leeway(Duration::from_secs(leeway)).unwrap();
        Tokens::default().with_issuer(issuer).unwrap()
    };
    for (member, seconds, rule) in [
        ("exp", NOW - 59, "token-expired"),
        ("nbf", NOW + 60, "token-not-yet"),
        ("iat", NOW + 60, "issued-in-future"),
    ] {
        let token = key().sign_claims(&header(), &with(claims(), member, json!(seconds)));
        assert!(tokens(60).judged(&token, at(NOW)).is_ok(), "{member}");
        refused_by(&tokens(58), &token, rule, true, &[]);
        refused_by(&tokens(0), &token, rule, true, &[]);
    }
    let late = key().sign_claims(&header(), &with(claims(), "exp", json!(NOW - 59)));
    let accepted = tokens(60).judged(&late, at(NOW)).unwrap();
    assert_eq!(accepted.credential.expires, Some(at(NOW + 1)), "it holds for as long as it is accepted");
    let error = Issuer::nameless(key()).with_leeway(Duration::from_secs(301)).unwrap_err().to_string();
    assert!(error.contains("5 minutes") && error.contains("301 s"), "{error}");
}

#[test]
fn the_life_of_a_token_is_bounded_by_the_hub_and_by_its_issuer() {
    let token = key().sign_claims(&header(), &claims());
    let hour = Duration::from_secs(3_600);
    let tokens = |hub, issuer| {
        let issuer = Issuer::nameless(key()).with_max_life(issuer);
        Tokens::default().with_issuer(issuer).unwrap().with_max_life(hub)
    };
    let life = Duration::from_secs(900);
    assert!(tokens(hour, life).judged(&token, at(NOW)).is_ok());
    assert!(tokens(life, hour).judged(&token, at(NOW)).is_ok());
    let short = Duration::from_secs(899);
    for tokens in [tokens(hour, short), tokens(short, hour)] {
        refused_by(&tokens, &token, "lives-too-long", true, &["900 s", "899 s", "14m 59s"]);
    }
}

#[test]
fn a_token_that_does_not_end_is_taken_of_an_issuer_that_may_make_them() {
    let endless = key().sign_claims(&header(), &with(claims(), "exp", Value::Null));
    refused(&endless, "expiry-missing", true, &["no exp"]);
    let issuer = Issuer::nameless(key()).with_endless_tokens();
    let tokens = Tokens::default().with_issuer(issuer).unwrap();
    assert_eq!(tokens.judged(&endless, at(NOW)).unwrap().credential.expires, None);
    let over = key().sign_claims(&header(), &with(claims(), "exp", json!(NOW - 1)));
    refused_by(&tokens, &over, "token-expired", true, &[]);
}

#[test]
fn the_types_of_tokens_are_those_that_the_issuer_may_write() {
    let of_type = |typ: Value| key().sign_claims(&with(header(), "typ", typ), &claims());
    let only_jwt = Issuer::nameless(key()).with_types(["JWT"]);
    let only_jwt = Tokens::default().with_issuer(only_jwt).unwrap();
    assert!(only_jwt.judged(&of_type(json!("application/jwt")), at(NOW)).is_ok());
    for typ in [json!("at+jwt"), Value::Null, json!(["JWT"])] {
        refused_by(&only_jwt, &of_type(typ), "type-wrong", true, &["takes jwt", "allow this type"]);
    }
    let or_none = Tokens::default().with_issuer(Issuer::nameless(key()).with_types(["JWT", ""])).unwrap();
    assert!(or_none.judged(&of_type(Value::Null), at(NOW)).is_ok());
}

#[test]
fn an_explanation_goes_on_after_the_first_refusal_and_names_both_values() {
    let wrong = with(with(claims(), "exp", json!(NOW - 41)), "aud", json!("https://other.example"));
    let wrong = with(wrong, "tidings", json!({ "publish": ["orders/*"], "read": ["a*"] }));
    let checks =
        tokens().explain(&secret(&oct(None, "HS256", 7)).sign_claims(&header(), &wrong), at(NOW)).checks;
    let found: Vec<_> = checks.iter().map(|check| (check.name, check.refused_by)).collect();
    let expected = [
        ("form", None),
        ("alg", None),
        ("header", None),
        ("iss", None),
        ("signature", Some("signature-wrong")),
        ("claims", None),
        ("typ", None),
        ("exp", Some("token-expired")),
        ("aud", Some("audience-wrong")),
        ("sub", None),
        ("tidings.publish", None),
        ("tidings.read", Some("pattern-malformed")),
    ];
    assert_eq!(found, expected, "{checks:?}");
    let detail = |name: &str| &checks.iter().find(|check| check.name == name).unwrap().detail;
    assert!(detail("aud").contains("https://other.example") && detail("aud").contains("https://hub.example"));
    assert!(detail("exp").contains("41 s ago") && detail("tidings.publish").contains("orders/*"));
}

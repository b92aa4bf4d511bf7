use super::*;
use crate::{
    Subject,
    authorize::{CredentialKind, Limits, Right},
};

#[test]
fn a_token_allows_what_it_says_and_private_updates_of_what_it_reads() {
    let is_expected = |accepted: Accepted| {
        assert_eq!(
            (&accepted.publish, &accepted.read),
            (&matchers(&["chat/1"]), &matchers(&["users/alice/*"]))
        );
        assert_eq!(accepted.credential.subject, Some(Subject::new("", "alice")));
        assert_eq!(accepted.credential.expires, Some(at(NOW + 900)));
        assert_eq!(accepted.credential.kind, CredentialKind::Token);
    };
    is_expected(accepted(&claims()));
    // Fractions, and what other issuers add.
    let more = with(with(claims(), "exp", json!(NOW as f64 + 900.0)), "email", json!("a@b"));
    let more =
        with(with(more, "aud", json!(["other", "https://hub.example"])), "nbf", json!(NOW as f64 - 0.5));
    for typ in [json!("at+jwt"), json!("application/at+JWT"), Value::Null] {
        is_expected(read(&key().sign_claims(&with(header(), "typ", typ), &more)).unwrap());
    }
    let of_issuer = with(claims(), "iss", json!("https://app.example"));
    let subject = accepted(&of_issuer).credential.subject.clone();
    assert_eq!(subject, Some(Subject::new("https://app.example", "alice")));
    let nothing = accepted(&with(with(claims(), "tidings", Value::Null), "sub", Value::Null));
    assert!(nothing.publish.is_none() && nothing.read.is_none() && nothing.credential.subject.is_none());
}

#[test]
fn a_token_brings_rights_limits_and_what_others_may_see_of_its_bearer() {
    let own = json!({
        "rights": ["metrics", "tickets"],
        "limits": { "streams": 5, "topics": 20, "publish": "2.5/s" },
        "payload": { "name": "Alice" },
    });
    let accepted = accepted(&with(claims(), "tidings", own));
    let rights = Right::ALL.into_iter().filter(|right| accepted.rights.has(*right));
    assert_eq!(rights.collect::<Vec<_>>(), [Right::Metrics, Right::Tickets]);
    let limits = Limits { streams: Some(5), topics: Some(20), publishes: Some(2.5), publish_bytes: None };
    assert_eq!(accepted.limits, limits);
    assert_eq!(accepted.payload.as_deref(), Some(&json!({ "name": "Alice" })));
}

#[test]
fn the_topics_of_a_token_are_filled_with_its_own_claims_and_a_missing_one_matches_nothing() {
    let of = |topics: Value| {
        let claims = with(with(claims(), "tenant", json!("acme")), "iss", json!("app"));
        accepted(&with(claims, "tidings", json!({ "read": topics, "publish": ["{iss}/{sub}"] })))
    };
    let filled = of(json!(["users/{sub}/*", "{claim:tenant}/news", "{claim:team}/*", "plain"]));
    assert_eq!(filled.read, matchers(&["users/alice/*", "acme/news", "plain"]));
    assert_eq!(filled.publish, matchers(&["app/alice"]));
    assert!(of(json!(["{claim:team}/*"])).read.is_none());
    for malformed in ["{name}/*", "x{sub}", "{sub"] {
        let own = with(claims(), "tidings", json!({ "read": [malformed] }));
        let token = key().sign_claims(&header(), &own);
        refused(&token, "pattern-malformed", true, &[malformed, "{claim:NAME}"]);
    }
    // A subject that would lead to the topics of another one.
    for sub in ["bob/../alice", "*", "alice/secret", "{sub}"] {
        let own = with(with(claims(), "sub", json!(sub)), "tidings", json!({ "read": ["users/{sub}/*"] }));
        assert!(accepted(&own).read.is_none(), "{sub}");
    }
}

#[test]
fn a_credential_is_named_by_its_id_or_by_the_beginning_of_its_hash() {
    let token = key().sign_claims(&header(), &claims());
    let hash = ring::digest::digest(&ring::digest::SHA256, token.as_bytes());
    let expected: String = hash.as_ref()[..4].iter().map(|byte| format!("{byte:02x}")).collect();
    let credential = read(&token).unwrap().credential;
    assert_eq!((&*credential.name, credential.token_id.as_deref()), (&*expected, None));
    let named = accepted(&with(with(claims(), "jti", json!("login-7")), "iat", json!(NOW - 5))).credential;
    assert_eq!((&*named.name, named.token_id.as_deref()), ("login-7", Some("login-7")));
    assert_eq!(named.issued_at, Some(at(NOW - 5)));
}

#[test]
fn a_minted_token_is_accepted_and_allows_what_was_asked_for() {
    let subject = Subject::new("https://app.example", "bob");
    let life = std::time::Duration::from_secs(60);
    let token = key().mint(&matchers(&["a", "b/*"]), &matchers(&["*"]), Some(&subject), life);
    let accepted = Tokens::new(key()).judged(&token, std::time::SystemTime::now()).unwrap();
    assert_eq!((&accepted.publish, &accepted.read), (&matchers(&["a", "b/*"]), &Matchers::all()));
    assert_eq!(accepted.credential.subject.as_ref(), Some(&subject));
}

#[tokio::test]
async fn a_verified_token_is_remembered_until_its_credential_is_forgotten() {
    let tokens = tokens();
    let named = |name: &str| key().sign_claims(&header(), &with(claims(), "jti", json!(name)));
    let (one, two) = (named("one"), named("two"));
    let first = tokens.accept(&one, at(NOW)).await.unwrap();
    tokens.accept(&two, at(NOW)).await.unwrap();
    let again = tokens.accept(&one, at(NOW)).await.unwrap();
    assert!(std::sync::Arc::ptr_eq(&first.credential, &again.credential), "it is the same credential");
    assert_eq!(tokens.accept(&one, at(NOW + 900)).await.unwrap_err().rule, "token-expired");
    let again = tokens.accept(&two, at(NOW)).await.unwrap();
    tokens.forget(|credential| &*credential.name == "two");
    let anew = tokens.accept(&two, at(NOW)).await.unwrap();
    assert!(!std::sync::Arc::ptr_eq(&again.credential, &anew.credential));
}

//! Grants by tokens whose issuer publishes its keys.

use scripted_server::{Server, response};
use tidings_hub::{Issuer, NewToken};

use super::*;

const APP: &str = "https://app.example";

/// A hub that takes the tokens of an issuer whose keys are at a URL of `server`.
async fn with_keys_of(server: &Server) -> Setup {
    let issuer = Issuer::with_keys_at(APP, &server.url("/keys")).unwrap();
    let tokens = Tokens::default().with_issuer(issuer).unwrap().with_audience("hub");
    Setup::of(|mut settings| {
        settings.access = Access::Control(Arc::new(Control::new(Policy::new(tokens))));
        Hub::new(Arc::new(MemoryLog::default()), settings)
    })
    .await
}

/// A set of one key, and a token of that key with a right.
fn set_and_token() -> (String, String) {
    let key = json!({ "kty": "oct", "kid": "one", "k": TokenKey::new_secret().unwrap() });
    let token = NewToken::new(Duration::from_secs(900))
        .with_read(&matchers(&["users/alice/*"]))
        .with_rights([tidings_hub::Right::Metrics])
        .with_audience(["hub"])
        .with_subject(&Subject::new(APP, "alice"));
    let token = TokenKey::parse(key.to_string().as_bytes()).unwrap().sign(&token);
    (json!({ "keys": [key] }).to_string(), format!("Bearer {token}"))
}

#[tokio::test]
async fn the_keys_of_an_issuer_are_fetched_at_the_start_and_their_age_is_a_metric() {
    let (set, token) = set_and_token();
    let server = Server::start([response("HTTP/1.1 200 OK").send(&set)]).await;
    let setup = with_keys_of(&server).await;
    let metrics = ask(&setup, "GET", "/metrics", Some(&token), b"").await;
    assert_eq!(metrics.status(), 200);
    let line = format!("tidings_jwks_age_seconds{{issuer=\"{APP}\"}} ");
    let text = String::from_utf8(metrics.body).unwrap();
    assert!(text.contains(&line), "{text}");
    ask(&setup, "GET", "/topics/users/bob/1", Some(&token), b"").await.refusal(403, &["users/alice/*"]);
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn while_there_are_no_keys_a_token_is_answered_503_so_that_its_client_keeps_it() {
    let (_, token) = set_and_token();
    let server = Server::start_with(|_| response("HTTP/1.1 500 Internal Server Error")).await;
    let setup = with_keys_of(&server).await;
    let answer = ask(&setup, "GET", "/metrics", Some(&token), b"").await;
    answer.refusal(503, &["keys"]);
    assert_eq!(answer.json()["rule"], "keys-unavailable");
    assert!(answer.json()["request"].is_string() && answer.header("retry-after").is_some());
    ask(&setup, "GET", "/metrics", None, b"").await.refusal(401, &["Authorization"]);
}

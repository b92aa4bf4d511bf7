//! `tidings token`, and a hub that takes tokens, as their users see them.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::fs;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use scripted_server::{Server, response};
use serde_json::{Value, json};
use support::{
    HubProcess,
    program::{Outcome, tidings},
    wire,
};
use tempfile::TempDir;

/// A directory with a key in `hub.key`, and the path of that.
async fn with_key() -> (TempDir, String) {
    let directory = TempDir::new().unwrap();
    let key = tidings(&["token", "key"], "").await;
    assert_eq!(key.code, Some(0), "{}", key.err);
    assert_eq!(URL_SAFE_NO_PAD.decode(key.out.trim_end()).unwrap().len(), 32, "256 bits");
    let file = directory.path().join("hub.key");
    fs::write(&file, &key.out).unwrap();
    let file = file.to_str().unwrap().to_owned();
    (directory, file)
}

async fn mint(key: &str, flags: &[&str]) -> Outcome {
    tidings(&[&["token", "mint", "--key-file", key], flags].concat(), "").await
}

#[tokio::test]
async fn two_keys_are_never_the_same() {
    let ((_first, one), (_second, other)) = (with_key().await, with_key().await);
    assert_ne!(fs::read(one).unwrap(), fs::read(other).unwrap());
}

#[tokio::test]
async fn a_hub_with_a_key_lets_in_what_was_minted_with_it_and_nobody_else() {
    let (_directory, key) = with_key().await;
    let hub = HubProcess::start(&["--key-file", &key]);
    let (_other_directory, other_key) = with_key().await;
    let [token, other] = [mint(&key, &["--publish", "orders/*"]), mint(&other_key, &["--publish", "*"])];
    let (token, other) = (token.await.out, other.await.out);
    let publish = |path: &'static str, token: Option<&str>| {
        let credential = token.map(|token| format!("Bearer {}", token.trim_end()));
        let address = hub.address.clone();
        async move {
            let headers: Vec<_> = credential.iter().map(|value| ("authorization", value.as_str())).collect();
            wire::ask(&address, "POST", path, &headers, "x").await.status()
        }
    };
    assert_eq!(publish("/topics/orders/1", Some(&token)).await, 200);
    assert_eq!(publish("/topics/invoices/1", Some(&token)).await, 403);
    assert_eq!(publish("/topics/orders/1", Some(&other)).await, 401);
    assert_eq!(publish("/topics/orders/1", None).await, 401);
    assert_eq!(wire::ask(&hub.address, "GET", "/metrics", &[], "").await.status(), 401);
    assert_eq!(wire::ask(&hub.address, "GET", "/readyz", &[], "").await.status(), 200);
}

#[tokio::test]
async fn with_anonymous_rights_everyone_has_these_and_only_a_token_has_the_others() {
    let (_directory, key) = with_key().await;
    let hub = HubProcess::start(&["--key-file", &key, "--anonymous", "subscribe"]);
    assert_eq!(
        wire::ask(&hub.address, "GET", "/topics/a", &[("accept", "application/json")], "").await.status(),
        200
    );
    assert_eq!(wire::ask(&hub.address, "GET", "/metrics", &[], "").await.status(), 401);
    assert_eq!(wire::ask(&hub.address, "POST", "/topics/a", &[], "x").await.status(), 401);
}

#[tokio::test]
async fn a_token_says_what_was_asked_for_and_inspect_shows_it_without_a_key() {
    let (_directory, key) = with_key().await;
    let flags = [
        "--publish",
        "chat/1",
        "--read",
        "users/alice/*",
        "--sub",
        "alice",
        "--iss",
        "https://app.example",
        "--for",
        "1h",
    ];
    let token = mint(&key, &flags).await;
    assert_eq!(token.code, Some(0), "{}", token.err);
    let part = |number: usize| -> Value {
        let part = token.out.trim_end().split('.').nth(number).unwrap();
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
    };
    assert_eq!(part(0), json!({ "alg": "HS256", "typ": "at+jwt" }));
    let claims = part(1);
    assert_eq!(claims["tidings"], json!({ "publish": ["chat/1"], "read": ["users/alice/*"] }));
    assert_eq!((&claims["sub"], &claims["iss"]), (&json!("alice"), &json!("https://app.example")));
    assert_eq!(claims["exp"].as_u64().unwrap() - claims["iat"].as_u64().unwrap(), 3_600);

    let shown = tidings(&["token", "inspect"], &format!("Bearer {}", token.out)).await;
    assert_eq!(shown.code, Some(0), "{}", shown.err);
    for words in ["\"HS256\"", "users/alice/*", "exp is 20", "Nothing was verified"] {
        assert!(shown.out.contains(words), "{}", shown.out);
    }
    let shown = tidings(&["token", "inspect", "no.token"], "").await;
    assert!(shown.code == Some(1) && shown.err.contains("three"), "{}", shown.err);
}

#[tokio::test]
async fn the_end_of_a_token_is_told_on_standard_error_and_is_no_update() {
    let head = "HTTP/1.1 200 OK\nContent-Type: text/event-stream\nTidings-Hub: 1";
    let events = "data: update\nid: 1\n\nevent: access\ndata: {\"in\":30,\"reason\":\"expires\"}\n\n\
                  event: access\ndata: {\"reason\":\"expired\"}\n\n";
    let server = Server::start([response(head).send(events)]).await;
    let outcome = tidings(&["subscribe", "news", "--hub", &server.url("")], "").await;
    assert_eq!(outcome.out, "update\n", "{}", outcome.err);
    assert!(outcome.err.contains("the token expires in 30 s"), "{}", outcome.err);
    assert!(outcome.err.contains("the token has expired"), "{}", outcome.err);
}

#[tokio::test]
async fn a_token_that_no_hub_would_take_is_not_minted_and_a_key_that_is_none_is_refused() {
    let (directory, key) = with_key().await;
    for (flags, words) in [
        (&[][..], "allow nothing"),
        (&["--publish", "a*"], "--publish: topic \"a*\""),
        (&["--read", "a", "--for", "31d"], "at most 30 days"),
        (&["--read", "a", "--iss", "x"], "--sub NAME"),
    ] {
        let outcome = mint(&key, flags).await;
        assert!(
            outcome.code == Some(64) && outcome.err.contains(words),
            "{:?} {}",
            outcome.code,
            outcome.err
        );
    }
    let short = directory.path().join("short");
    fs::write(&short, "too short").unwrap();
    let short = short.to_str().unwrap();
    for outcome in [mint(short, &["--read", "a"]).await, tidings(&["serve", "--key-file", short], "").await] {
        assert_eq!(outcome.code, Some(64), "{}", outcome.err);
        assert!(
            outcome.err.contains("9 bytes") && outcome.err.contains("tidings token key"),
            "{}",
            outcome.err
        );
    }
    let missing = tidings(&["token", "mint", "--read", "a"], "").await;
    assert!(missing.err.contains("--key-file hub.key"), "{}", missing.err);
}

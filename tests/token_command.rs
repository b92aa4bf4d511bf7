//! `tidings token`, and a hub that takes tokens, as their users see them.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::{
    fs,
    path::Path,
    time::{Instant, SystemTime, UNIX_EPOCH},
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::hmac;
use scripted_server::{Server, response};
use serde_json::{Value, json};
use support::{
    HubProcess,
    program::{Outcome, tidings, tidings_in},
    wire::{self, Wire},
};
use tempfile::TempDir;
use tokio::{task::yield_now, time::timeout};

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

/// The part of a token with this number, as JSON.
fn part(token: &str, number: usize) -> Value {
    let part = token.trim_end().split('.').nth(number).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}

#[tokio::test]
async fn a_minted_token_has_rights_claims_audiences_and_an_id_of_its_own() {
    let (_directory, key) = with_key().await;
    let flags = ["--right", "metrics", "--right", "admin", "--claim", "tenant=acme", "--claim", "level=7"];
    let claims = part(&mint(&key, &[&flags[..], &["--aud", "hub", "--aud", "other"]].concat()).await.out, 1);
    assert_eq!(claims["tidings"], json!({ "rights": ["metrics", "admin"] }));
    assert_eq!((&claims["tenant"], &claims["level"]), (&json!("acme"), &json!(7)));
    assert_eq!(claims["aud"], json!(["hub", "other"]));
    assert_eq!(URL_SAFE_NO_PAD.decode(claims["jti"].as_str().unwrap()).unwrap().len(), 16);
    let other = part(&mint(&key, &flags).await.out, 1);
    assert_ne!(other["jti"], claims["jti"]);
    let named = mint(&key, &["--read", "a", "--jti", "login-7"]).await;
    assert_eq!(part(&named.out, 1)["jti"], json!("login-7"));
}

#[tokio::test]
async fn a_token_that_a_hub_would_refuse_is_not_minted() {
    let (_directory, key) = with_key().await;
    for (flags, words) in [
        (&["--right", "root"][..], "subscribers, metrics, gateway, tickets, admin"),
        (&["--read", "a", "--claim", "exp=1"], "--for"),
        (&["--read", "a", "--claim", "tenant"], "NAME=VALUE"),
        (&["--read", "a", "--jti", ""], "jti"),
        (&["--read", "a", "--sub", &"x".repeat(1025)], "sub"),
        (&["--read", "a", "--claim", &format!("note={}", "x".repeat(16_384))], "16384"),
        (&["--read", "a", "--for", "31d"], "30 days"),
        (&["--for", "1h"], "allow nothing"),
    ] {
        let outcome = mint(&key, flags).await;
        assert_eq!(outcome.code, Some(64), "{}", outcome.err);
        assert!(outcome.err.contains(words) && outcome.out.is_empty(), "{}", outcome.err);
    }
}

async fn explain(key: &str, input: &str, flags: &[&str]) -> Outcome {
    tidings(&[&["token", "explain", "-"], flags, &["--key-file", key]].concat(), input).await
}

#[tokio::test]
async fn an_explanation_shows_each_check_and_the_verdict_that_the_hub_would_give() {
    let (_directory, key) = with_key().await;
    let token = mint(&key, &["--publish", "orders/*", "--read", "users/alice/*", "--sub", "alice"]).await.out;
    let accepted = explain(&key, &token, &[]).await;
    assert_eq!(accepted.code, Some(0), "{}{}", accepted.out, accepted.err);
    for words in
        ["✓ signature", "✓ exp", "\"alice\"", "accepted: it may publish to orders/* and read users/alice/*"]
    {
        assert!(accepted.out.contains(words), "{}", accepted.out);
    }
    for (flags, code, words) in [
        (&["users/alice/1"][..], 0, "✓ topic"),
        (&["orders/1", "--for", "publish"], 0, "✓ topic"),
        (&["orders/1"], 1, "refused, read-not-granted: the token may read users/alice/*, not orders/1"),
        (&["a", "--for", "publish"], 1, "publish-not-granted"),
    ] {
        let outcome = explain(&key, &format!("Bearer {token}"), flags).await;
        assert_eq!(outcome.code, Some(code), "{}{}", outcome.out, outcome.err);
        assert!(outcome.out.contains(words), "{}", outcome.out);
    }
    let (_other_directory, other) = with_key().await;
    let refused = explain(&other, &token, &[]).await;
    assert_eq!(refused.code, Some(1), "{}", refused.err);
    for words in ["✗ signature", "✓ exp", "refused, signature-wrong"] {
        assert!(refused.out.contains(words), "{}", refused.out);
    }
    let json = explain(&other, &token, &["--json"]).await;
    let json: Value = serde_json::from_str(&json.out).unwrap();
    assert_eq!((&json["allowed"], &json["rule"]), (&json!(false), &json!("signature-wrong")));
    let checks = json["checks"].as_array().unwrap();
    assert!(checks.iter().any(|check| check["name"] == "exp" && check["passed"] == true), "{json}");
}

#[tokio::test]
async fn a_token_comes_from_a_file_or_a_variable_and_on_a_command_line_with_a_warning() {
    let (directory, key) = with_key().await;
    let token = mint(&key, &["--read", "users/alice/*"]).await.out;
    let file = directory.path().join("token.txt");
    fs::write(&file, &token).unwrap();
    let of_file = tidings(&["token", "explain", file.to_str().unwrap(), "--key", &key], "").await;
    assert_eq!(of_file.code, Some(0), "{}", of_file.err);
    assert!(!of_file.err.contains("command line"), "{}", of_file.err);
    let variable = [("TIDINGS_TOKEN", token.trim_end())];
    let of_variable = tidings_in(&variable, &["token", "explain", "users/alice/1", "--key", &key], "").await;
    assert_eq!(of_variable.code, Some(0), "{}", of_variable.err);
    assert!(of_variable.out.contains("✓ topic"), "{}", of_variable.out);
    let of_line = tidings(&["token", "explain", token.trim_end(), "--key", &key], "").await;
    assert_eq!(of_line.code, Some(0), "{}", of_line.err);
    assert!(of_line.err.contains("can see a token on a command line"), "{}", of_line.err);
    let without = tidings(&["token", "explain", "-"], &token).await;
    assert!(without.code == Some(64) && without.err.contains("--key-file"), "{}", without.err);
}

#[tokio::test]
async fn a_hub_verifies_with_a_public_key_and_a_token_names_it() {
    let directory = TempDir::new().unwrap();
    let file = directory.path().join("hub.pub");
    let pem = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n\
               -----END PUBLIC KEY-----\n";
    fs::write(&file, pem).unwrap();
    let file = file.to_str().unwrap();
    let hub = HubProcess::start(&["--key-file", file, "--audience", "https://hub.example"]);
    assert_eq!(wire::ask(&hub.address, "GET", "/topics/a", &[], "").await.status(), 401);
    let minting = mint(file, &["--read", "a"]).await;
    assert!(minting.code == Some(64) && minting.err.contains("made with a secret"), "{}", minting.err);
}

#[tokio::test]
async fn revoke_asks_the_hub_with_the_token_of_a_file_and_prints_its_answer() {
    let answer =
        json!({ "id": "1", "until": null, "streams": 3, "tickets": 0, "durable": false }).to_string();
    let head = "HTTP/1.1 200 OK\nContent-Type: application/json\nConnection: close";
    let refusal = "HTTP/1.1 403 Forbidden\nContent-Type: application/problem+json\nConnection: close";
    let refused = json!({ "detail": "this request needs the right \"admin\"" }).to_string();
    let server = Server::start([response(head).send(&answer), response(refusal).send(&refused)]).await;
    let directory = TempDir::new().unwrap();
    let file = directory.path().join("admin.token");
    fs::write(&file, "the.admin.token\n").unwrap();
    let url = server.url("");
    let of = ["--sub", "alice", "--iss", "app", "--reason", "left", "--token-file", file.to_str().unwrap()];
    let flags = [&["token", "revoke", "--hub", &url], &of[..]].concat();
    let outcome = tidings(&flags, "").await;
    assert_eq!((outcome.code, outcome.out.trim_end()), (Some(0), &*answer), "{}", outcome.err);
    assert!(outcome.err.contains("ends with its process"), "{}", outcome.err);
    let request = server.requests().remove(0);
    assert_eq!(request.line, "POST /revocations HTTP/1.1");
    assert_eq!(request.header("authorization"), Some("Bearer the.admin.token"));
    let body: Value = serde_json::from_slice(&request.body).unwrap();
    assert_eq!(body, json!({ "sub": "alice", "iss": "app", "reason": "left" }));

    let outcome = tidings(&flags, "").await;
    assert_eq!(outcome.code, Some(1), "{}", outcome.err);
    assert!(
        outcome.err.contains("the right \"admin\"") && outcome.err.contains("--token-file"),
        "{}",
        outcome.err
    );
    for flags in [&[][..], &["--jti", "a", "--sub", "b"], &["--key", "a", "--iss", "b"]] {
        let outcome = tidings(&[&["token", "revoke"], flags].concat(), "").await;
        assert_eq!(outcome.code, Some(64), "{}", outcome.err);
    }
}

#[tokio::test]
async fn revoke_sends_no_secret_that_is_given_in_place_of_an_id() {
    let answer = json!({ "id": "1", "until": null, "streams": 0, "tickets": 0, "durable": true }).to_string();
    let head = "HTTP/1.1 200 OK\nContent-Type: application/json\nConnection: close";
    let server = Server::start([response(head).send(&answer)]).await;
    let url = server.url("");
    let token = "eyJhbGciOiJIUzI1NiJ9.e30.c2VjcmV0";
    let outcome = tidings(&["token", "revoke", "--hub", &url, "--jti", token], "").await;
    assert_eq!(outcome.code, Some(64), "{}", outcome.err);
    assert!(outcome.err.contains("tidings token inspect") && !outcome.err.contains(token), "{}", outcome.err);
    let key = "tdk_Ab3dEf9h_0123456789abcdefghijklmnopqrstuv";
    let outcome = tidings(&["token", "revoke", "--hub", &url, "--key", key], "").await;
    assert_eq!(outcome.code, Some(0), "{}", outcome.err);
    let body: Value = serde_json::from_slice(&server.requests().remove(0).body).unwrap();
    assert_eq!(body, json!({ "key": "Ab3dEf9h" }));
}

#[cfg(unix)]
#[tokio::test]
async fn the_audit_log_is_begun_anew_on_sighup() {
    let (directory, key) = with_key().await;
    let (file, old) = (directory.path().join("audit"), directory.path().join("audit.1"));
    let hub = HubProcess::start(&["--key-file", &key, "--audit", file.to_str().unwrap()]);
    let refused =
        async |target: &str| wire::ask(&hub.address, "GET", target, &[], "").await.refusal(401, "token");
    let noted = async |file: &Path, target: &str| {
        let read = async {
            while !fs::read_to_string(file).is_ok_and(|text| text.contains(target)) {
                yield_now().await;
            }
        };
        timeout(wire::PATIENCE, read).await.unwrap_or_else(|_| panic!("{target} is not noted"));
    };
    refused("/topics/before").await;
    noted(&file, "/topics/before").await;
    fs::rename(&file, &old).unwrap();
    let killed = std::process::Command::new("kill").args(["-HUP", &hub.id().to_string()]).status();
    assert!(killed.unwrap().success());
    let begun = async {
        while !file.exists() {
            yield_now().await;
        }
    };
    timeout(wire::PATIENCE, begun).await.expect("a new file is begun");
    refused("/topics/after").await;
    noted(&file, "/topics/after").await;
    assert!(!fs::read_to_string(old).unwrap().contains("after"));
}

/// A token with these claims that was issued now, and that holds for an hour.
fn sign(key_file: &str, mut claims: Value) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    (claims["iat"], claims["exp"]) = (now.into(), (now + 3_600).into());
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let signed = format!("{}.{}", part(&json!({ "alg": "HS256" })), part(&claims));
    let key = hmac::Key::new(hmac::HMAC_SHA256, fs::read_to_string(key_file).unwrap().trim().as_bytes());
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(hmac::sign(&key, signed.as_bytes())))
}

/// `TIDINGS_STREAMS` makes it large.
#[tokio::test]
async fn all_streams_of_a_subject_end_when_its_tokens_are_revoked() {
    let count: usize = std::env::var("TIDINGS_STREAMS").map_or(300, |count| count.parse().unwrap());
    let (directory, key) = with_key().await;
    let hub = HubProcess::start(&["--key-file", &key]);
    let user =
        |name: &str| format!("Bearer {}", sign(&key, json!({ "sub": name, "tidings": { "read": ["*"] } })));
    let open = async |user: &str, number: usize| {
        let mut wire = Wire::connect(&hub.address).await;
        // Half of them share what they are sent.
        let target =
            if number % 2 == 0 { "/topics/news".to_owned() } else { format!("/topics/news/{number}") };
        wire.write(wire::head(&hub.address, "GET", &target, &[("authorization", user)])).await;
        wire.until(b"event: start").await.expect("the stream begins");
        wire
    };
    let (alice, bob) = (user("alice"), user("bob"));
    let mut other = open(&bob, 0).await;
    let mut streams = Vec::new();
    for number in 0..count {
        streams.push(open(&alice, number).await);
    }
    let admin = sign(&key, json!({ "tidings": { "rights": ["admin"] } }));
    let file = directory.path().join("admin.token");
    fs::write(&file, admin).unwrap();
    let url = format!("http://{}", hub.address);
    let began = Instant::now();
    let flags = ["token", "revoke", "--sub", "alice", "--token-file", file.to_str().unwrap(), "--hub", &url];
    let outcome = tidings(&flags, "").await;
    assert_eq!(outcome.code, Some(0), "{}", outcome.err);
    let revoked = began.elapsed();
    let made: Value = serde_json::from_str(&outcome.out).unwrap();
    assert_eq!(made["streams"], count, "{made}");
    for stream in &mut streams {
        stream.until(b"{\"reason\":\"revoked\"}").await.expect("the stream says why it ends");
        assert_eq!(
            stream.until(b"0\r\n\r\n").await.as_deref(),
            Some(&b"\n\n\r\n0\r\n\r\n"[..]),
            "it ends cleanly"
        );
    }
    println!("{count} streams: revoked after {revoked:?}, the last had ended after {:?}", began.elapsed());
    let publish =
        ("authorization", &*format!("Bearer {}", sign(&key, json!({ "tidings": { "publish": ["*"] } }))));
    let published = wire::ask(&hub.address, "POST", "/topics/news", &[publish], "goes on").await;
    assert_eq!(published.status(), 200);
    other.until(b"goes on").await.expect("other streams go on");
}

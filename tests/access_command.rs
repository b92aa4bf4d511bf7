//! `tidings access` and API keys, as their users see them.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::fs;

use serde_json::{Value, json};
use support::program::tidings;
use tempfile::TempDir;

const RULES: &str = r#"
[[rule]]
topics = "users/{sub}/*"
read = "token"

[[rule]]
topics = "news/*"
read = "anyone"

[[role]]
claim = "roles"
has = "staff"
publish = "news/*"
"#;

/// A directory with an access file, and the path of that.
fn with_file(text: &str) -> (TempDir, String) {
    let directory = TempDir::new().unwrap();
    let file = directory.path().join("access.toml");
    fs::write(&file, text).unwrap();
    let file = file.to_str().unwrap().to_owned();
    (directory, file)
}

#[tokio::test]
async fn check_says_who_may_read_and_publish_a_topic_and_by_which_line() {
    let (_directory, file) = with_file(RULES);
    let outcome = tidings(&["access", "check", &file], "").await;
    assert_eq!(outcome.code, Some(0), "{}", outcome.err);
    assert!(outcome.out.contains("can be used: 0 issuers, 0 API keys, 2 rules, 1 role"), "{}", outcome.out);

    let outcome = tidings(&["access", "check", &file, "--topic", "news/today"], "").await;
    for words in [
        "line 6 decides: topics = \"news/*\", read = \"anyone\", publish = \"granted\"",
        "line 6: everyone may read, by \"news/*\"",
        "line 10: the holder of a token whose claim \"roles\" has \"staff\" may publish, by \"news/*\"",
    ] {
        assert!(outcome.out.contains(words), "{}", outcome.out);
    }
    let outcome = tidings(&["access", "check", &file, "--topic", "users/alice/inbox"], "").await;
    let words = "line 2: the holder of a credential with {sub} \"alice\" may read, by \"users/{sub}/*\"";
    assert!(outcome.out.contains(words), "{}", outcome.out);
    let outcome = tidings(&["access", "check", &file, "--topic", "orders"], "").await;
    assert!(outcome.out.contains("no rule is for this topic"), "{}", outcome.out);

    let outcome = tidings(&["access", "check", &file, "--topic", "news/today", "--json"], "").await;
    let answer: Value = serde_json::from_str(&outcome.out).unwrap();
    let rule = json!({ "line": 6, "topics": "news/*", "read": "anyone", "publish": "granted" });
    assert_eq!((&answer["rule"], &answer["topic"]), (&rule, &json!("news/today")));
    let everyone = json!({ "action": "read", "line": 6, "clients": "everyone", "by": "news/*" });
    assert_eq!(answer["ways"][0], everyone);
}

#[tokio::test]
async fn check_says_what_a_token_may_do_and_why_one_is_refused() {
    let (directory, file) = with_file(&format!("[[issuer]]\nkey = \"hub.key\"\n{RULES}"));
    let key = directory.path().join("hub.key");
    fs::write(&key, tidings(&["token", "key"], "").await.out).unwrap();
    let flags = ["token", "mint", "--key-file", key.to_str().unwrap(), "--sub", "alice", "--read", "x"];
    let token = tidings(&flags, "").await.out;
    let check = |topic: &'static str, flags: &'static [&'static str], token: String| {
        let file = file.clone();
        async move {
            let check = ["access", "check", &file, "--token", "-", "--topic", topic];
            tidings(&[&check, flags].concat(), &token).await.out
        }
    };
    let own = check("users/alice/inbox", &[], token.clone()).await;
    let words = "The token is accepted. It may read users/alice/inbox, and may not publish to it.";
    assert!(own.contains(words), "{own}");
    let other: Value =
        serde_json::from_str(&check("users/bob/inbox", &["--json"], token.clone()).await).unwrap();
    assert_eq!(other["token"], json!({ "accepted": true, "read": false, "publish": false }));
    // The last letter of a signature may have bits that nobody looks at.
    let forged = format!("{}x{}", &token[..token.len() - 20], &token[token.len() - 19..]);
    let refused = check("news/a", &[], forged).await;
    assert!(refused.contains("The token is refused, signature-wrong"), "{refused}");
}

#[tokio::test]
async fn check_refuses_a_bad_file_with_its_name_the_line_and_the_nearest_name() {
    let (_directory, file) = with_file("[[rule]]\ntopics = \"a\"\nraed = \"token\"\n");
    let outcome = tidings(&["access", "check", &file], "").await;
    assert_eq!((outcome.code, &*outcome.out), (Some(64), ""), "{}", outcome.err);
    let words = format!("{file}:3: [[rule]] has no key \"raed\"; is read meant?");
    assert!(outcome.err.contains(&words), "{}", outcome.err);
    let outcome = tidings(&["access", "check", "/nowhere/access.toml"], "").await;
    assert_eq!(outcome.code, Some(64));
    assert!(outcome.err.contains("/nowhere/access.toml: the access file cannot be read"), "{}", outcome.err);
    let (_directory, file) = with_file(RULES);
    let outcome = tidings(&["access", "check", &file, "--topic", "a*"], "").await;
    assert!(outcome.code == Some(64) && outcome.err.contains("--topic: topic \"a*\""), "{}", outcome.err);
}

#[tokio::test]
async fn an_api_key_is_printed_once_with_the_entry_that_the_access_file_has_to_have() {
    let flags = [
        "--publish",
        "orders/*",
        "--read",
        "keys/{sub}",
        "--right",
        "metrics",
        "--for",
        "90d",
        "--note",
        "shop \"7\"",
    ];
    let outcome = tidings(&[&["token", "key", "--api"], &flags[..]].concat(), "").await;
    assert_eq!(outcome.code, Some(0), "{}", outcome.err);
    let key = outcome.out.trim_end();
    let (id, secret) = (&key[4..12], &key[13..]);
    assert!(key.len() == 45 && key.starts_with("tdk_"), "{key}");
    assert!(!outcome.err.contains(secret), "the entry has no secret: {}", outcome.err);
    let entry = &outcome.err[outcome.err.find("[[key]]").unwrap()..];
    assert!(entry.contains("note = \"shop \\\"7\\\"\"") && entry.contains("expires = 2"), "{entry}");
    let (_directory, file) = with_file(entry);
    let outcome = tidings(&["access", "check", &file, "--topic", &format!("keys/{id}")], "").await;
    assert!(
        outcome.out.contains(&format!("line 1: the API key {id} may read")),
        "{} {}",
        outcome.out,
        outcome.err
    );
    let again = tidings(&["token", "key", "--api"], "").await;
    assert_ne!(again.out.trim_end(), key);
}

#[tokio::test]
async fn an_api_key_that_no_hub_would_take_is_not_made() {
    for (flags, words) in [
        (&["--api", "--publish", "a*"][..], "\"a*\""),
        (&["--api", "--right", "root"], "it is subscribers, metrics, gateway, tickets or admin"),
        (&["--publish", "a"], "add --api"),
    ] {
        let outcome = tidings(&[&["token", "key"], flags].concat(), "").await;
        assert_eq!((outcome.code, &*outcome.out), (Some(64), ""), "{}", outcome.err);
        assert!(outcome.err.contains(words), "{}", outcome.err);
    }
}

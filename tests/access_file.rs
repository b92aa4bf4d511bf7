//! A hub with an access file, as operators and their users see it.

#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::{
    fs,
    io::{BufRead, BufReader, Lines},
    path::PathBuf,
    process::{Child, ChildStderr, Command, Stdio},
    time::Instant,
};

use support::{
    front::listening,
    program::{program, tidings},
    wire::{self, PATIENCE, Wire, ask},
};
use tempfile::TempDir;

const RULES: &str = r#"
[[issuer]]
key = "hub.key"

[[rule]]
topics = "users/{sub}/*"
read = "token"

[[rule]]
topics = "news/*"
read = "anyone"

[[rule]]
topics = "news/drafts/*"
read = "granted"

[[role]]
claim = "sub"
has = "editor"
publish = ["news/*"]
"#;

/// A hub whose access file can be changed, and whose log can be read.
struct Hub {
    child: Child,
    address: String,
    log: Lines<BufReader<ChildStderr>>,
    directory: TempDir,
}

impl Hub {
    /// Starts one with this access file beside a key in `hub.key`.
    async fn start(rules: &str, flags: &[&str]) -> Hub {
        let directory = TempDir::new().unwrap();
        let key = tidings(&["token", "key"], "").await.out;
        fs::write(directory.path().join("hub.key"), key).unwrap();
        let file = directory.path().join("access.toml");
        fs::write(&file, rules).unwrap();
        let mut child = program()
            .args(["serve", "--listen", "127.0.0.1:0", "--memory", "--access"])
            .arg(&file)
            .args(flags)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap()).lines();
        let address = loop {
            let line = log.next().expect("the hub says where it listens").unwrap();
            if let Some(address) = listening(&line) {
                break address.to_string();
            }
        };
        Hub { child, address, log, directory }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// A token of the key beside the file.
    async fn token(&self, flags: &[&str]) -> String {
        let key = self.file("hub.key");
        let flags = [&["token", "mint", "--key-file", key.to_str().unwrap()], flags].concat();
        let minted = tidings(&flags, "").await;
        assert_eq!(minted.code, Some(0), "{}", minted.err);
        format!("Bearer {}", minted.out.trim_end())
    }

    /// The status of a request for a topic with a credential.
    async fn status(&self, method: &str, topic: &str, credential: Option<&str>) -> u16 {
        let headers: Vec<_> = credential.iter().map(|value| ("authorization", *value)).collect();
        let target = format!("/topics/{topic}");
        let headers = [&headers[..], &[wire::JSON]].concat();
        ask(&self.address, method, &target, &headers, if method == "GET" { "" } else { "x" }).await.status()
    }

    /// Writes another access file, and tells the hub.
    fn change(&self, rules: &str) {
        fs::write(self.file("access.toml"), rules).unwrap();
        let sent = Command::new("kill").args(["-HUP", &self.child.id().to_string()]).status();
        assert!(sent.unwrap().success());
    }

    /// Waits for a line of the log with these words.
    fn says(&mut self, words: &str) -> String {
        let line = self.log.by_ref().map(Result::unwrap).find(|line| line.contains(words));
        line.unwrap_or_else(|| panic!("the hub ended without {words:?}"))
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test]
async fn each_user_reads_the_own_branch_and_no_rule_for_more_topics_opens_it_to_others() {
    let hub = Hub::start(&format!("{RULES}\n[[rule]]\ntopics = \"*\"\nread = \"anyone\"\n"), &[]).await;
    let (alice, bob) = (
        hub.token(&["--sub", "alice", "--read", "x"]).await,
        hub.token(&["--sub", "bob", "--read", "x"]).await,
    );
    for (topic, credential, status) in [
        ("users/alice/inbox", Some(&*alice), 200),
        ("users/alice/inbox", Some(&*bob), 403),
        ("users/alice/inbox", None, 403),
        ("users/alice", None, 200),
        ("news/today", None, 200),
        ("news/drafts/1", None, 403),
        ("news/drafts/1", Some(&*alice), 403),
        ("other", None, 200),
    ] {
        assert_eq!(hub.status("GET", topic, credential).await, status, "{topic} {credential:?}");
    }
    let editor = hub.token(&["--sub", "editor", "--read", "x"]).await;
    assert_eq!(hub.status("POST", "news/today", Some(&editor)).await, 200);
    assert_eq!(hub.status("POST", "news/today", Some(&alice)).await, 403);
}

#[tokio::test]
async fn with_an_access_file_anonymous_rights_are_for_topics_without_a_rule() {
    let hub = Hub::start(RULES, &["--anonymous", "subscribe,publish"]).await;
    for (method, topic, status) in [
        ("GET", "other", 200),
        ("POST", "other", 200),
        ("GET", "news/drafts/1", 403),
        ("POST", "news/today", 403),
        ("GET", "users/alice/inbox", 403),
    ] {
        assert_eq!(hub.status(method, topic, None).await, status, "{method} {topic}");
    }
}

#[tokio::test]
async fn an_api_key_is_taken_as_bearer_and_as_password_until_it_is_removed_from_the_file() {
    use base64::{Engine, engine::general_purpose::STANDARD};
    let made = tidings(&["token", "key", "--api", "--publish", "orders/*"], "").await;
    let (key, entry) = (made.out.trim_end(), &made.err[made.err.find("[[key]]").unwrap()..]);
    let mut hub = Hub::start(&format!("{RULES}\n{entry}"), &[]).await;
    let id = &key[4..12];
    let bearer = format!("Bearer {key}");
    let basic = format!("Basic {}", STANDARD.encode(format!("{id}:{key}")));
    for credential in [&bearer, &basic] {
        assert_eq!(hub.status("POST", "orders/1", Some(credential)).await, 200);
        assert_eq!(hub.status("POST", "invoices/1", Some(credential)).await, 403);
    }
    let wrong = format!("Bearer tdk_{id}_{}", "0".repeat(32));
    let other = format!("Basic {}", STANDARD.encode(format!("somebody:{key}")));
    for credential in [&wrong, &other] {
        assert_eq!(hub.status("POST", "orders/1", Some(credential)).await, 401);
    }
    hub.change(RULES);
    hub.says("read again");
    assert_eq!(hub.status("POST", "orders/1", Some(&bearer)).await, 401);
}

#[tokio::test]
async fn a_bad_file_is_refused_with_its_line_and_the_rules_before_stay() {
    let mut hub = Hub::start(RULES, &[]).await;
    assert_eq!(hub.status("GET", "news/today", None).await, 200);
    hub.change("[[rule]]\ntopics = \"*\"\nread = \"everyone\"\n");
    let line = hub.says("stay in use");
    for words in ["access.toml:3: [[rule]] read is", "everyone", "it is anyone, token or granted"] {
        assert!(line.contains(words), "{line}");
    }
    assert_eq!(hub.status("GET", "news/today", None).await, 200);
    assert_eq!(hub.status("GET", "other", None).await, 403);
    hub.change("[[rule]]\ntopics = \"other\"\nread = \"anyone\"\n");
    hub.says("read again");
    assert_eq!(hub.status("GET", "news/today", None).await, 403);
    assert_eq!(hub.status("GET", "other", None).await, 200);
}

#[tokio::test]
async fn streams_that_may_read_less_by_the_new_file_end_and_say_so_and_the_others_go_on() {
    let mut hub = Hub::start(RULES, &[]).await;
    let alice = hub.token(&["--sub", "alice", "--read", "other"]).await;
    let mut streams = Vec::new();
    for (topic, credential) in [("users/alice/inbox", Some(&*alice)), ("news/today", None)] {
        let mut headers = vec![("accept", "text/event-stream")];
        headers.extend(credential.map(|value| ("authorization", value)));
        let mut stream = Wire::connect(&hub.address).await;
        stream.write(wire::head(&hub.address, "GET", &format!("/topics/{topic}"), &headers)).await;
        assert!(stream.head().await.contains("200"));
        streams.push(stream);
    }
    hub.change(&RULES.replace("read = \"token\"", "read = \"granted\""));
    hub.says("read again");
    let begun = Instant::now();
    let ended = String::from_utf8(streams[0].rest().await).unwrap();
    assert!(ended.contains("event: access\ndata: {\"reason\":\"rules\"}"), "{ended}");
    assert!(begun.elapsed() < PATIENCE);
    let editor = hub.token(&["--sub", "editor", "--read", "other"]).await;
    assert_eq!(hub.status("POST", "news/today", Some(&editor)).await, 200);
    assert!(streams[1].until(b"data: x").await.is_some(), "it goes on");
}

#[tokio::test]
async fn a_credential_that_the_file_revokes_is_refused_and_its_streams_end() {
    let mut hub = Hub::start(RULES, &[]).await;
    let alice = hub.token(&["--sub", "alice", "--read", "other"]).await;
    let bob = hub.token(&["--sub", "bob", "--read", "other"]).await;
    let mut stream = Wire::connect(&hub.address).await;
    let headers = [("accept", "text/event-stream"), ("authorization", &*alice)];
    stream.write(wire::head(&hub.address, "GET", "/topics/other", &headers)).await;
    assert!(stream.head().await.contains("200"));
    let asked = r#"{"topics": ["other"]}"#;
    let answer = ask(&hub.address, "POST", "/tickets", &[("authorization", &*alice)], asked).await;
    let url = answer.json()["url"].as_str().unwrap().to_owned();
    hub.change(&format!("{RULES}\n[[revoked]]\nsub = \"alice\"\nreason = \"left\"\n"));
    hub.says("read again");
    let ended = String::from_utf8(stream.rest().await).unwrap();
    assert!(ended.contains("event: access\ndata: {\"reason\":\"revoked\"}"), "{ended}");
    let headers = [("authorization", &*alice), wire::JSON];
    let refused =
        ask(&hub.address, "GET", "/topics/other", &headers, "").await.refusal(401, "was revoked (left)");
    assert_eq!(refused["rule"], "token-revoked");
    ask(&hub.address, "GET", &url, &[wire::JSON], "").await.refusal(401, "was revoked (left)");
    assert_eq!(hub.status("GET", "other", Some(&bob)).await, 200);
}

#[tokio::test]
async fn a_hub_does_not_start_with_a_file_that_cannot_be_used() {
    let directory = TempDir::new().unwrap();
    let file = directory.path().join("access.toml");
    let file = file.to_str().unwrap();
    for (text, words) in [
        ("[[rules]]\n", "access.toml:1: the file has no key \"rules\"; is rule meant?"),
        ("[[issuer]]\nkey = \"hub.key\"\n", "access.toml:1: [[issuer]]: hub.key cannot be read"),
    ] {
        fs::write(file, text).unwrap();
        let outcome = tidings(&["serve", "--memory", "--listen", "127.0.0.1:0", "--access", file], "").await;
        assert_eq!(outcome.code, Some(64), "{}", outcome.err);
        assert!(outcome.err.contains(words), "{}", outcome.err);
    }
    let outcome = tidings(&["serve", "--memory", "--listen", "127.0.0.1:0", "--audience", "a"], "").await;
    assert!(outcome.code == Some(64) && outcome.err.contains("--access FILE"), "{}", outcome.err);
}

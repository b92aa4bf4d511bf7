//! The audit log: refusals, streams, tickets and revocations.

use std::{fs, path::Path};

use tidings_hub::Audit;

use super::*;

/// The lines of the file, once there are so many.
async fn lines(path: &Path, count: usize) -> Vec<Value> {
    let read = async {
        loop {
            let text = fs::read_to_string(path).unwrap();
            if text.ends_with('\n') && text.lines().count() >= count {
                return text.lines().map(|line| serde_json::from_str(line).unwrap()).collect::<Vec<Value>>();
            }
            tokio::task::yield_now().await;
        }
    };
    soon("the lines of the audit log", read).await
}

#[tokio::test]
async fn refusals_streams_tickets_and_revocations_are_noted_with_who_and_from_where() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("audit.jsonl");
    let setup = Setup::new(|control| control.with_audit(Audit::open(&path, false).unwrap())).await;
    let alice = of_user("alice");
    setup.ask("GET", "/topics/news?secret=1", &bearer("wrong"), "").await.refusal(
        401,
        "token-not-accepted",
        &[],
    );
    setup.ask("GET", "/topics/users/bob/a", &bearer(&alice), "").await.refusal(403, "read-not-granted", &[]);
    let ticket = setup.ticket(&alice, &json!({ "topics": ["news"] })).await;
    let target = format!("/topics?ticket={ticket}");
    let stream = Stream::open(&setup, &target, "").await;
    setup.ask("GET", &target, "", "").await.refusal(401, "ticket-not-valid", &[]);
    setup.revoke(&json!({ "sub": "alice" })).await;
    stream.end().await;
    assert_eq!(setup.ask("POST", "/topics/chat", &bearer(&of_user("bob")), "x").await.status(), 200);

    let lines = lines(&path, 8).await;
    let events: Vec<_> = lines.iter().map(|line| line["event"].as_str().unwrap()).collect();
    let expected = [
        "refused",
        "refused",
        "ticket",
        "stream-opened",
        "ticket-used-again",
        "refused",
        "revoked",
        "stream-ended",
    ];
    assert_eq!(events, expected, "a publish is not noted");
    for line in &lines {
        humantime::parse_rfc3339(line["time"].as_str().unwrap()).unwrap();
    }
    let of = |index: usize, names: [&str; 4]| {
        names.map(|name| lines[index][name].as_str().unwrap_or("-").to_owned())
    };
    let who = ["rule", "sub", "action", "address"];
    assert_eq!(of(0, who), ["token-not-accepted", "-", "GET /topics/news", "127.0.0.1"]);
    assert!(lines[0]["request"].is_string(), "{}", lines[0]);
    assert_eq!(of(1, who), ["read-not-granted", "alice", "GET /topics/users/bob/a", "127.0.0.1"]);
    assert_eq!(of(3, ["sub", "topic", "address", "rule"]), ["alice", "news", "127.0.0.1", "-"]);
    assert_eq!(of(4, ["sub", "credential", "rule", "topic"]), ["alice", "session of alice", "-", "-"]);
    assert_eq!(lines[6]["count"], 1);
}

#[tokio::test]
async fn publishes_are_noted_if_that_is_asked_for() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("audit.jsonl");
    let setup = Setup::new(|control| control.with_audit(Audit::open(&path, true).unwrap())).await;
    setup.ask("POST", "/topics/chat", &bearer(&of_user("bob")), "private words").await;
    let lines = lines(&path, 1).await;
    let line = &lines[0];
    assert_eq!(
        (&line["event"], &line["sub"], &line["count"]),
        (&"published".into(), &"bob".into(), &1.into())
    );
    assert!(!line.to_string().contains("private words"), "{line}");
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_full_disk_stops_the_audit_and_never_the_hub() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("audit.jsonl");
    std::os::unix::fs::symlink("/dev/full", &path).unwrap();
    let setup = Setup::new(|control| control.with_audit(Audit::open(&path, false).unwrap())).await;
    setup.ask("GET", "/topics/news", &bearer("wrong"), "").await.refusal(401, "token-not-accepted", &[]);
    let failed = async {
        while !setup.ask("GET", "/readyz", "", "").await.body.contains("audit log cannot be written") {
            tokio::task::yield_now().await;
        }
    };
    soon("the fault", failed).await;
    assert_eq!(setup.ask("GET", "/readyz", "", "").await.status(), 200);
    let metrics = setup.ask("GET", "/metrics", "", "").await.body;
    assert!(metrics.contains("tidings_audit_healthy 0\n"), "{metrics}");
    assert!(metrics.contains("tidings_audit_lost_events 1\n"), "{metrics}");
    assert_eq!(setup.ask("POST", "/topics/chat", &bearer(&of_user("bob")), "x").await.status(), 200);
}

#[tokio::test]
async fn requests_without_a_credential_are_noted_a_few_times_a_second_and_counted() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("audit.jsonl");
    let setup = Setup::new(|control| control.with_audit(Audit::open(&path, false).unwrap())).await;
    let mut asked = 0;
    let counted = async {
        loop {
            asked += 1;
            let answer = setup.ask("GET", "/topics/news", "", "").await;
            answer.refusal(401, "credential-missing", &[]);
            let lines = lines(&path, 1).await;
            if lines.iter().any(|line| line["count"].is_u64()) {
                break lines;
            }
        }
    };
    let lines = soon("a count", counted).await;
    let told: u64 = lines.iter().map(|line| line["count"].as_u64().unwrap_or(1)).sum();
    // The file may lag behind the answers.
    assert!((lines.len() as u64 + 1..=asked).contains(&told), "{told} of {asked}: {lines:?}");
}

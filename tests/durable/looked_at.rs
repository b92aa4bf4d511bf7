//! `tidings log` beside a hub at work, with rules that leave holes, and after it was killed.

use std::{path::Path, time::Duration};

use serde_json::{Value, json};
use tokio::{process::Command, time::timeout};

use crate::{
    History,
    support::{
        program::program,
        wire::{NDJSON, Stream, post, say},
    },
};

/// Runs `tidings log` and gives back what it prints; it has to find nothing wrong.
async fn log(command: &str, log: &Path, more: &[&str]) -> String {
    let mut program = Command::from(program());
    program.args(["log", command]).arg(log).args(more).kill_on_drop(true);
    let output = timeout(Duration::from_secs(60), program.output()).await.unwrap().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(0), "log {command}: {said}");
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn looking_at_a_log_disturbs_nobody_and_finds_no_damage() {
    let history = History::new();
    let rules = ["--retain", "often/*=50", "--retain", "brief=1s", "--max-updates", "2000"];
    for _ in 0..2 {
        let hub = history.serve(&rules);
        let mut follower = Stream::live(&hub.address, "/topics/counted").await;
        let address = hub.address.clone();
        let publisher = tokio::spawn(async move {
            for number in 0..300 {
                let lines = format!("{{\"data\": \"{number}\"}}\n").repeat(7);
                for topic in ["often/1", "often/2", "brief"] {
                    assert_eq!(
                        post(&address, &format!("/topics/{topic}"), NDJSON, &lines).await.status(),
                        200
                    );
                }
                say(&address, "/topics/counted", &number.to_string()).await;
            }
        });
        while !publisher.is_finished() {
            log("stat", history.path(), &[]).await;
            log("check", history.path(), &[]).await;
            log("tail", history.path(), &["-n", "100"]).await;
            let lines = log("export", history.path(), &[]).await;
            let sequences: Vec<u64> = lines
                .lines()
                .map(|line| serde_json::from_str::<Value>(line).unwrap()["sequence"].as_u64().unwrap())
                .collect();
            assert!(sequences.is_sorted_by(|one, other| one < other));
        }
        publisher.await.unwrap();
        let expected: Vec<String> = (0..300).map(|number| number.to_string()).collect();
        assert_eq!(follower.data(300).await, expected);
        drop(hub);
        log("check", history.path(), &[]).await;
    }
}

#[tokio::test]
async fn an_imported_history_is_served_with_the_same_updates_in_the_same_order() {
    let history = History::new();
    let hub = history.serve(&["--retain", "short=2"]);
    for number in 0..30 {
        let topic = ["short", "long", "other/x"][number % 3];
        say(&hub.address, &format!("/topics/{topic}?type=t{number}"), &format!("{number}\nline")).await;
    }
    drop(hub);
    let exported = log("export", history.path(), &[]).await;
    let updates: Vec<Value> = exported.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let file = history.path().join("exported.ndjson");
    std::fs::write(&file, &exported).unwrap();
    let imported = History::new();
    log("import", imported.path(), &[file.to_str().unwrap()]).await;
    let hub = imported.serve(&[]);
    let mut stream = Stream::open(&hub.address, "/topics?topic=*&from=start&fields=topic", &[]).await;
    for update in updates {
        let event = stream.event().await;
        let came = json!({ "topic": event.topic, "type": event.event_type, "data": event.data });
        for field in ["topic", "type", "data"] {
            assert_eq!(came[field], update[field]);
        }
    }
}

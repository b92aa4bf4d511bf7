//! `tidings log` as its users see it, and `tidings serve` with a log that is damaged or restored.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::{
    fs,
    path::{Path, PathBuf},
    process::Stdio,
};

use serde_json::{Value, json};
use support::{
    HubProcess, Subscription,
    program::{Outcome, program, tidings},
    publish,
};
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::Command,
    time::{Duration, timeout},
};

async fn log(command: &str, log: &Path, more: &[&str]) -> Outcome {
    let log = log.to_str().unwrap();
    tidings(&[&["log", command, log], more].concat(), "").await
}

/// A directory whose log holds one update of each kind, made by an import.
async fn filled() -> TempDir {
    let directory = TempDir::new().unwrap();
    let lines = [
        json!({"topic":"a/1","data":"first","time":"2026-01-02T03:04:05.678Z"}),
        json!({"topic":"a/2","type":"t","data":"z\u{fc}rich\n\u{1f980}","id":"mine","retry":500,"key":"k"}),
        json!({"topic":"b","topics":["b","c"],"data":"two topics","private":true}),
        json!({"topic":"a/1","type":"close","data":"done","close":true}),
        json!({"topic":"b","data":""}),
    ];
    let lines: String = lines.iter().map(|line| format!("{line}\n")).collect();
    let outcome = tidings(&["log", "import", directory.path().to_str().unwrap()], &lines).await;
    assert_eq!((outcome.code, outcome.json()), (Some(0), vec![json!({"appended":5,"repeated":0})]));
    directory
}

fn database(directory: &TempDir) -> PathBuf {
    directory.path().join("log.sqlite")
}

/// Changes one letter of the data of an update, in the file.
fn damage(directory: &TempDir, data: &str) {
    let mut bytes = fs::read(database(directory)).unwrap();
    let position = bytes.windows(data.len()).position(|window| window == data.as_bytes());
    bytes[position.expect("the data is in the file")] ^= 1;
    fs::write(database(directory), bytes).unwrap();
}

/// An export without what the hub gives anew.
fn as_published(outcome: &Outcome) -> Vec<Value> {
    let mut lines = outcome.json();
    for line in &mut lines {
        let line = line.as_object_mut().unwrap();
        if line["id"].as_str().unwrap().starts_with('~') {
            line.remove("id");
        }
        if line.get("key").is_some_and(|key| key.as_str().unwrap().starts_with("import:~")) {
            line.remove("key");
        }
    }
    lines
}

#[tokio::test]
async fn an_export_says_everything_of_each_update() {
    let directory = filled().await;
    let export = log("export", directory.path(), &[]).await;
    assert_eq!((export.code, &*export.err), (Some(0), ""));
    let mut lines = as_published(&export);
    assert_eq!(lines[0]["time"], "2026-01-02T03:04:05.678Z");
    for line in &mut lines {
        line.as_object_mut().unwrap().remove("time").unwrap();
    }
    assert_eq!(
        lines,
        [
            json!({"topic":"a/1","type":"message","data":"first","sequence":1}),
            json!({"topic":"a/2","type":"t","data":"z\u{fc}rich\n\u{1f980}","id":"mine","retry":500,"key":"k","sequence":2}),
            json!({"topic":"b","topics":["b","c"],"type":"message","data":"two topics","private":true,"sequence":3}),
            json!({"topic":"a/1","type":"close","data":"done","close":true,"sequence":4}),
            json!({"topic":"b","type":"message","data":"","sequence":5}),
        ]
    );
}

#[tokio::test]
async fn an_export_that_is_imported_is_exported_the_same_but_for_the_hubs_ids() {
    let (first, second) = (filled().await, TempDir::new().unwrap());
    let exported = log("export", first.path(), &[]).await;
    let file = second.path().join("export.ndjson");
    fs::write(&file, &exported.out).unwrap();
    let target = second.path().join("log");
    for expected in [json!({"appended":5,"repeated":0}), json!({"appended":0,"repeated":5})] {
        let imported = log("import", &target, &[file.to_str().unwrap()]).await;
        assert_eq!((imported.code, imported.json()), (Some(0), vec![expected]), "{}", imported.err);
    }
    let again = log("export", &target, &[]).await;
    assert_eq!(as_published(&again), as_published(&exported));
    let ids = |outcome: &Outcome| outcome.json().iter().map(|line| line["id"].clone()).collect::<Vec<_>>();
    assert_ne!(ids(&again)[0], ids(&exported)[0], "the hub's IDs name another log now");
    assert!(log("check", &target, &[]).await.code == Some(0));
}

#[tokio::test]
async fn an_export_is_narrowed_to_topics_and_to_what_follows_an_id() {
    let directory = filled().await;
    for (arguments, sequences) in [
        (&["--topic", "a/*"][..], &[1, 2, 4][..]),
        (&["--topic", "c", "--topic", "a/2"], &[2, 3]),
        (&["--from", "mine"], &[3, 4, 5]),
        (&["--from", "mine", "--topic", "b"], &[3, 5]),
    ] {
        let export = log("export", directory.path(), arguments).await;
        let found: Vec<_> = export.json().iter().map(|line| line["sequence"].as_u64().unwrap()).collect();
        assert_eq!(found, sequences, "{arguments:?}");
    }
    let unknown = log("export", directory.path(), &["--from", "nobody's"]).await;
    assert_eq!(unknown.code, Some(64));
}

#[tokio::test]
async fn an_event_stream_is_exported_and_imported() {
    let (directory, target) = (filled().await, TempDir::new().unwrap());
    let export = log("export", directory.path(), &["--format", "event-stream", "--topic", "a/1"]).await;
    assert!(export.out.starts_with("topic: a/1\ndata: first\nid: ~"), "{}", export.out);
    let arguments = ["log", "import", target.path().to_str().unwrap(), "--topic", "other"];
    let imported = tidings(&arguments, &export.out).await;
    assert_eq!(imported.json(), [json!({"appended":2,"repeated":0})], "{}", imported.err);
    let lines = log("export", target.path(), &[]).await.json();
    assert_eq!((&lines[0]["topic"], &lines[0]["data"]), (&json!("other"), &json!("first")));
    assert_eq!((&lines[1]["close"], &lines[1]["data"]), (&json!(true), &json!("done")));
}

#[tokio::test]
async fn an_import_that_stops_says_where_and_what_it_has_done() {
    let directory = filled().await;
    let lines = "{\"topic\":\"b\",\"data\":\"good\"}\n\n{\"topic\":\"a/1\",\"data\":\"closed\"}\n";
    let outcome = tidings(&["log", "import", directory.path().to_str().unwrap()], lines).await;
    assert_eq!(outcome.code, Some(1));
    assert!(outcome.err.contains("line 3: topic \"a/1\" was closed"), "{}", outcome.err);
    assert!(outcome.err.contains("1 updates before it are appended"), "{}", outcome.err);
    let nonsense = tidings(&["log", "import", directory.path().to_str().unwrap()], "nonsense").await;
    assert_eq!(nonsense.code, Some(1));
    assert!(nonsense.err.contains("line 1: it is no update"), "{}", nonsense.err);
}

#[tokio::test]
async fn a_running_hub_can_be_looked_at_and_not_imported_to() {
    let directory = filled().await;
    let data = directory.path().to_str().unwrap();
    let hub = HubProcess::start(&["--data", data]);
    assert_eq!(publish(&hub.address, "/topics/live", "text/plain", "now").await.0, 200);
    let stat = log("stat", directory.path(), &["--json"]).await.json().remove(0);
    assert_eq!((&stat["updates"], &stat["newest"]["sequence"]), (&json!(6), &json!(6)));
    assert_eq!((&stat["topics"], &stat["closed_topics"]), (&json!(5), &json!(1)));
    assert_eq!(stat["largest_topics"][0], json!({"topic":"a/1","updates":2}));
    assert_eq!(log("check", directory.path(), &[]).await.code, Some(0));
    let import = log("import", directory.path(), &[]).await;
    assert_eq!(import.code, Some(1));
    assert!(
        import.err.contains("is in use") && import.err.contains("hint: a hub has it open"),
        "{}",
        import.err
    );
}

#[tokio::test]
async fn stat_is_a_table_for_people() {
    let directory = filled().await;
    let stat = log("stat", directory.path(), &[]).await;
    assert_eq!(stat.code, Some(0));
    for expected in
        ["Updates  5\n", "First    1, of 2026-01-02T03:04:05.678Z\n", "2 a/1\n", "in log.sqlite\n"]
    {
        assert!(stat.out.contains(expected), "{expected:?} in {}", stat.out);
    }
    let none = log("stat", &directory.path().join("none"), &[]).await;
    assert_eq!((none.code, &*none.out), (Some(1), ""));
}

#[tokio::test]
async fn tail_prints_as_subscribe_does_and_follows() {
    let directory = filled().await;
    let tail = log("tail", directory.path(), &["-n", "2"]).await;
    assert_eq!((&*tail.out, &*tail.err), ("\n", "tidings: a/1 is closed: done\n"));
    let tail = log("tail", directory.path(), &["-n", "1", "--topic", "a/2", "--json"]).await;
    let line = tail.json().remove(0);
    assert_eq!(
        (&line["kind"], &line["topic"], &line["id"]),
        (&json!("event"), &json!("a/2"), &json!("mine"))
    );

    let data = directory.path().to_str().unwrap();
    let hub = HubProcess::start(&["--data", data]);
    let mut following = Command::from(program())
        .args(["log", "tail", data, "-n", "1", "--follow", "--topic", "live"])
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(following.stdout.take().unwrap()).lines();
    for update in ["one", "two", "three"] {
        publish(&hub.address, "/topics/other", "text/plain", "not this").await;
        publish(&hub.address, "/topics/live", "text/plain", update).await;
        let line = timeout(Duration::from_secs(60), lines.next_line()).await.expect("it is printed").unwrap();
        assert_eq!(line.as_deref(), Some(update));
    }
}

#[tokio::test]
async fn check_says_what_is_damaged_and_what_to_do() {
    let directory = filled().await;
    let whole = log("check", directory.path(), &[]).await;
    assert_eq!(
        (whole.code, &*whole.out, &*whole.err),
        (Some(0), "complete: 5 updates, all of them intact\n", "")
    );
    damage(&directory, "two topics");
    let found = log("check", directory.path(), &[]).await;
    assert_eq!(found.code, Some(3));
    assert!(
        found.out.contains("updates: record 3 cannot be read: the sum of record 3 does not match"),
        "{}",
        found.out
    );
    assert!(found.out.contains("These updates are lost here."), "{}", found.out);
    assert!(found.err.contains("is damaged: 1 findings") && found.err.contains("hint: "), "{}", found.err);
    let json = log("check", directory.path(), &["--json"]).await;
    assert_eq!(json.code, Some(3));
    let json = json.json().remove(0);
    assert_eq!((&json["whole"], &json["updates"], &json["more"]), (&json!(false), &json!(4), &json!(0)));
    assert_eq!(json["findings"][0]["part"], "updates");
}

#[tokio::test]
async fn check_looks_at_the_files_that_updates_announce() {
    let directory = TempDir::new().unwrap();
    let data = directory.path().to_str().unwrap();
    let hub = HubProcess::start(&["--data", data]);
    let mut files = Vec::new();
    for content in ["whole", "shorter", "changed", "missing"] {
        let (_, answer) = publish(&hub.address, "/topics/files", "image/png", content).await;
        let url = answer["attachment"].as_str().unwrap();
        files.push(directory.path().join("attachments").join(url.strip_prefix("/attachments/").unwrap()));
    }
    assert_eq!(log("check", directory.path(), &[]).await.code, Some(0), "beside the hub at work");
    drop(hub);
    fs::write(&files[1], "short").unwrap();
    fs::write(&files[2], "CHANGED").unwrap();
    fs::remove_file(&files[3]).unwrap();
    let found = log("check", directory.path(), &["--json"]).await;
    assert_eq!(found.code, Some(3));
    let json = found.json().remove(0);
    assert_eq!((&json["updates"], &json["findings"].as_array().unwrap().len()), (&json!(4), &3));
    let problems =
        ["of record 2 has 5 bytes, and had 7", "of record 3 is not the one", "of record 4 is missing"];
    for (finding, problem) in json["findings"].as_array().unwrap().iter().zip(problems) {
        assert_eq!(finding["part"], "attachments");
        assert!(finding["what"].as_str().unwrap().contains(problem), "{finding}");
    }
}

#[tokio::test]
async fn of_a_damaged_log_the_rest_is_exported() {
    let directory = filled().await;
    damage(&directory, "two topics");
    let export = log("export", directory.path(), &[]).await;
    assert_eq!(export.code, Some(3));
    let sequences: Vec<_> = export.json().iter().map(|line| line["sequence"].as_u64().unwrap()).collect();
    assert_eq!(sequences, [1, 2, 4, 5]);
    assert!(export.err.contains("record 3 cannot be read: the sum"), "{}", export.err);
    assert!(export.err.contains("4 updates are exported; 1 unreadable places"), "{}", export.err);
}

#[tokio::test]
async fn a_hub_refuses_a_damaged_log_and_names_the_way_out_which_works() {
    let directory = filled().await;
    let data = directory.path().to_str().unwrap();
    let id = log("export", directory.path(), &[]).await.json()[4]["id"].as_str().unwrap().to_owned();
    damage(&directory, "two topics");
    let refused = tidings(&["serve", "--listen", "127.0.0.1:0", "--data", data], "").await;
    assert_eq!(refused.code, Some(1));
    for expected in [
        "is damaged: record 3 cannot be read".to_owned(),
        format!("tidings log check {data}"),
        format!("tidings log export {data} > rescued.ndjson"),
        format!("tidings serve --data {data} --new-epoch"),
    ] {
        assert!(refused.err.contains(&expected), "{expected:?} in {}", refused.err);
    }

    let rescued = log("export", directory.path(), &[]).await;
    let hub = HubProcess::start(&["--data", data, "--new-epoch"]);
    assert!(hub.greeting.contains("A NEW EPOCH BEGINS, WITHOUT THE OLD UPDATES"), "{}", hub.greeting);
    let mut subscription = Subscription::open(&hub.address, "/topics/b", Some(&id)).await;
    assert_eq!(subscription.response.headers()["tidings-resume"], "gap");
    let gap = subscription.next().await.unwrap();
    assert_eq!((&*gap.event_type, gap.data.contains("unknown-epoch")), ("gap", true), "{}", gap.data);
    drop((subscription, hub));

    let aside: Vec<_> = fs::read_dir(directory.path())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            let name = path.file_name().unwrap().to_str().unwrap();
            name.starts_with("log.sqlite.damaged-") && !name.ends_with("-wal") && !name.ends_with("-shm")
        })
        .collect();
    assert_eq!(aside.len(), 1, "{aside:?}");
    assert_eq!(log("export", &aside[0], &[]).await.out, rescued.out, "nothing was lost by moving it");
    let imported = tidings(&["log", "import", data], &rescued.out).await;
    assert_eq!(imported.json(), [json!({"appended":4,"repeated":0})], "{}", imported.err);
}

#[tokio::test]
async fn a_restored_log_goes_on_in_a_new_epoch_with_its_updates_and_old_ids_are_told_a_gap() {
    let directory = filled().await;
    let data = directory.path().to_str().unwrap();
    let id = log("export", directory.path(), &[]).await.json()[4]["id"].as_str().unwrap().to_owned();
    let hub = HubProcess::start(&["--data", data, "--new-epoch"]);
    assert!(hub.greeting.contains("A NEW EPOCH BEGINS, with the updates that were kept"), "{}", hub.greeting);
    let mut subscription = Subscription::open(&hub.address, "/topics/b", Some(&id)).await;
    assert_eq!(subscription.response.headers()["tidings-resume"], "gap");
    let gap = subscription.next().await.unwrap();
    assert_eq!(gap.event_type, "gap");
    assert!(gap.data.contains("unknown-epoch"), "{}", gap.data);
    // The kept updates come after the gap, and the new IDs resume.
    let event = subscription.next().await.unwrap();
    assert_eq!(event.data, "");
    assert_ne!(event.id, id);
    let resumed = Subscription::open(&hub.address, "/topics/b", Some(&event.id)).await;
    assert_eq!(resumed.response.headers()["tidings-resume"], "resumed");
}

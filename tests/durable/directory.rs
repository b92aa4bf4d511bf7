//! Where the history is: the default directory, none at all, and directories that cannot be used.

use std::{
    fs,
    path::Path,
    process::{Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

use crate::{
    History, kept,
    support::{HubProcess, program::program, wire::say},
};

fn command(arguments: &[&str]) -> Command {
    let mut command = program();
    command.args(["serve", "--listen", "127.0.0.1:0"]).args(arguments);
    command
}

/// Runs a hub that refuses to start.
#[track_caller]
fn refused(arguments: &[&str], code: i32, words: &[&str]) {
    let mut hub = command(arguments).stderr(Stdio::piped()).spawn().unwrap();
    let began = Instant::now();
    while hub.try_wait().unwrap().is_none() {
        if began.elapsed() > Duration::from_secs(20) {
            hub.kill().unwrap();
            panic!("{arguments:?}: the hub serves");
        }
        thread::sleep(Duration::from_millis(10));
    }
    let Output { status, stderr, .. } = hub.wait_with_output().unwrap();
    let said = String::from_utf8(stderr).unwrap();
    assert_eq!(status.code(), Some(code), "{arguments:?}: {said}");
    for word in words {
        assert!(said.contains(word), "{arguments:?}: {word:?} is not in {said}");
    }
}

fn entries(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[tokio::test]
async fn without_flags_the_history_is_in_tidings_data_and_survives_a_restart() {
    let home = History::new();
    for number in 1..=2 {
        let mut command = command(&[]);
        command.current_dir(home.path());
        let hub = HubProcess::spawn(command);
        say(&hub.address, "/topics/a", &number.to_string()).await;
        assert_eq!(kept(&hub, "a").await.len(), number);
        assert_eq!(entries(home.path()), ["tidings-data"]);
    }
}

#[tokio::test]
async fn a_history_in_memory_writes_nothing() {
    for flags in [&["--memory"][..], &["--log", "memory:"]] {
        let home = History::new();
        let mut command = command(flags);
        command.current_dir(home.path());
        let hub = HubProcess::spawn(command);
        say(&hub.address, "/topics/a", "1").await;
        assert_eq!(kept(&hub, "a").await, ["1"]);
        assert_eq!(entries(home.path()), [""; 0], "{flags:?}");
    }
}

#[tokio::test]
async fn a_directory_and_its_url_are_the_same_log() {
    let home = History::new();
    let absolute = format!("file://{}/my%20news", home.path().to_str().unwrap());
    let flags = [["--log", "file:my%20news"], ["--data", "my news"], ["--log", &absolute]];
    for (number, flags) in (1..).zip(flags) {
        let mut command = command(&flags);
        command.current_dir(home.path());
        let hub = HubProcess::spawn(command);
        say(&hub.address, "/topics/a", &number.to_string()).await;
        assert_eq!(kept(&hub, "a").await.len(), number, "{flags:?}");
        assert_eq!(entries(home.path()), ["my news"]);
    }
    for log in ["my news", "file:my%20news", &absolute] {
        let mut command = program();
        let Output { status, stdout, .. } =
            command.args(["log", "export", log]).current_dir(home.path()).output().unwrap();
        let exported = String::from_utf8(stdout).unwrap();
        assert_eq!((status.code(), exported.lines().count()), (Some(0), 3), "{log}");
    }
}

#[test]
fn a_url_that_names_no_log_is_refused_with_what_would() {
    let known = "use memory: or file:DIR";
    refused(&["--log", "postgres://host/db"], 64, &["postgres", known]);
    refused(&["--log", "news.d"], 64, &["news.d", known]);
    refused(&["--log", "file:"], 64, &["names no directory"]);
    refused(&["--log", "memory:", "--memory"], 64, &["--log", "--memory", "give one of them"]);
    refused(&["--log", "memory:", "--data", "x"], 64, &["--log", "--data x", "give one of them"]);
    refused(&["--log", "memory:", "--new-epoch"], 64, &["memory:", "new epoch", "leave the flag out"]);
    refused(&["--log", "memory:", "--durability", "write"], 64, &["memory:", "durability"]);
    for log in ["memory:", "postgres://host/db"] {
        let mut command = program();
        let Output { status, stderr, .. } = command.args(["log", "stat", log]).output().unwrap();
        let said = String::from_utf8(stderr).unwrap();
        assert!(status.code() == Some(64) && said.contains("file:DIR"), "{log}: {said}");
    }
}

#[tokio::test]
async fn a_second_hub_on_a_directory_is_refused_and_harms_nobody() {
    let history = History::new();
    let data = history.path().to_str().unwrap();
    let hub = history.serve(&[]);
    say(&hub.address, "/topics/a", "1").await;
    refused(&["--data", data], 1, &["in use", "hint:"]);
    refused(&["--data", data, "--new-epoch"], 1, &["in use"]);
    say(&hub.address, "/topics/a", "2").await;
    assert_eq!(kept(&hub, "a").await, ["1", "2"]);
}

#[test]
fn flags_that_contradict_one_another_are_refused() {
    for arguments in [
        &["--memory", "--durability", "write"][..],
        &["--memory", "--new-epoch"],
        &["--sync-every", "50ms"],
        &["--durability", "fsync", "--sync-every", "50ms"],
        &["--durability", "never"],
        &["--durability", "write", "--sync-every", "soon"],
        &["--retain", "a"],
        &["--retain", "a=much"],
        &["--retain", "a*=1d"],
    ] {
        refused(arguments, 64, &[]);
    }
}

#[test]
fn a_path_that_cannot_be_used_is_named() {
    let history = History::new();
    let file = history.path().join("file");
    fs::write(&file, "mine").unwrap();
    refused(&["--data", file.to_str().unwrap()], 1, &["file"]);
    assert_eq!(fs::read(&file).unwrap(), b"mine");
    // Nobody makes a directory there, not even root.
    refused(&["--data", "/proc/tidings"], 1, &["/proc/tidings"]);
    // A database of somebody else.
    fs::write(history.path().join("log.sqlite"), vec![b'x'; 4096]).unwrap();
    refused(&["--data", history.path().to_str().unwrap()], 1, &["not a SQLite database"]);
    assert_eq!(fs::read(history.path().join("log.sqlite")).unwrap(), vec![b'x'; 4096]);
}

#[tokio::test]
async fn a_directory_that_is_removed_under_a_hub_is_begun_anew_by_the_next() {
    let history = History::new();
    let data = history.path().join("data");
    let arguments = ["--data", data.to_str().unwrap()];
    let hub = HubProcess::start(&arguments);
    let id = say(&hub.address, "/topics/a", "1").await;
    fs::remove_dir_all(&data).unwrap();
    drop(hub);
    let hub = HubProcess::start(&arguments);
    let mut stream = crate::support::wire::Stream::resume(&hub.address, "/topics/a", &id).await;
    assert_eq!(stream.event().await.json()["reason"], "unknown-epoch");
}

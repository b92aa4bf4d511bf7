//! A hub whose disk is full refuses what it cannot keep, says so, keeps on delivering, and goes on when there is room.
//!
//! The disk is a small file system in memory, which only the hub's process and this one see.

#![cfg(target_os = "linux")]

mod support;

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use http_body_util::BodyExt;
use hyper::StatusCode;
use support::{HubProcess, Subscription, full, program::without_variables, request, send};

/// The way into a name space of one's own where one may mount, as root and otherwise.
const UNSHARE: [&[&str]; 2] = [&["--mount"], &["--mount", "--map-root-user"]];

const MOUNT: &str = r#"mount -t tmpfs -o size=12m tidings "$0" && exec "$@""#;

/// A hub on a disk of 12 MiB, and where this process sees that disk; `None` where nobody may mount one.
fn hub_on_a_small_disk(directory: &Path) -> Option<(HubProcess, PathBuf)> {
    let unshare = |how: &[&str]| {
        let mut command = Command::new("unshare");
        command.args(how).args(["sh", "-c", MOUNT]).arg(directory);
        without_variables(command)
    };
    let works = |how: &&&[&str]| unshare(how).arg("true").output().is_ok_and(|done| done.status.success());
    let how = UNSHARE.iter().find(works)?;
    let mut command = unshare(how);
    command.arg(env!("CARGO_BIN_EXE_tidings")).args(["serve", "--listen", "127.0.0.1:0", "--data"]);
    command.arg(directory);
    let hub = HubProcess::spawn(command);
    let disk = Path::new("/proc").join(hub.id().to_string()).join("root");
    Some((hub, disk.join(directory.strip_prefix("/").expect("an absolute path"))))
}

/// Publishes `data`, and says what came of it.
async fn publish(hub: &HubProcess, data: &str) -> (StatusCode, String) {
    let request =
        request(&hub.address, "POST", "/topics/t").body(full(data.to_owned())).expect("a valid request");
    let response = send(&hub.address, request).await;
    let status = response.status();
    let body = response.into_body().collect().await.expect("the answer is whole").to_bytes();
    (status, String::from_utf8(body.to_vec()).expect("the answer is text"))
}

async fn number_of_next(subscription: &mut Subscription) -> String {
    let event = tokio::time::timeout(Duration::from_secs(30), subscription.next()).await;
    let event = event.expect("it comes in time").expect("the stream goes on");
    event.data.split(' ').next().expect("it starts with its number").to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_refuses_publishers_keeps_subscribers_and_heals_when_there_is_room() {
    let directory = tempfile::tempdir().expect("a place to mount");
    let Some((hub, disk)) = hub_on_a_small_disk(directory.path()) else {
        // Not a macro: the output of those is kept from the person who runs the tests.
        let _ =
            writeln!(std::io::stderr(), "NOT TESTED: a full disk; nobody may mount one here (try as root)");
        return;
    };
    fs::write(disk.join("reserve"), vec![1; 6 << 20]).expect("there is room at first");
    let mut live = Subscription::open(&hub.address, "/topics/t?start=none", None).await;
    let filler = "x".repeat(20_000);
    let (mut acknowledged, mut number, mut refused) = (Vec::new(), 0, 0);

    // The history is allowed to be larger than the disk: it is the hub itself that fills it.
    while refused < 20 {
        let (status, answer) = publish(&hub, &format!("{number} {filler}")).await;
        match status {
            StatusCode::OK => acknowledged.push(number.to_string()),
            _ => {
                assert_eq!(status, StatusCode::INSUFFICIENT_STORAGE, "{answer}");
                assert!(answer.contains("the disk is full; free some space"), "{answer}");
                refused += 1;
            }
        }
        number += 1;
        assert!(number < 2_000, "the disk has to be full at some time");
    }
    let kept = acknowledged.len();
    assert!(kept > 50, "{kept} updates were kept");

    // A connected subscriber has all of it, and a new one gets it, too.
    let mut late = Subscription::open(&hub.address, "/topics/t?from=start", None).await;
    for expected in &acknowledged {
        assert_eq!(number_of_next(&mut live).await, *expected);
        assert_eq!(number_of_next(&mut late).await, *expected);
    }

    fs::remove_file(disk.join("reserve")).expect("somebody makes room");
    for _ in 0..100 {
        let (status, answer) = publish(&hub, &format!("{number} {filler}")).await;
        assert_eq!(status, StatusCode::OK, "{answer}");
        acknowledged.push(number.to_string());
        number += 1;
    }
    for expected in &acknowledged[kept..] {
        assert_eq!(number_of_next(&mut live).await, *expected);
        assert_eq!(number_of_next(&mut late).await, *expected);
    }
    println!("{kept} updates kept before the disk was full, {refused} refused, 100 kept when there was room");
}

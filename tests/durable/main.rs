//! A history on disk as its users see it: what is kept, what goes, and what they are told of it.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../support/mod.rs"]
mod support;

mod directory;
mod files;
mod holes;
mod looked_at;
mod restart;
mod retention;

use std::{path::Path, time::Duration};

use support::{
    HubProcess,
    wire::{data, page},
};
use tempfile::TempDir;

/// A directory for a history, and the hubs that have it open one after the other.
struct History {
    directory: TempDir,
}

impl History {
    fn new() -> History {
        History { directory: TempDir::new().unwrap() }
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    fn serve(&self, arguments: &[&str]) -> HubProcess {
        HubProcess::start(&[&["--data", self.path().to_str().unwrap()], arguments].concat())
    }
}

/// The data of all that is kept for a topic or pattern, which are fewer than 1000 updates.
async fn kept(hub: &HubProcess, topic: &str) -> Vec<String> {
    let (mut all, mut from) = (Vec::new(), String::new());
    loop {
        let page = page(&hub.address, &format!("/topics?topic={topic}&limit=1000{from}")).await;
        all.extend(data(&page).into_iter().map(str::to_owned));
        if page["more"] != true {
            return all;
        }
        from = format!("&from={}", page["next"].as_str().expect("a page says where the next one begins"));
    }
}

/// Waits until a topic or pattern has exactly these updates, which nothing else tells.
async fn until_kept(hub: &HubProcess, topic: &str, expected: &[&str]) {
    let mut last = Vec::new();
    for _ in 0..3000 {
        last = kept(hub, topic).await;
        if last == expected {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("{topic} has {last:?}, and not {expected:?}");
}

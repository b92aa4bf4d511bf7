//! Attachments through kill -9: what was announced is whole, what was acknowledged is there, and nothing else is left.

use std::{collections::BTreeSet, fs};

use http_body_util::BodyExt;
use serde_json::Value;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

use crate::{
    History,
    support::{HubProcess, full, request, try_send, wire::page},
};

const ARGUMENTS: [&str; 4] = ["--retain", "short=3", "--attachment-quota", "64MiB"];

/// Bytes that are another file's in no other order, and how many there are.
fn content(number: usize) -> Vec<u8> {
    (0..5_000 + number % 7 * 60_000).map(|index| (index * 31 + number * 7 + index / 251) as u8).collect()
}

/// Sends files until the hub is gone; tells of those that were acknowledged.
async fn upload(address: String, publisher: usize, acknowledged: UnboundedSender<(String, usize)>) {
    for number in publisher * 1000.. {
        let topic = if number % 2 == 0 { "short" } else { "long" };
        let request = request(&address, "POST", &format!("/topics/{topic}"))
            .header("content-type", "image/png")
            .body(full(content(number)))
            .unwrap();
        let Ok(response) = try_send(&address, request).await else { return };
        let status = response.status();
        let Ok(body) = response.into_body().collect().await else { return };
        assert_eq!(status, 200, "{:?}", body.to_bytes());
        let answer: Value = serde_json::from_slice(&body.to_bytes()).unwrap();
        let url = answer["attachment"].as_str().unwrap().to_owned();
        if topic == "long" {
            acknowledged.send((url, number)).unwrap();
        }
    }
}

async fn download(hub: &HubProcess, url: &str) -> Vec<u8> {
    let request = request(&hub.address, "GET", url).body(full("")).unwrap();
    let response = try_send(&hub.address, request).await.unwrap();
    assert_eq!(response.status(), 200, "{url}");
    response.into_body().collect().await.unwrap().to_bytes().to_vec()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_and_their_announcements_agree_after_each_kill() {
    let history = History::new();
    let mut known = Vec::new();
    for round in 0..6 {
        let hub = history.serve(&ARGUMENTS);
        let (acknowledged, mut told) = unbounded_channel();
        let uploads: Vec<_> = (0..4)
            .map(|publisher| {
                tokio::spawn(upload(hub.address.clone(), round * 4 + publisher, acknowledged.clone()))
            })
            .collect();
        drop(acknowledged);
        // At some moment of the next uploads, another one each round.
        for _ in 0..2 + round * 3 {
            known.push(told.recv().await.expect("the hub takes files"));
        }
        drop(hub);
        for upload in uploads {
            upload.await.unwrap();
        }
        while let Some(another) = told.recv().await {
            known.push(another);
        }
        let hub = history.serve(&ARGUMENTS);
        let all = page(&hub.address, "/topics?topic=*&limit=1000").await;
        let (mut urls, mut bytes) = (BTreeSet::new(), 0);
        for update in all["updates"].as_array().unwrap() {
            let announced: Value = serde_json::from_str(update["data"].as_str().unwrap()).unwrap();
            let url = announced["url"].as_str().unwrap();
            let body = download(&hub, url).await;
            assert_eq!(body.len() as u64, announced["size"].as_u64().unwrap());
            bytes += body.len() as u64;
            urls.insert(url.strip_prefix("/attachments/").unwrap().to_owned());
        }
        let files = fs::read_dir(history.path().join("attachments")).unwrap();
        let files: BTreeSet<_> = files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
        assert_eq!(files, urls, "each file is announced, and each announced file is there");
        let metrics = crate::support::wire::ask(&hub.address, "GET", "/metrics", &[], "").await.body;
        let line = metrics.lines().find(|line| line.starts_with("tidings_attachment_bytes ")).unwrap();
        assert_eq!(line.rsplit(' ').next().unwrap(), bytes.to_string());
        for (url, number) in &known[known.len().saturating_sub(40)..] {
            assert_eq!(download(&hub, url).await, content(*number), "{url} was acknowledged");
        }
    }
}

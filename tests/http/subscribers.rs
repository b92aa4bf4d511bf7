//! How many follow a topic.

use serde_json::json;

use crate::support::{
    HubProcess,
    wire::{JSON, Stream, TEXT, ask, page},
};

#[tokio::test]
async fn subscriptions_are_counted_by_topic_while_they_are_open() {
    let hub = HubProcess::start(&[]);
    let mut streams = Vec::new();
    // Twice the same, which shares what is sent, and one by a pattern that names a topic as well.
    for target in ["/topics/a/b", "/topics/a/b", "/topics?topic=a/*&topic=a/b", "/topics?topic=*&topic=a"] {
        streams.push(Stream::live(&hub.address, target).await);
    }
    let counts = |json: serde_json::Value| {
        let topics = json["topics"].as_array().cloned().unwrap_or_default();
        topics.iter().map(|topic| topic["subscribers"].as_u64()).collect::<Vec<_>>()
    };
    let target = "/subscribers?topic=a&topic=a/b&topic=c";
    let answer = page(&hub.address, target).await;
    assert_eq!(answer["topics"][1], json!({ "topic": "a/b", "subscribers": 4 }));
    assert_eq!(counts(answer), [Some(1), Some(4), Some(1)]);

    streams.remove(0);
    streams.pop();
    let left = [Some(0), Some(2), Some(0)];
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(10);
    while counts(page(&hub.address, target).await) != left {
        assert!(tokio::time::Instant::now() < deadline, "those who left are still counted");
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn only_topics_are_counted_that_may_be_read_and_no_patterns() {
    let hub = HubProcess::start(&["--upstream", "http://127.0.0.1:9"]);
    for (target, status, word) in [
        ("/subscribers?topic=a/*", 400, "pattern"),
        ("/subscribers?topic=*", 400, "pattern"),
        ("/subscribers?topic=", 400, "empty"),
        ("/subscribers?topic=llm/x", 403, "gateway"),
    ] {
        ask(&hub.address, "GET", target, &[JSON], "").await.refusal(status, word);
    }
    ask(&hub.address, "POST", "/subscribers?topic=a", &[TEXT], "").await.refusal(405, "POST");
}

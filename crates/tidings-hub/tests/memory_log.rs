//! The log in memory keeps the contract of every log.

use std::sync::Arc;

use tidings_hub::{
    Selector, Topic, Update,
    log::{Limits, Log, MemoryLog, PageLimit, Retention},
};

tidings_hub::log_contract!(|retention: Retention| -> Arc<dyn Log> { Arc::new(MemoryLog::new(retention)) });

tidings_hub::two_handles_contract!(|retention: Retention| -> [Arc<dyn Log>; 2] {
    let log = Arc::new(MemoryLog::new(retention));
    [log.clone(), log]
});

fn keeping(limits: Limits) -> Retention {
    Retention { limits, ..Retention::in_memory() }
}

#[tokio::test]
async fn it_never_keeps_more_bytes_than_its_limit() {
    let retention = keeping(Limits { bytes: 100_000, ..Limits::default() });
    let log = MemoryLog::new(retention.clone());
    for number in 0..1_000 {
        let update = Update::new(Topic::parse("t").unwrap(), "x".repeat(number % 3000));
        log.append(vec![update.into()]).await.unwrap();
        let all = PageLimit { records: usize::MAX - 1, bytes: usize::MAX };
        let page = log.read(log.bounds().oldest - 1, &Selector::everything(), all).await.unwrap();
        assert!(page.records.iter().map(|record| record.cost()).sum::<u64>() <= retention.limits.bytes);
        assert_eq!(page.records.last().unwrap().sequence(), number as u64 + 1);
    }
}

#[tokio::test]
async fn closes_beyond_the_limit_are_forgotten_oldest_first_and_told_as_lost() {
    let log = MemoryLog::new(Retention { topics: 2, ..keeping(Limits { records: 1, ..Limits::default() }) });
    let topics: Vec<Topic> = ["a", "b", "c", "d"].iter().map(|name| Topic::parse(name).unwrap()).collect();
    for topic in &topics {
        log.append(vec![Update::close(topic.clone(), "done").into()]).await.unwrap();
    }
    assert!(log.closed(&topics[0]).await.unwrap().is_none());
    for topic in &topics[1..] {
        assert!(log.closed(topic).await.unwrap().is_some(), "{topic}");
    }
    let page = log.read(0, &topics[0].clone().into(), PageLimit { records: 1, bytes: 1 }).await.unwrap();
    assert!(page.lost.is_some() && page.records.is_empty());
}

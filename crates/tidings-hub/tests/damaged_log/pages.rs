//! Pages of a log that is damaged elsewhere.

use super::*;

#[tokio::test]
async fn a_damaged_record_fails_no_pattern_that_it_does_not_match() {
    let (directory, database) = whole_log().await;
    sql(&database, "UPDATE records SET data = 'something else' WHERE sequence = 50");
    let log = open(directory.path()).unwrap();
    let limit = PageLimit { records: 1_000, bytes: usize::MAX };
    let read = async |filter: &str| {
        let selector = [tidings_hub::TopicFilter::parse(filter).unwrap()].into_iter().collect();
        log.read(EVICTED, &selector, limit).await
    };
    let page = read("t/0/*").await.unwrap();
    assert_eq!((page.records.len(), page.reached), (0, log.bounds().newest));
    let error = read("t/*").await.unwrap_err();
    let cause = std::error::Error::source(&error).unwrap().to_string();
    assert!(cause.contains("record 50"), "{cause}");
}

#[tokio::test]
async fn a_record_that_a_damaged_index_names_for_another_topic_is_not_served() {
    let (directory, database) = whole_log().await;
    sql(&database, "UPDATE topics SET topic = 't/1' WHERE topic = 't/2' AND sequence = 100");
    let log = open(directory.path()).unwrap();
    let topic = |text: &str| Topic::parse(text).unwrap();
    let selectors = [
        topic("t/1").into(),
        ["t/1", "t/3"].map(|text| TopicFilter::parse(text).unwrap()).into_iter().collect::<Selector>(),
    ];
    for selector in selectors {
        let page = PageLimit { records: 10, bytes: 1 << 20 };
        let read = log.read(99, &selector, page).await;
        assert!(read.is_err(), "{read:?}");
        assert!(log.read(100, &selector, page).await.is_ok(), "what comes after it is served");
    }
}

#[tokio::test]
async fn a_page_without_a_match_ends_at_a_record_that_can_be_read() {
    let directory = TempDir::new().unwrap();
    let log = DiskLog::open(directory.path(), Retention::on_disk()).unwrap();
    // More topics than the index is asked for, and then more records than one page looks at.
    let topic = |sequence| match sequence {
        1..=100 => format!("many/{sequence}"),
        _ => "other".to_owned(),
    };
    for first in [1, 6_001] {
        let updates = (first..first + 6_000_u64)
            .map(|sequence| Update::new(Topic::parse(&topic(sequence)).unwrap(), "x").into());
        log.append(updates.collect()).await.unwrap();
    }
    let selector = [tidings_hub::TopicFilter::parse("many/*").unwrap()].into_iter().collect();
    let limit = PageLimit { records: 1_000, bytes: usize::MAX };
    let end = log.read(100, &selector, limit).await.unwrap().reached.sequence;
    assert!((5_000..12_000).contains(&end), "{end}");
    drop(log);
    let damage = format!("UPDATE records SET data = 'something else' WHERE sequence IN ({end}, {end} - 1)");
    sql(&directory.path().join("log.sqlite"), &damage);
    let log = open(directory.path()).unwrap();
    let reached = log.read(100, &selector, limit).await.unwrap().reached;
    assert_eq!(reached.sequence, end - 2);
    assert_eq!(log.record(end - 2).await.unwrap().unwrap().position(), reached);
}

#[tokio::test]
async fn pages_have_closes_whose_records_went_from_between_others_in_order() {
    let (directory, database) = whole_log().await;
    sql(
        &database,
        "DELETE FROM records WHERE sequence = 250; DELETE FROM topics WHERE sequence = 250;
         UPDATE log SET evicted = 260",
    );
    let log = open(directory.path()).unwrap();
    for filters in
        [&["*"][..], &["closed", "t/*"], &["closed", "t/0", "t/1", "t/2", "t/3", "t/4", "t/5", "t/6"]]
    {
        let filters = filters.iter().map(|filter| tidings_hub::TopicFilter::parse(filter).unwrap());
        let selector: Selector = filters.collect();
        for records in [1, 7, 10_000] {
            let (mut read, mut after) = (Vec::new(), EVICTED);
            loop {
                let page =
                    log.read(after, &selector, PageLimit { records, bytes: usize::MAX }).await.unwrap();
                assert!(page.records.len() <= records);
                if page.records.is_empty() {
                    break;
                }
                read.extend(page.records.iter().map(|record| record.sequence()));
                after = page.reached.sequence;
            }
            assert_eq!(read, Vec::from_iter(EVICTED + 1..=RECORDS + EVICTED), "{selector:?} by {records}");
        }
    }
}

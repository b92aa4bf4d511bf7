//! Damaged records stay, and publishing and evicting go on.

use super::*;

#[tokio::test]
async fn damaged_old_records_are_passed_by_and_publishing_goes_on() {
    let (directory, database) = whole_log().await;
    change_bytes(&database, |bytes| {
        let page = offset_of(bytes, 60) / 4096 * 4096;
        bytes[page..page + 4096].fill(0x5a);
    });
    let limits = Limits { records: RECORDS, ..Limits::default() };
    let log = DiskLog::open(directory.path(), Retention { limits, ..Retention::on_disk() }).unwrap();
    let newest = RECORDS + EVICTED;
    for number in 1..=2 * RECORDS {
        let update = Update::new(Topic::parse("t/1").unwrap(), data(newest + number));
        let appended = log.append(vec![update.into()]).await;
        assert_eq!(appended.unwrap().receipts[0].sequence, newest + number);
    }
    let unevictable = log.wear().unevictable;
    assert!((1..100).contains(&unevictable), "{unevictable}");
    log.health().unwrap();
    // All that is whole of the old ones has gone all the same.
    let (kept, _) = export(directory.path());
    let old =
        kept.keys().filter(|sequence| (EVICTED + 1..newest).contains(*sequence) && **sequence != 250).count();
    assert!(old as u64 <= unevictable, "{old} of {unevictable}");
    assert!(kept.len() as u64 <= RECORDS + 1, "{}", kept.len());
}

#[tokio::test]
async fn a_close_is_read_in_its_place_after_a_damaged_record_that_stays() {
    let (directory, database) = whole_log().await;
    // Its topics cannot be read, and so nothing can tell what goes with it.
    sql(&database, "UPDATE records SET topics = CAST(x'ff' AS TEXT) WHERE sequence = 21");
    let limits = Limits { records: RECORDS, ..Limits::default() };
    let log = DiskLog::open(directory.path(), Retention { limits, ..Retention::on_disk() }).unwrap();
    while log.bounds().evicted < 260 {
        log.append(vec![Update::new(Topic::parse("t/1").unwrap(), "x").into()]).await.unwrap();
    }
    assert_eq!(log.bounds().oldest, 21, "the damaged record stays");
    assert!(log.wear().unevictable > 0);
    let limit = PageLimit { records: 10_000, bytes: usize::MAX };
    for filters in [&["*"][..], &["closed"], &["closed", "t/1"], &["closed", "t/*"]] {
        let filters = filters.iter().map(|filter| tidings_hub::TopicFilter::parse(filter).unwrap());
        let selector: Selector = filters.collect();
        let page = log.read(21, &selector, limit).await.unwrap();
        let first = &page.records[0];
        assert_eq!((first.sequence(), first.is_close()), (250, true), "{selector:?}");
        assert_eq!(log.read(250, &selector, limit).await.unwrap().records.len(), page.records.len() - 1);
    }
}

#[tokio::test]
async fn a_publish_that_meets_a_damaged_record_says_nothing_of_the_log() {
    let (directory, database) = whole_log().await;
    sql(
        &database,
        "UPDATE records SET data = 'something else' WHERE sequence = 101;
         UPDATE closed SET reason = 'something else'",
    );
    let log = open(directory.path()).unwrap();
    let topic = |name| Topic::parse(name).unwrap();
    let repeated = Update::new(topic("t/3"), data(101)).with_id(UpdateId::parse("id-101").unwrap());
    for update in [repeated, Update::new(topic("closed"), "x")] {
        log.append(vec![update.into()]).await.unwrap_err();
        log.health().unwrap();
    }
    log.append(vec![Update::new(topic("t/3"), "x").into()]).await.unwrap();
}

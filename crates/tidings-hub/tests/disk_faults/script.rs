//! The operations on a log in these tests, and the properties that must hold after every fault.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use rusqlite::Connection;
use tidings_hub::{
    Selector, Topic, TopicFilter, Update, UpdateId,
    log::{
        Append, Appended, DiskLog, DiskSettings, IdempotencyKey, Limits, Log, PageLimit, Receipt, Record,
        Retention,
    },
};

/// Updates that publishers append together. Each has a key, or closes its topic.
pub(crate) type Batch = Vec<Append>;

/// The answers to the batches that were acknowledged, by number.
pub(crate) type Answers = BTreeMap<usize, Appended>;

/// The numbers of batches that are appended at the same time.
pub(crate) const TOGETHER: [std::ops::Range<usize>; 7] = [0..1, 1..2, 2..5, 5..6, 6..9, 9..10, 10..12];

const MOST_RECORDS: u64 = 12;

/// Little enough that records are evicted, marks of evicted topics forgotten, and topics listed now and then.
pub(crate) fn settings() -> DiskSettings {
    let limits = Limits { records: MOST_RECORDS, ..Limits::default() };
    let mut settings = DiskSettings::from(Retention { limits, topics: 2, ..Retention::on_disk() });
    settings.unlisted_rows = 5;
    settings
}

/// Three publishers' batches: alone and with others, small and larger than a page, with IDs, and with closes.
pub(crate) fn batches() -> Vec<Batch> {
    let topic = |name: &str| Topic::parse(name).unwrap();
    let keyed = |name: &str, data: &str| Append {
        time: None,
        update: Update::new(topic(name), data),
        key: Some(IdempotencyKey::parse(data).unwrap()),
    };
    let mut batches: Vec<Batch> = (0..12)
        .map(|number| {
            let name = ["a/1", "a/2", "b"][number % 3];
            (0..=number % 3).map(|part| keyed(name, &format!("{number}-{part}"))).collect()
        })
        .collect();
    for number in [1, 8] {
        let id = UpdateId::parse(&format!("id-{number}")).unwrap();
        let named = &mut batches[number][0];
        named.update = named.update.clone().with_id(id);
    }
    batches[4].push(keyed("c", "a short life"));
    batches[4].push(Update::close(topic("c"), "it was short").into());
    let large = Update::new(topic("large"), "a large update ".repeat(1_000));
    batches[7].push(Append { update: large, key: Some(IdempotencyKey::parse("large").unwrap()), time: None });
    batches
}

pub(crate) fn open(directory: &Path) -> Arc<DiskLog> {
    Arc::new(DiskLog::open(directory, settings()).unwrap())
}

/// All that is kept, in order; without the closes that outlived their records.
pub(crate) async fn read(log: &DiskLog) -> Vec<Arc<Record>> {
    read_of(log, Selector::everything()).await
}

async fn read_of(log: &DiskLog, selector: Selector) -> Vec<Arc<Record>> {
    let limit = PageLimit { records: 1_000, bytes: usize::MAX };
    let mut page = log.read(0, &selector, limit).await.unwrap();
    page.records.retain(|record| record.sequence() >= page.oldest);
    page.records
}

/// What was acknowledged can be read: each update at its position, with its ID and its content, or evicted by the limits.
///
/// Of what was refused last, `hidden` updates may count towards the limits: they are written, nobody is shown them, and
/// whether they will be there tomorrow only the disk knows.
pub(crate) async fn acknowledged_is_readable(
    log: &DiskLog,
    batches: &[Batch],
    answers: &Answers,
    hidden: usize,
) {
    let (records, bounds) = (read(log).await, log.bounds());
    let sequences: Vec<u64> = records.iter().map(|record| record.sequence()).collect();
    assert_eq!(
        sequences,
        (bounds.oldest..=bounds.newest.sequence).collect::<Vec<_>>(),
        "no hole, no doubles"
    );
    assert!(
        bounds.oldest == 1 || (records.len() + hidden) as u64 >= MOST_RECORDS,
        "more was evicted than the limits ask for"
    );
    for topic in records.iter().flat_map(|record| record.topics()) {
        let of_topic: Vec<_> =
            records.iter().filter(|record| record.topics().contains(topic)).cloned().collect();
        assert_eq!(read_of(log, [TopicFilter::Exact(topic.clone())].into_iter().collect()).await, of_topic);
    }
    for (number, answer) in answers {
        assert_eq!((answer.receipts.len(), &answer.refused), (batches[*number].len(), &None));
        for (append, receipt) in batches[*number].iter().zip(&answer.receipts) {
            assert!(receipt.sequence <= bounds.newest.sequence, "{receipt:?} is lost");
            if let Some(at) = receipt.sequence.checked_sub(bounds.oldest) {
                let record = &records[at as usize];
                assert_eq!(record.id(), receipt.id);
                assert!(record.says_the_same_as(&append.update), "{receipt:?} has become {record:?}");
            }
            if append.update.is_close() {
                let close = log.closed(&append.update.topics()[0]).await.unwrap().unwrap();
                assert_eq!((close.sequence(), close.id()), (receipt.sequence, receipt.id.clone()));
            }
        }
    }
}

/// All that holds of a log that was opened after anything: what was acknowledged is there, repeating it is answered as
/// the first time, what was not acknowledged is there whole or not at all, and the log goes on.
pub(crate) async fn opens_with_all_that_was_acknowledged(
    directory: &Path,
    batches: &[Batch],
    answers: &Answers,
) {
    let log = open(directory);
    acknowledged_is_readable(&log, batches, answers, 0).await;
    let (records, bounds) = (read(&log).await, log.bounds());
    tables_agree(&directory.join("log.sqlite"), &records);

    for (number, batch) in batches.iter().enumerate().filter(|(number, _)| !answers.contains_key(number)) {
        let is_there =
            |append: &&Append| records.iter().any(|record| record.says_the_same_as(&append.update));
        let there = batch.iter().filter(is_there).count();
        assert!([0, batch.len()].contains(&there), "{there} updates of batch {number} are there");
    }

    for (number, answer) in answers {
        for (append, receipt) in batches[*number].iter().zip(&answer.receipts) {
            // With its record, a key is forgotten. A close never is.
            if receipt.sequence >= bounds.oldest || append.update.is_close() {
                let again = log.append(vec![append.clone()]).await.unwrap();
                assert_eq!(again.receipts, [Receipt { repeated: true, ..receipt.clone() }]);
            }
        }
    }
    assert_eq!(log.bounds(), bounds, "repeating appends nothing");
    let next = log.append(vec![Update::new(Topic::parse("next").unwrap(), "").into()]).await.unwrap();
    assert_eq!(next.receipts[0].sequence, bounds.newest.sequence + 1);
}

/// The tables say the same as the records.
fn tables_agree(database: &Path, records: &[Arc<Record>]) {
    let connection = Connection::open(database).unwrap();
    // All from one state: the log lists what is too much when it is opened.
    connection.execute_batch("BEGIN").unwrap();
    let number = |query: &str| connection.query_row(query, (), |row| row.get::<_, u64>(0)).unwrap();
    let intact: String = connection.query_row("PRAGMA integrity_check", (), |row| row.get(0)).unwrap();
    assert_eq!(intact, "ok");
    assert_eq!(number("SELECT count(*) FROM topics WHERE sequence NOT IN (SELECT sequence FROM records)"), 0);
    let listed = number("SELECT listed FROM log");
    let to_be_listed = records.iter().filter(|record| record.sequence() <= listed);
    let topics: u64 = to_be_listed.map(|record| record.topics().len() as u64).sum();
    let query = "SELECT count(*) FROM topics WHERE sequence <= (SELECT listed FROM log)";
    assert_eq!(number(query), topics, "all is listed up to {listed}");
    let oldest = records.first().map_or(1, |record| record.sequence());
    assert_eq!(number("SELECT evicted FROM log"), oldest - 1);
}

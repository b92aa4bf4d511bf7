//! Opens a database on disk of which some bytes were changed.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};

use crate::{
    Selector, Topic, Update, UpdateId,
    log::{
        Append, DiskLog, DiskView, Found, IdempotencyKey, Limits, Log, OpenError, PageLimit, Record,
        RecordTime, Retention,
    },
};

/// Opening and reading a damaged log never panics, never hangs, and never returns a record that was not appended. A log
/// that is refused as damaged stays unchanged. Updates that it acknowledges after all can be read back.
///
/// Input: one byte that selects the kind of change (modulo 4), then the change. 0: changes to the database, each with
/// three bytes for the offset (modulo the size), one for a length (modulo 16), and that many bytes. 1: the same, after
/// three bytes for the size to which the file is cut. 2: the whole database. 3: the write-ahead log of an unchanged
/// database.
pub fn database(input: &[u8]) {
    let whole = whole();
    let (kind, rest) = input.split_first().unwrap_or((&0, &[]));
    let (mut bytes, mut write_ahead) = (whole.bytes.clone(), None);
    match kind % 4 {
        0 => change(&mut bytes, rest),
        1 => {
            let (size, changes) = rest.split_at(rest.len().min(3));
            bytes.truncate(number(size) % (whole.bytes.len() + 1));
            change(&mut bytes, changes);
        }
        2 => bytes = rest.to_vec(),
        _ => write_ahead = Some(rest),
    }
    let directory = Directory::new();
    let path = directory.0.join("log.sqlite");
    fs::write(&path, &bytes).expect("the directory is writable");
    if let Some(write_ahead) = write_ahead {
        fs::write(directory.0.join("log.sqlite-wal"), write_ahead).expect("the directory is writable");
    }
    // A completely different database may hold other records.
    let known = (kind % 4 < 2).then_some(&whole.records);

    if let Ok(view) = DiskView::open(&path) {
        let _ = view.check(|_, _| {});
        let mut before = 0;
        for found in view.records(Selector::everything(), 0) {
            let Ok(found) = found else { break };
            assert!(found.sequence() >= before, "{} after {before}", found.sequence());
            before = found.sequence();
            if let Found::Kept(kept) = found {
                // The close of an evicted record has no checksum.
                is_known(known.filter(|_| !kept.is_tombstone), &kept.record);
            }
        }
    }
    match DiskLog::open(&directory.0, retention()) {
        Ok(log) => {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
            runtime.expect("a runtime is made of memory").block_on(use_log(&log, known));
        }
        Err(error) => {
            assert!(error.to_string().contains("log.sqlite") || error.to_string().contains("tidings-fuzz"));
            let is_left = matches!(
                &error,
                OpenError::Damaged { .. } | OpenError::NotADatabase { .. } | OpenError::Foreign { .. }
            );
            if is_left && write_ahead.is_none() {
                assert!(fs::read(&path).expect("it is there") == bytes, "changed, though {error}");
            }
        }
    }
}

/// Reads all records, appends one, and reads it back.
async fn use_log(log: &DiskLog, known: Option<&BTreeMap<u64, Arc<Record>>>) {
    let topics = ["a", "b/1", "closed"].map(|text| Topic::parse(text).expect("it is a topic"));
    let newest = log.bounds().newest.sequence;
    let selectors = topics.iter().cloned().map(Selector::from).chain([Selector::everything()]);
    for selector in selectors {
        let (mut after, mut closed) = (0, Vec::new());
        while let Ok(page) = log.read(after, &selector, PageLimit { records: 100, bytes: 1 << 16 }).await {
            for record in &page.records {
                assert!(selector.matches(record.topics()));
                if record.is_close() {
                    closed.push(record.sequence());
                } else {
                    is_known(known, record);
                }
            }
            if page.reached.sequence <= after {
                break;
            }
            after = page.reached.sequence;
        }
    }
    for topic in &topics {
        let _ = log.closed(topic).await;
    }
    for sequence in newest.saturating_sub(8)..=newest {
        if let Ok(Some(record)) = log.record(sequence).await {
            is_known(known, &record);
        }
    }
    let _ = log.find("4-x", &Selector::everything()).await;

    let appended = log.append(vec![Update::new(topics[0].clone(), "new").into()]).await;
    let Some(receipt) = appended.ok().and_then(|appended| appended.receipts.into_iter().next()) else {
        return;
    };
    let record = log.record(receipt.sequence).await.expect("what was appended can be read");
    let record = record.expect("what was appended is there");
    assert_eq!((record.event().data(), record.id()), ("new", receipt.id));
}

fn is_known(known: Option<&BTreeMap<u64, Arc<Record>>>, record: &Record) {
    let Some(known) = known else { return };
    let original = known.get(&record.sequence());
    // Its epoch is not its own.
    let is_original = original.is_some_and(|original| {
        (original.check(), original.time(), original.topics(), original.event(), original.is_close())
            == (record.check(), record.time(), record.topics(), record.event(), record.is_close())
    });
    assert!(is_original, "never appended: {record:?}");
}

fn change(bytes: &mut [u8], mut changes: &[u8]) {
    while let ([a, b, c, length, rest @ ..], false) = (changes, bytes.is_empty()) {
        let at = number(&[*a, *b, *c]) % bytes.len();
        let (new, after) = rest.split_at(rest.len().min(usize::from(length % 16)));
        for (byte, new) in bytes[at..].iter_mut().zip(new) {
            *byte = *new;
        }
        changes = after;
    }
}

fn number(bytes: &[u8]) -> usize {
    bytes.iter().fold(0, |number, byte| number << 8 | usize::from(*byte))
}

/// An undamaged log: several topics, evicted records, a close, chosen IDs, keys, records over several pages.
struct Whole {
    bytes: Vec<u8>,
    records: BTreeMap<u64, Arc<Record>>,
}

fn retention() -> Retention {
    let limits = Limits { records: 40, ..Limits::default() };
    Retention { limits, ..Retention::on_disk() }
}

fn whole() -> &'static Whole {
    static WHOLE: OnceLock<Whole> = OnceLock::new();
    WHOLE.get_or_init(|| {
        let directory = Directory::new();
        let log = DiskLog::open(&directory.0, retention()).expect("a new log opens");
        let topic = |text: &str| Topic::parse(text).expect("it is a topic");
        let name = |number: u64| format!("{number}-x");
        let mut batch: Vec<Append> = Vec::new();
        for number in 0..48_u64 {
            let data = "0123456789".repeat(usize::try_from(number * 7 % 50).expect("it is small"));
            let mut update = Update::new(topic(["a", "b/1", "b/2"][number as usize % 3]), data);
            if number % 4 == 0 {
                update = update.with_id(UpdateId::parse(&name(number)).expect("it is an ID"));
            }
            let key = (number % 5 == 0).then(|| IdempotencyKey::parse(&name(number)).expect("it is a key"));
            let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000 + number);
            let time = RecordTime::parse(time).expect("it is a time of our age");
            batch.push(Append { update, key, time: Some(time) });
        }
        batch.insert(3, Update::close(topic("evicted-close"), "over").into());
        batch.push(Update::close(topic("closed"), "over").into());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
        let records = runtime.expect("a runtime is made of memory").block_on(async {
            for append in batch {
                log.append(vec![append]).await.expect("a new log takes updates");
            }
            let limit = PageLimit { records: 1_000, bytes: 1 << 20 };
            let page = log.read(0, &Selector::everything(), limit).await.expect("a new log can be read");
            page.records.into_iter().map(|record| (record.sequence(), record)).collect()
        });
        drop(log);
        let bytes = fs::read(directory.0.join("log.sqlite")).expect("it was written");
        Whole { bytes, records }
    })
}

/// A new directory. It is removed at the end.
struct Directory(PathBuf);

impl Directory {
    fn new() -> Directory {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("tidings-fuzz-{}-{number}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).expect("the temporary directory is writable");
        Directory(path)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all::<&Path>(&self.0);
    }
}

//! Damage is refused at the start, or found by a check, and is never served.

use super::*;

#[tokio::test]
async fn a_whole_log_has_no_findings() {
    let (directory, _) = whole_log().await;
    let found = check(directory.path());
    assert_eq!((found.findings.as_slice(), found.records), ([].as_slice(), RECORDS));
    let (kept, unreadable) = export(directory.path());
    assert_eq!((kept.len() as u64, unreadable), (RECORDS, 0));
    assert_true(&kept);
}

#[tokio::test]
async fn a_log_that_a_hub_has_open_can_be_looked_at() {
    let directory = TempDir::new().unwrap();
    let log = open(directory.path()).unwrap();
    log.append(vec![Update::new(Topic::parse("t").unwrap(), "a").into()]).await.unwrap();
    let view = DiskView::open(directory.path()).unwrap();
    assert!(view.check(|_, _| ()).unwrap().is_whole());
    let stat = view.stat().unwrap();
    assert_eq!((stat.records, stat.topics, stat.epoch), (1, 1, log.bounds().epoch));
    assert_eq!(stat.newest.unwrap().0, 1);
    assert!(stat.files.iter().any(|file| file.name == "log.sqlite-wal" && file.bytes > 0));
    log.append(vec![Update::new(Topic::parse("t").unwrap(), "b").into()]).await.unwrap();
    assert_eq!(view.records(Selector::everything(), 1).count(), 1, "and it sees what follows");
}

#[tokio::test]
async fn damage_that_every_start_looks_for_is_refused_and_changes_nothing() {
    let cases: &[(&str, Damage, &str)] = &[
        ("cut in half", |path| change_bytes(path, |bytes| bytes.truncate(bytes.len() / 2)), "is damaged"),
        (
            "cut inside the header",
            |path| change_bytes(path, |bytes| bytes.truncate(50)),
            "is damaged: it has 50 bytes",
        ),
        ("emptied", |path| change_bytes(path, Vec::clear), "is damaged: it has 0 bytes"),
        (
            "header overwritten",
            |path| change_bytes(path, |bytes| bytes[..16].fill(0)),
            "is not a SQLite database",
        ),
        (
            "page size flipped",
            |path| change_bytes(path, |bytes| bytes[16] ^= 0xff),
            "is not a SQLite database",
        ),
        ("text encoding flipped", |path| change_bytes(path, |bytes| bytes[59] ^= 3), "is damaged"),
        (
            "first page overwritten",
            |path| change_bytes(path, |bytes| bytes[100..4096].fill(0xff)),
            "is damaged",
        ),
        (
            "a new record's data flipped",
            |path| {
                change_bytes(path, |bytes| {
                    let offset = offset_of(bytes, RECORDS + EVICTED - 5);
                    bytes[offset] ^= 1;
                });
            },
            "record 315 cannot be read: the sum",
        ),
        (
            "another program's",
            |path| sql(path, "PRAGMA application_id = 7"),
            "is a database of another program",
        ),
        (
            "a newer version's",
            |path| sql(path, "PRAGMA user_version = 99"),
            "has version 99; this program knows",
        ),
        ("without records", |path| sql(path, "DROP TABLE records"), "table records is missing"),
        ("without marks", |path| sql(path, "DROP TABLE evicted"), "table evicted is missing"),
        ("without an index", |path| sql(path, "DROP INDEX names_by_gone"), "index names_by_gone is missing"),
        (
            "without a column",
            |path| sql(path, "ALTER TABLE closed DROP COLUMN reason"),
            "column closed.reason is missing",
        ),
        ("without its one row", |path| sql(path, "DELETE FROM log"), "Query returned no rows"),
        (
            "a hole near its end",
            |path| sql(path, "DELETE FROM records WHERE sequence = 310"),
            "record 310 is missing",
        ),
        (
            "without its oldest",
            |path| sql(path, "DELETE FROM records WHERE sequence < 100"),
            "the oldest record is 100, and those before it were not evicted",
        ),
        (
            "without any record",
            |path| sql(path, "DELETE FROM records"),
            "record 20 was evicted, and the newest record is 0",
        ),
        (
            "a mark in the future",
            |path| sql(path, "UPDATE log SET evicted_floor = 5000"),
            "above the last evicted",
        ),
        (
            "a topic's mark in the future",
            |path| sql(path, "UPDATE evicted SET sequence = 5000 WHERE topic = 't/1'"),
            "a topic has lost record 5000",
        ),
        (
            "topics listed in the future",
            |path| sql(path, "UPDATE log SET listed = 5000"),
            "topics list all up to record 5000",
        ),
        (
            "a close in the future",
            |path| sql(path, "UPDATE closed SET sequence = 5000"),
            "a topic was closed at 5000",
        ),
        ("a negative count", |path| sql(path, "UPDATE kept SET bytes = -1"), "is damaged"),
        (
            "an epoch that is too large",
            |path| sql(path, "UPDATE log SET epoch = 1 << 50"),
            "more than 48 bits",
        ),
    ];
    for (name, damage, expected) in cases {
        let (directory, database) = whole_log().await;
        damage(&database);
        let before = fs::read(&database).unwrap();
        let error = open(directory.path()).expect_err(name).to_string();
        assert!(error.contains(expected), "{name}: {error}");
        assert!(fs::read(&database).unwrap() == before, "{name}: nothing was changed");
        // Looking for the damage finds it too, or says that there is nothing that could be looked at.
        if let Ok(view) = DiskView::open(&database) {
            let found = view.check(|_, _| ()).unwrap();
            assert!(!found.is_whole(), "{name}");
            assert_true(&export(&database).0);
        }
    }
}

#[tokio::test]
async fn damage_further_back_is_found_and_never_served() {
    let cases: &[(&str, Damage, Part, &str)] = &[
        (
            "an old record's data flipped",
            |path| {
                change_bytes(path, |bytes| {
                    let offset = offset_of(bytes, 100);
                    bytes[offset + 9] ^= 1;
                });
            },
            Part::Records,
            "record 100 cannot be read: ",
        ),
        (
            "an old record's data no longer UTF-8",
            |path| {
                change_bytes(path, |bytes| {
                    let offset = offset_of(bytes, 100);
                    bytes[offset] = 0xff;
                });
            },
            Part::Records,
            "record 100 cannot be read: ",
        ),
        (
            "a page of records overwritten",
            |path| {
                change_bytes(path, |bytes| {
                    let page = offset_of(bytes, 100) / 4096 * 4096;
                    bytes[page..page + 4096].fill(0);
                });
            },
            Part::Records,
            "the records from ",
        ),
        (
            "the last page of records overwritten",
            |path| {
                change_bytes(path, |bytes| {
                    let page = offset_of(bytes, RECORDS + EVICTED) / 4096 * 4096;
                    bytes[page..page + 4096].fill(0);
                });
            },
            Part::Records,
            "all records from ",
        ),
        (
            "a hole in the middle",
            |path| sql(path, "DELETE FROM records WHERE sequence IN (100, 101)"),
            Part::Records,
            "the records 100 to 101 are missing, and were not evicted",
        ),
        (
            "a record under the sequence of an evicted one",
            |path| {
                sql(path, "UPDATE records SET sequence = 10 WHERE sequence = 100");
            },
            Part::Records,
            "record 100 is missing",
        ),
        (
            "a topic without its record",
            |path| sql(path, "DELETE FROM topics WHERE sequence = 100"),
            Part::Topics,
            "topic \"t/2\" does not list its record 100",
        ),
        (
            "an ID that is no longer known",
            |path| sql(path, "DELETE FROM names WHERE name = 'id-101'"),
            Part::Topics,
            "event id \"id-101\" of topic \"t/3\" does not name its record 101",
        ),
        (
            "an ID of a record that is none",
            |path| {
                sql(path, "INSERT INTO names (kind, name, topic, sequence) VALUES (1, 'other', 't/3', 10)");
            },
            Part::Topics,
            "\"other\" of topic \"t/3\" names a record that is not there: 10",
        ),
        (
            "an ID that is remembered although its record is there",
            |path| sql(path, "UPDATE names SET sequence = 100 WHERE gone = 1"),
            Part::Topics,
            "\"id-1\" of topic \"t/1\" names a record as gone that is still there: 100",
        ),
        (
            "a topic with a record of another",
            |path| sql(path, "INSERT INTO topics VALUES ('other', 100)"),
            Part::Topics,
            "topics list 301 records, and there are 300",
        ),
        (
            "a topic with a record that is none",
            |path| sql(path, "INSERT INTO topics VALUES ('other', 5)"),
            Part::Topics,
            "topic \"other\" lists a record that is not there: 5",
        ),
        (
            "a close that is forgotten",
            |path| sql(path, "DELETE FROM closed"),
            Part::Topics,
            "was closed by record 250, and is not listed as closed",
        ),
        (
            "a close that never was",
            |path| sql(path, "INSERT INTO closed (topic, sequence, time, reason) VALUES ('t/1', 260, 0, '')"),
            Part::Topics,
            "is listed as closed by a record that closes nothing: 260",
        ),
        (
            "a record behind its topic's close",
            |path| sql(path, "INSERT INTO topics VALUES ('closed', 300)"),
            Part::Topics,
            "has records after the one that closed it",
        ),
        (
            "a mark of a record that is there",
            |path| {
                sql(
                    path,
                    "UPDATE log SET evicted = 30; UPDATE evicted SET sequence = 30 WHERE topic = 't/1'",
                );
            },
            Part::Topics,
            "has lost a record that is still there: 30",
        ),
        (
            "a wrong count of bytes",
            |path| sql(path, "UPDATE kept SET bytes = bytes + 1"),
            Part::Size,
            "and the log says",
        ),
    ];
    for (name, damage, part, expected) in cases {
        let (directory, database) = whole_log().await;
        damage(&database);
        let before = fs::read(&database).unwrap();
        let found = check(directory.path());
        let finding = found.findings.iter().find(|finding| finding.what.contains(expected));
        let finding = finding.unwrap_or_else(|| panic!("{name}: {:?}", found.findings));
        assert_eq!(finding.part, *part, "{name}");
        assert!(fs::read(&database).unwrap() == before, "{name}: checking changes nothing");
        let (kept, _) = export(directory.path());
        assert!(kept.len() as u64 >= RECORDS - 40, "{name}: {} are left", kept.len());
        assert_true(&kept);

        // A hub may start with it, and a reader gets what was written, or an error.
        let Ok(log) = open(directory.path()) else { continue };
        for sequence in EVICTED + 1..=log.bounds().newest.sequence {
            if let Ok(Some(record)) = log.record(sequence).await {
                assert_true(&BTreeMap::from([(sequence, record.event().data().to_owned())]));
            }
        }
        let limit = PageLimit { records: 10_000, bytes: usize::MAX };
        if let Ok(page) = log.read(0, &Selector::everything(), limit).await {
            let read =
                page.records.iter().map(|record| (record.sequence(), record.event().data().to_owned()));
            assert_true(&read.collect());
        }
    }
}

#[tokio::test]
async fn no_flipped_byte_of_the_first_page_panics_or_shows_what_was_not_written() {
    let (directory, database) = whole_log().await;
    let whole = fs::read(&database).unwrap();
    for offset in (0..100).chain((100..4096).step_by(61)) {
        let mut bytes = whole.clone();
        bytes[offset] ^= 0x55;
        fs::write(&database, bytes).unwrap();
        if let Ok(view) = DiskView::open(&database) {
            let _ = view.check(|_, _| ());
            for found in view.records(Selector::everything(), 0).flatten() {
                if let Found::Kept(kept) = found {
                    assert_true(&BTreeMap::from([(
                        kept.record.sequence(),
                        kept.record.event().data().to_owned(),
                    )]));
                }
            }
        }
        // Opening it, too, succeeds with what was written or is refused.
        if let Ok(log) = open(directory.path()) {
            let newest = log.bounds().newest.sequence;
            if let Ok(Some(record)) = log.record(newest).await {
                assert_true(&BTreeMap::from([(newest, record.event().data().to_owned())]));
            }
        }
        for beside in ["-wal", "-shm"] {
            let _ = fs::remove_file(directory.path().join(format!("log.sqlite{beside}")));
        }
    }
}

#[tokio::test]
async fn garbage_in_the_write_ahead_log_loses_the_commits_after_it_and_invents_nothing() {
    let directory = TempDir::new().unwrap();
    let log = open(directory.path()).unwrap();
    for sequence in 1..=50 {
        let update = Update::new(Topic::parse("t").unwrap(), data(sequence));
        log.append(vec![update.into()]).await.unwrap();
    }
    // As a crash leaves it: the log is still open, and its database and write-ahead log are copied.
    let copy = TempDir::new().unwrap();
    for name in ["log.sqlite", "log.sqlite-wal"] {
        fs::copy(directory.path().join(name), copy.path().join(name)).unwrap();
    }
    let wal = copy.path().join("log.sqlite-wal");
    change_bytes(&wal, |bytes| {
        let middle = bytes.len() / 2;
        bytes[middle..].fill(0xa5);
    });
    let copied = open(copy.path()).unwrap();
    let newest = copied.bounds().newest.sequence;
    assert!((1..50).contains(&newest), "{newest}");
    drop(copied);
    assert!(check(copy.path()).is_whole());
    let (kept, unreadable) = export(copy.path());
    assert_eq!((kept.len() as u64, unreadable), (newest, 0));
    assert_true(&kept);
}

#[tokio::test]
async fn a_refused_log_keeps_its_write_ahead_log() {
    let (directory, database) = whole_log().await;
    let connection = Connection::open(&database).unwrap();
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true).unwrap();
    connection.execute("DELETE FROM records WHERE sequence = 310", ()).unwrap();
    drop(connection);
    let files = ["log.sqlite", "log.sqlite-wal"].map(|name| directory.path().join(name));
    let before = files.clone().map(|file| fs::read(file).unwrap());
    assert!(!before[1].is_empty());
    let error = open(directory.path()).unwrap_err().to_string();
    assert!(error.contains("record 310 is missing"), "{error}");
    assert!(files.map(|file| fs::read(file).unwrap()) == before, "it is as it was found");
}

#[tokio::test]
async fn a_log_without_its_database_is_not_begun_anew() {
    let directory = TempDir::new().unwrap();
    let log = open(directory.path()).unwrap();
    log.append(vec![Update::new(Topic::parse("t").unwrap(), "a").into()]).await.unwrap();
    let copy = TempDir::new().unwrap();
    fs::copy(directory.path().join("log.sqlite-wal"), copy.path().join("log.sqlite-wal")).unwrap();
    let error = open(copy.path()).unwrap_err().to_string();
    assert!(error.contains("its write-ahead log is there"), "{error}");
}

#[tokio::test]
async fn a_creation_that_a_crash_cut_short_is_begun_again() {
    let directory = TempDir::new().unwrap();
    fs::write(directory.path().join("log.sqlite.new"), "half").unwrap();
    open(directory.path()).unwrap();
    assert!(!directory.path().join("log.sqlite.new").exists());
}

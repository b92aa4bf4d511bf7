//! A new epoch keeps a whole log, and moves a damaged one aside.

use super::*;

#[tokio::test]
async fn a_new_epoch_keeps_the_records_of_a_whole_log() {
    let (directory, _) = whole_log().await;
    let old = open(directory.path()).unwrap().bounds();
    let (log, begun) = DiskLog::open_in_new_epoch(directory.path(), DiskSettings::default()).unwrap();
    assert_eq!(begun, NewEpoch::Renewed { old: old.epoch });
    assert_ne!(log.bounds().epoch, old.epoch);
    assert_eq!((log.bounds().oldest, log.bounds().newest), (old.oldest, old.newest));
    let new = log.bounds();
    drop(log);
    assert_eq!(open(directory.path()).unwrap().bounds(), new, "it stays");
    assert!(check(directory.path()).is_whole());
}

#[tokio::test]
async fn a_new_epoch_moves_a_damaged_log_aside_and_deletes_nothing() {
    let (directory, database) = whole_log().await;
    change_bytes(&database, |bytes| {
        let offset = offset_of(bytes, 315);
        bytes[offset] ^= 1;
    });
    let damaged = fs::read(&database).unwrap();
    fs::create_dir_all(directory.path().join("attachments")).unwrap();
    fs::write(directory.path().join("attachments/one"), "precious").unwrap();
    let (log, begun) = DiskLog::open_in_new_epoch(directory.path(), DiskSettings::default()).unwrap();
    let NewEpoch::MovedAside { damaged: aside, reason } = begun else { panic!("{begun:?}") };
    assert!(reason.contains("record 315"), "{reason}");
    assert!(fs::read(&aside).unwrap() == damaged);
    let time = aside.to_str().unwrap().rsplit_once(".damaged-").unwrap().1;
    let attachment = directory.path().join(format!("attachments.damaged-{time}/one"));
    assert_eq!(fs::read(attachment).unwrap(), b"precious");
    assert_eq!(log.bounds().newest.sequence, 0);
    let (kept, unreadable) = export(&aside);
    assert_eq!((kept.len() as u64, unreadable), (RECORDS - 1, 1), "what can be read is still there");
    assert_true(&kept);

    // A second time in the same second finds another name.
    drop(log);
    fs::write(&database, "").unwrap();
    let (_, begun) = DiskLog::open_in_new_epoch(directory.path(), DiskSettings::default()).unwrap();
    let NewEpoch::MovedAside { damaged: second, .. } = begun else { panic!("{begun:?}") };
    assert_ne!(second, aside);
    assert!(fs::read(&aside).unwrap() == damaged);
}

#[tokio::test]
async fn a_new_epoch_leaves_what_is_not_ours_to_judge() {
    for change in ["PRAGMA application_id = 7", "PRAGMA user_version = 99"] {
        let (directory, database) = whole_log().await;
        sql(&database, change);
        let opened = DiskLog::open_in_new_epoch(directory.path(), DiskSettings::default());
        assert!(matches!(opened, Err(OpenError::Foreign { .. })), "{change}");
        assert!(database.exists());
    }
    let empty = TempDir::new().unwrap();
    let (_, begun) = DiskLog::open_in_new_epoch(empty.path(), DiskSettings::default()).unwrap();
    assert_eq!(begun, NewEpoch::Created);
}

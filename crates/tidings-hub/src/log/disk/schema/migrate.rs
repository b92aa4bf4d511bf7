//! From the tables of an older version to those of this one.

use rusqlite::{Connection, TransactionBehavior};

/// The step at index `n` leads from version `n + 1` to version `n + 2`.
///
/// A step is never changed once a version with it was released. It alters what is there; the tables in `schema.rs` are
/// what all steps together lead to.
pub(super) const STEPS: &[&str] = &["
    ALTER TABLE log ADD COLUMN listed INTEGER NOT NULL DEFAULT 0;
    UPDATE log SET listed = (SELECT ifnull(max(sequence), 0) FROM records);
",
    // IDs and keys belong to topics. The update `n` of a body with the key `K` had the key `K#n`, which a publisher could
    // choose for another one: such a key is in both spellings what it was.
    "
    CREATE TABLE names (
        kind INTEGER NOT NULL,
        name TEXT NOT NULL,
        topic TEXT NOT NULL,
        sequence INTEGER NOT NULL,
        gone INTEGER,
        sum INTEGER,
        content INTEGER,
        PRIMARY KEY (kind, name, topic)
    ) STRICT, WITHOUT ROWID;
    CREATE UNIQUE INDEX names_by_gone ON names (gone) WHERE gone IS NOT NULL;
    INSERT INTO names (kind, name, topic, sequence)
        WITH RECURSIVE split (id, topic, rest, sequence) AS (
            SELECT publisher_id, NULL, topics || char(10), sequence FROM records WHERE publisher_id IS NOT NULL
            UNION ALL
            SELECT id, substr(rest, 1, instr(rest, char(10)) - 1), substr(rest, instr(rest, char(10)) + 1), sequence
                FROM split WHERE rest <> ''
        )
        SELECT DISTINCT 1, id, topic, sequence FROM split WHERE topic IS NOT NULL ORDER BY id, topic;
    INSERT INTO names (kind, name, topic, sequence)
        SELECT 2, key, substr(topics, 1, instr(topics || char(10), char(10)) - 1), sequence
        FROM records WHERE key IS NOT NULL ORDER BY key;
    INSERT INTO names (kind, name, topic, sequence)
        SELECT 2, substr(name, 1, length(name) - length(number) - 1) || char(31) || number, topic, sequence
        FROM (SELECT substr(name, length(rtrim(name, '0123456789')) + 1) AS number, name, topic, sequence
            FROM names WHERE kind = 2 AND rtrim(name, '0123456789') LIKE '_%#')
        WHERE number > '' AND number NOT LIKE '0%' ORDER BY name;
    DROP INDEX records_by_publisher_id;
    DROP INDEX records_by_key;
",
    // A close says in its row all that it said. Of one whose record is gone, only its topics and the reason are known.
    "
    ALTER TABLE closed ADD COLUMN flags INTEGER;
    ALTER TABLE closed ADD COLUMN retry INTEGER;
    ALTER TABLE closed ADD COLUMN topics TEXT;
    ALTER TABLE closed ADD COLUMN publisher_id TEXT;
    ALTER TABLE closed ADD COLUMN sum INTEGER;
    UPDATE closed SET (flags, retry, topics, publisher_id, sum) =
        (SELECT flags, retry, topics, publisher_id, sum FROM records WHERE records.sequence = closed.sequence);
    UPDATE closed SET topics = (
        SELECT group_concat(topic, char(10)) FROM (
            SELECT topic FROM closed AS others WHERE others.sequence = closed.sequence ORDER BY topic))
        WHERE topics IS NULL;
"];

/// Takes all steps that follow `version`, in one transaction: a crash leaves the old version or the new one.
pub(super) fn migrate(connection: &mut Connection, version: i32, steps: &[&str]) -> rusqlite::Result<()> {
    let done = usize::try_from(version - 1).unwrap_or_default();
    let (missing, newest) = (steps.get(done..).unwrap_or_default(), steps.len() + 1);
    if missing.is_empty() {
        return Ok(());
    }
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    for step in missing {
        transaction.execute_batch(step)?;
    }
    transaction.pragma_update(None, "user_version", newest as i64)?;
    transaction.commit()?;
    tracing::info!(from = version, to = newest, "the log's tables are those of this version now");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const STEPS: &[&str] =
        &["ALTER TABLE t ADD COLUMN two INTEGER", "ALTER TABLE t ADD COLUMN three INTEGER; DELETE FROM t"];

    fn at(version: i32, table: &str) -> Connection {
        let connection = Connection::open_in_memory().unwrap();
        connection.execute_batch(table).unwrap();
        connection.pragma_update(None, "user_version", version).unwrap();
        connection
    }

    fn version(connection: &Connection) -> i32 {
        connection.pragma_query_value(None, "user_version", |row| row.get(0)).unwrap()
    }

    #[test]
    fn ids_and_keys_of_the_second_version_belong_to_their_topics() {
        let mut connection = at(
            2,
            "CREATE TABLE records (sequence INTEGER PRIMARY KEY, topics TEXT, publisher_id TEXT, key TEXT);
             CREATE UNIQUE INDEX records_by_publisher_id ON records (publisher_id);
             CREATE UNIQUE INDEX records_by_key ON records (key);
             INSERT INTO records VALUES
                (1, 'a', NULL, NULL), (2, 'a', 'id', NULL), (3, 'a' || char(10) || 'b', 'of two', 'key'),
                (4, 'c/d', NULL, 'K#7'), (5, 'c', '#1', '#1'), (6, 'c', NULL, '#'), (7, 'c', NULL, 'x#'),
                (8, 'c', NULL, 'x#01'), (9, 'c', NULL, '##10'), (10, 'c', NULL, 'x#y#3'),
                (11, 'd' || char(10) || 'd', 'twice', 'K#8a');",
        );
        migrate(&mut connection, 2, &super::STEPS[..2]).unwrap();
        let mut names =
            connection.prepare("SELECT * FROM names ORDER BY sequence, kind, name, topic").unwrap();
        let names = names.query_map((), |row| {
            assert_eq!((row.get(4)?, row.get(5)?, row.get(6)?), (None::<u64>, None::<u64>, None::<u64>));
            Ok((row.get(0)?, row.get::<_, String>(1)?, row.get::<_, String>(2)?, row.get(3)?))
        });
        let names: Vec<(u8, String, String, u64)> = names.unwrap().map(Result::unwrap).collect();
        let names: Vec<_> =
            names.iter().map(|(kind, name, topic, at)| (*kind, &**name, &**topic, *at)).collect();
        let expected = [
            (1, "id", "a", 2),
            (1, "of two", "a", 3),
            (1, "of two", "b", 3),
            (2, "key", "a", 3),
            (2, "K\u{1f}7", "c/d", 4),
            (2, "K#7", "c/d", 4),
            (1, "#1", "c", 5),
            (2, "#1", "c", 5),
            (2, "#", "c", 6),
            (2, "x#", "c", 7),
            (2, "x#01", "c", 8),
            (2, "#\u{1f}10", "c", 9),
            (2, "##10", "c", 9),
            (2, "x#y\u{1f}3", "c", 10),
            (2, "x#y#3", "c", 10),
            (1, "twice", "d", 11),
            (2, "K#8a", "d", 11),
        ];
        assert_eq!(names, expected);
    }

    #[test]
    fn a_close_of_the_third_version_that_has_lost_its_record_is_one_of_all_its_topics() {
        let mut connection = at(
            3,
            "CREATE TABLE records (
                sequence INTEGER PRIMARY KEY, flags INTEGER, retry INTEGER, topics TEXT, publisher_id TEXT, sum INTEGER);
             CREATE TABLE closed (
                topic TEXT PRIMARY KEY, sequence INTEGER, time INTEGER, reason TEXT) WITHOUT ROWID;
             CREATE INDEX closed_by_sequence ON closed (sequence);
             INSERT INTO closed VALUES ('b', 1, 0, 'over'), ('a', 1, 0, 'over'), ('c', 2, 0, 'over'), ('e', 3, 0, ''), ('d', 3, 0, '');
             INSERT INTO records VALUES (3, 2, 9223372036854775807, 'e' || char(10) || 'd', NULL, 77);",
        );
        migrate(&mut connection, 3, super::STEPS).unwrap();
        let mut closes =
            connection.prepare("SELECT topic, topics, retry, sum FROM closed ORDER BY topic").unwrap();
        let closes =
            closes.query_map((), |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))).unwrap();
        let closes: Vec<(String, String, Option<i64>, Option<u32>)> = closes.map(Result::unwrap).collect();
        let expected = [
            ("a", "a\nb", None, None),
            ("b", "a\nb", None, None),
            ("c", "c", None, None),
            ("d", "e\nd", Some(i64::MAX), Some(77)),
            ("e", "e\nd", Some(i64::MAX), Some(77)),
        ];
        let expected =
            expected.map(|(topic, topics, retry, sum)| (topic.to_owned(), topics.to_owned(), retry, sum));
        assert_eq!(closes, expected);
    }

    #[test]
    fn each_version_takes_the_steps_that_it_lacks() {
        for (from, table) in [
            (1, "CREATE TABLE t (one INTEGER)"),
            (2, "CREATE TABLE t (one INTEGER, two INTEGER)"),
            (3, "CREATE TABLE t (one INTEGER, two INTEGER, three INTEGER)"),
        ] {
            let mut connection = at(from, table);
            migrate(&mut connection, from, STEPS).unwrap();
            assert_eq!(version(&connection), 3, "from {from}");
            connection.execute("INSERT INTO t (one, two, three) VALUES (1, 2, 3)", ()).unwrap();
        }
    }

    #[test]
    fn a_step_that_fails_leaves_the_old_version() {
        let mut connection = at(1, "CREATE TABLE t (one INTEGER)");
        migrate(&mut connection, 1, &[STEPS[0], "no SQL"]).unwrap_err();
        assert_eq!(version(&connection), 1);
        connection.execute("INSERT INTO t (two) VALUES (2)", ()).unwrap_err();
    }
}

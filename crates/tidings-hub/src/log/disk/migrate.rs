//! From the tables of an older version to those of this one.

use rusqlite::{Connection, TransactionBehavior};

/// The step at index `n` leads from version `n + 1` to version `n + 2`.
///
/// A step is never changed once a version with it was released. It alters what is there; the tables in `schema.rs` are
/// what all steps together lead to.
pub(super) const STEPS: &[&str] = &["
    ALTER TABLE log ADD COLUMN listed INTEGER NOT NULL DEFAULT 0;
    UPDATE log SET listed = (SELECT ifnull(max(sequence), 0) FROM records);
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

//! The writer's knowledge of the log without asking the database: its bounds, and the kept amounts.

use std::collections::HashMap;

use rusqlite::{Connection, OptionalExtension};

use super::groups::Groups;
use crate::log::{
    Bounds, Limits, Record,
    disk::{
        read::outline::Outline,
        schema::{closes, tables},
    },
    retention::Totals,
    retention_rules::Rules,
};

/// After so many records the totals are written down, so that not all are counted when the log is opened.
const NOTE_EVERY: u64 = 10_000;

/// How much later than its age ends a record is evicted at the most, in milliseconds; and by no more than 1/128 of the age.
const MOST_LATE: u64 = 1_000;

/// The state of the log as of one commit.
#[derive(Debug, Clone)]
pub(crate) struct State {
    /// The records that readers see once the commit is acknowledged.
    pub(super) bounds: Bounds,
    /// All records, under the limits of the whole log.
    pub(super) whole: Group,
    /// The records of each rule.
    pub(super) groups: Groups,
    /// How much is remembered of evicted records, to stay within its bound.
    pub(super) remembered: Remembered,
    /// Whether free pages can be given back to the file system.
    pub(super) gives_back: bool,
    /// Up to here the database knows the totals. `None`: it knows those of other rules.
    noted: Option<u64>,
}

/// The amounts that are kept under one set of limits.
#[derive(Debug, Clone, Default)]
pub(super) struct Group {
    /// How much there is, so that no step counts records.
    pub(super) kept: Totals,
    /// All of the group up to here has been evicted, or cannot be.
    pub(super) swept: u64,
    /// Up to here, what comes after `swept` was looked at, and its time had not come: evicting by age looks after it.
    pub(super) ahead: u64,
    /// The earliest time of those that were passed by so.
    pub(super) ahead_from: Option<u64>,
    /// Up to here all of the group is to be evicted, since a record that came later has outlived its age.
    pub(super) due: u64,
    /// Before this time there is nothing to evict for it. `None`: not before it has changed. The whole log is looked at with each
    /// step.
    pub(super) look_at: Option<u64>,
    /// Whether the database says the same of it.
    pub(super) is_noted: bool,
}

/// When a group is to be looked at that is to be looked at in any case.
pub(super) const AT_ONCE: Option<u64> = Some(0);

impl Group {
    /// The record after which a step begins to search.
    pub(super) fn begin(&mut self, already: u64, limits: &Limits, now: u64) -> u64 {
        // After a jump of the machine's clock that is not followed, all that comes is ahead, and nothing after it would ever
        // lead back to it.
        if self.ahead_from.is_some_and(|from| from <= now) {
            (self.ahead, self.ahead_from) = (0, None);
        }
        let swept = self.swept.max(already);
        match self.due > swept || self.kept.is_over(limits) {
            true => swept,
            false => swept.max(self.ahead),
        }
    }

    /// Notes when it is to be looked at again: a look has found nothing more to evict, and ended before a record of the time
    /// `ended_at`, or after all there are.
    pub(super) fn looked(&mut self, limits: &Limits, ended_at: Option<u64>, now: u64) {
        self.look_at = match limits.age_ms() {
            // The newest record may be too much, and stays until it is no longer that.
            _ if self.kept.is_over(limits) => AT_ONCE,
            None => None,
            Some(age) => {
                let next = ended_at.map_or(0, |time| time.min(now).saturating_add(age).saturating_add(1));
                let next = next.min(self.ahead_from.unwrap_or(u64::MAX));
                // A little later than to the millisecond: each look goes on past what other rules' topics have got since the last.
                Some(if next > now { next.max(now.saturating_add(MOST_LATE.min(age / 128))) } else { next })
            }
        };
    }

    /// The action of a step for the next record, after it has evicted all up to `gone`.
    pub(super) fn judge(&mut self, limits: &Limits, outline: &Outline, now: u64, gone: u64) -> Verdict {
        if self.kept.is_too_much(limits) || outline.sequence <= self.due {
            return Verdict::Goes;
        }
        if outline.time < limits.expired_before(now) {
            // The records that were passed by came earlier, even if their times say otherwise.
            if self.ahead > gone {
                self.due = outline.sequence;
                return Verdict::OthersGo;
            }
            return Verdict::Goes;
        }
        if limits.age.is_some() && outline.time > now {
            self.ahead = self.ahead.max(outline.sequence);
            self.ahead_from = Some(self.ahead_from.map_or(outline.time, |from| from.min(outline.time)));
            return Verdict::IsAhead;
        }
        Verdict::Stays
    }
}

/// How much is remembered of what was evicted. It is counted when the log is opened: to count it with each step would look at all of
/// it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Remembered {
    /// Topics whose close has lost its record.
    pub(super) closes: u64,
    /// Topics that have a mark.
    pub(super) watermarks: u64,
}

impl Remembered {
    /// Closes go in order with the whole log: up to `swept` they are gone, but for what is damaged.
    fn count(connection: &Connection, oldest: u64, swept: u64) -> rusqlite::Result<Remembered> {
        let last = swept.max(oldest.saturating_sub(1));
        let closes = "SELECT count(*) FROM closed WHERE sequence <= ? AND ";
        let closes = format!("{closes}{}", closes::is_evicted!());
        Ok(Remembered {
            closes: connection.query_row(&closes, (last, oldest), |row| row.get(0))?,
            watermarks: connection.query_row("SELECT count(*) FROM evicted", (), |row| row.get(0))?,
        })
    }

    pub(super) fn add(&mut self, more: Remembered) {
        self.closes += more.closes;
        self.watermarks += more.watermarks;
    }
}

/// The action of a step of evicting for a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is evicted.
    Goes,
    /// Those before it are to be evicted, and then it.
    OthersGo,
    /// Its time has not come: it says nothing of the age of what comes after it.
    IsAhead,
    /// It stays, and so does all that comes after it.
    Stays,
}

impl State {
    /// Reads the totals, or counts them if the rules have changed. Adds the records since the totals were last written.
    pub(crate) fn load(connection: &Connection, rules: &Rules, bounds: Bounds) -> rusqlite::Result<State> {
        let mut state = State {
            bounds,
            whole: Group::default(),
            groups: Groups::default(),
            remembered: Remembered::default(),
            gives_back: true,
            noted: None,
        };
        let unknown = Group { look_at: AT_ONCE, ..Group::default() };
        let mut groups = vec![unknown.clone(); rules.rules.len()];
        let numbers: HashMap<_, _> =
            rules.rules.iter().map(|rule| rule.filter.to_string()).zip(0..).collect();
        let mut known = 0;
        let mut statement = connection.prepare("SELECT filter, up_to, swept, records, bytes FROM kept")?;
        let mut rows = statement.query(())?;
        while let Some(row) = rows.next()? {
            let filter: String = row.get(0)?;
            let kept = Totals::of(row.get(3)?, row.get(4)?);
            let group = Group { kept, swept: row.get(2)?, is_noted: true, ..unknown.clone() };
            match (&*filter, numbers.get(&filter)) {
                (WHOLE, _) => (state.whole, state.noted) = (group, Some(row.get(1)?)),
                (_, Some(number)) => groups[*number] = group,
                (_, None) => continue,
            }
            known += 1;
        }
        drop(rows);
        let stored: usize = connection.query_row("SELECT count(*) FROM kept", (), |row| row.get(0))?;
        if (known, stored) != (numbers.len() + 1, numbers.len() + 1) {
            state.noted = None;
            state.whole = Group::default();
            groups.fill(unknown);
        }
        state.groups = Groups::new(groups);
        state.remembered = Remembered::count(connection, bounds.oldest, state.whole.swept)?;
        Outline::each_after(connection, state.noted.unwrap_or_default(), |outline| {
            state.whole.kept.add(outline.cost());
            if let Some(number) = outline.rule(rules) {
                state.groups.of_mut(number).kept.add(outline.cost());
            }
            true
        })?;
        state.note(connection, rules, false)?;
        state.groups.settle();
        Ok(state)
    }

    /// Counts a record that is appended.
    pub(super) fn append(&mut self, rules: &Rules, record: &Record) {
        self.bounds.newest = record.position();
        self.whole.kept.add(record.cost());
        if let (false, Some(number)) = (record.is_close(), rules.of(&record.topics()[0])) {
            let (group, limits) = (self.groups.of_mut(number), &rules.rules[number].limits);
            let is_first = group.kept.records == 0;
            if is_first {
                group.swept = record.sequence() - 1;
            }
            group.kept.add(record.cost());
            if group.kept.is_over(limits) || (is_first && limits.age.is_some()) {
                group.look_at = AT_ONCE;
            }
        }
    }

    /// Counts a record that is evicted.
    pub(super) fn remove(&mut self, rules: &Rules, outline: &Outline) {
        self.whole.kept.remove(outline.cost());
        if let Some(number) = outline.rule(rules) {
            self.groups.of_mut(number).kept.remove(outline.cost());
        }
    }

    /// Moves the bounds after records have been evicted.
    pub(crate) fn evicted(&mut self, connection: &Connection, gone: &[Outline]) -> rusqlite::Result<()> {
        let last = gone.iter().map(|outline| outline.sequence).max().unwrap_or_default();
        self.bounds.evicted = self.bounds.evicted.max(last);
        // While the oldest stays, nothing need be read where it is, which may be damaged.
        if gone.iter().any(|outline| outline.sequence == self.bounds.oldest) {
            self.bounds.oldest = tables::oldest(connection)?;
        }
        Ok(())
    }

    /// Counts a record again that could not be evicted.
    pub(super) fn keep(&mut self, rules: &Rules, outline: &Outline) {
        self.whole.kept.add(outline.cost());
        if let Some(number) = outline.rule(rules) {
            self.groups.of_mut(number).kept.add(outline.cost());
        }
    }

    /// Writes the totals down, if it is time or `at_once`.
    ///
    /// Not with every commit: it would be another page to write for each. A rule whose totals are written down already, and have not
    /// changed, keeps its row, which is right up to where that of the whole log is.
    pub(super) fn note(
        &mut self,
        connection: &Connection,
        rules: &Rules,
        at_once: bool,
    ) -> rusqlite::Result<()> {
        let newest = self.bounds.newest.sequence;
        if !at_once && newest < self.noted.unwrap_or_default() + NOTE_EVERY {
            return Ok(());
        }
        if self.noted.is_none() {
            connection.prepare_cached("DELETE FROM kept")?.execute(())?;
        }
        let mut insert = connection.prepare_cached("INSERT OR REPLACE INTO kept VALUES (?, ?, ?, ?, ?)")?;
        let groups = self
            .groups
            .note()
            .into_iter()
            .map(|number| (rules.rules[number].filter.to_string(), self.groups.of(number)));
        for (filter, Group { kept, swept, .. }) in groups.chain([(WHOLE.to_owned(), &self.whole)]) {
            insert.execute((filter, newest, swept, kept.records, kept.bytes))?;
        }
        self.noted = Some(newest);
        Ok(())
    }
}

/// Up to where the whole log was counted, and how many bytes that were; `None` before the first time.
pub(crate) fn noted(connection: &Connection) -> rusqlite::Result<Option<(u64, u64)>> {
    connection
        .query_row("SELECT up_to, bytes FROM kept WHERE filter = ?", [WHOLE], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .optional()
}

/// The name of the whole log among the filters; no topic and no pattern is empty.
const WHOLE: &str = "";

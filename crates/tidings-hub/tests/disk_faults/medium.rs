//! A disk that remembers all that was done to it, fails when told to, and says what it would hold if the power had gone
//! at any moment.

use std::{
    collections::{BTreeMap, HashMap},
    ffi::c_int,
    path::{Path, PathBuf},
    sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError},
};

/// A disk writes so many bytes whole or not at all.
const SECTOR: usize = 512;

/// The disk of one directory.
#[derive(Default)]
pub(crate) struct Medium {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    history: Vec<Operation>,
    fault: Option<Fault>,
    has_failed: bool,
}

/// An event of the disk, or of the program that uses it.
#[derive(Clone)]
pub(crate) enum Operation {
    Change {
        file: String,
        change: Change,
    },
    Sync {
        file: String,
    },
    /// The directory: what is deleted stays deleted.
    SyncDirectory,
    /// `file` with `.new` after its name has got this name, and the directory is synced.
    Rename {
        file: String,
    },
    /// What was to be synced is as if it had never been asked for: the system takes it for written, and it may not be.
    FailedSync {
        file: String,
    },
    /// The batch with this number was acknowledged.
    Acknowledged(usize),
}

/// A change of a file, until the next sync in memory alone.
#[derive(Clone)]
pub(crate) enum Change {
    /// It is there, and empty.
    Create,
    Write {
        offset: usize,
        data: Arc<[u8]>,
    },
    Truncate {
        size: usize,
    },
    Delete,
}

/// A failure to come: of the operation with this number, from 0, among those of its kind.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fault {
    pub(crate) kind: Kind,
    pub(crate) number: usize,
    /// Whether all that follow fail too, until the disk is repaired.
    pub(crate) lasting: bool,
    /// The code that SQLite gets.
    pub(crate) code: c_int,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Writes and truncations.
    Write,
    Sync,
}

pub(crate) enum Verdict {
    Done,
    Failed { code: c_int, done_bytes: usize },
}

/// The part of the unsynced bytes that survives a loss of power.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Survivors {
    Nothing,
    Everything,
    /// Each sector on its own, by lot: writes are torn, and some that came later are there without some that came first.
    Some(u64),
}

static MEDIA: LazyLock<Mutex<HashMap<PathBuf, Arc<Medium>>>> = LazyLock::new(Mutex::default);

impl Medium {
    /// Puts a new disk below `directory`, which is empty, until [`Medium::remove`].
    pub(crate) fn below(directory: &Path) -> Arc<Medium> {
        super::vfs::install();
        let medium = Arc::new(Medium::default());
        lock(&MEDIA).insert(directory.into(), medium.clone());
        medium
    }

    /// From now on, files in `directory` are plain files.
    pub(crate) fn remove(directory: &Path) {
        lock(&MEDIA).remove(directory);
    }

    pub(crate) fn of(directory: &Path) -> Option<Arc<Medium>> {
        lock(&MEDIA).get(directory).cloned()
    }

    pub(crate) fn fail(&self, fault: Fault) {
        lock(&self.state).fault = Some(fault);
    }

    /// Ends the failure, or forgets it if it is still to come.
    pub(crate) fn repair(&self) {
        lock(&self.state).fault = None;
    }

    /// Whether anything has failed yet.
    pub(crate) fn has_failed(&self) -> bool {
        lock(&self.state).has_failed
    }

    pub(crate) fn history(&self) -> Vec<Operation> {
        lock(&self.state).history.clone()
    }

    pub(crate) fn acknowledged(&self, batch: usize) {
        lock(&self.state).history.push(Operation::Acknowledged(batch));
    }

    pub(crate) fn created(&self, file: &str) {
        lock(&self.state).change(file, Change::Create);
    }

    /// A file that was there already is opened. The log renames without SQLite, so a rename is noticed here.
    pub(crate) fn opened(&self, file: &str) {
        let mut state = lock(&self.state);
        let begun = format!("{file}.new");
        let is_of = |operation: &Operation, name: &str| match operation {
            Operation::Change { file, .. } | Operation::Rename { file } => file == name,
            _ => false,
        };
        let has = |name: &str| state.history.iter().any(|operation| is_of(operation, name));
        if has(&begun) && !has(file) {
            state.history.push(Operation::Rename { file: file.into() });
        }
    }

    /// Whether it may be deleted.
    pub(crate) fn deletes(&self, file: &str, synced: bool) -> bool {
        let mut state = lock(&self.state);
        if let Verdict::Failed { .. } = state.fails(Kind::Write, 0) {
            return false;
        }
        state.change(file, Change::Delete);
        if synced {
            state.history.push(Operation::Sync { file: file.into() });
        }
        true
    }

    pub(crate) fn writes(&self, file: &str, offset: usize, data: &[u8]) -> Verdict {
        let mut state = lock(&self.state);
        let verdict = state.fails(Kind::Write, data.len() / 2);
        let done = match verdict {
            Verdict::Done => data,
            Verdict::Failed { done_bytes, .. } => &data[..done_bytes],
        };
        state.change(file, Change::Write { offset, data: done.into() });
        verdict
    }

    pub(crate) fn truncates(&self, file: &str, size: usize) -> Verdict {
        let mut state = lock(&self.state);
        let verdict = state.fails(Kind::Write, 0);
        if let Verdict::Done = verdict {
            state.change(file, Change::Truncate { size });
        }
        verdict
    }

    pub(crate) fn syncs(&self, file: &str) -> Verdict {
        let mut state = lock(&self.state);
        let verdict = state.fails(Kind::Sync, 0);
        state.history.push(match verdict {
            Verdict::Done => Operation::Sync { file: file.into() },
            Verdict::Failed { .. } => Operation::FailedSync { file: file.into() },
        });
        verdict
    }
}

impl Medium {
    /// SQLite syncs the directory right after a sync of a journal that it has opened, and this does not fail here.
    pub(crate) fn syncs_directory(&self) {
        lock(&self.state).history.push(Operation::SyncDirectory);
    }
}

impl State {
    fn change(&mut self, file: &str, change: Change) {
        self.history.push(Operation::Change { file: file.into(), change });
    }

    fn fails(&mut self, kind: Kind, done_bytes: usize) -> Verdict {
        let Some(fault) = self.fault.as_mut().filter(|fault| fault.kind == kind) else {
            return Verdict::Done;
        };
        let code = fault.code;
        match (fault.number, fault.lasting) {
            (0, true) => {}
            (0, false) => self.fault = None,
            _ => {
                fault.number -= 1;
                return Verdict::Done;
            }
        }
        self.has_failed = true;
        Verdict::Failed { code, done_bytes }
    }
}

/// The files after `history` and a loss of power.
pub(crate) fn after_power_loss(history: &[Operation], survivors: Survivors) -> BTreeMap<String, Vec<u8>> {
    let mut lot = match survivors {
        Survivors::Some(seed) => seed,
        _ => 0,
    };
    let mut disk: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    let mut pending: BTreeMap<String, Vec<&Change>> = BTreeMap::new();
    for operation in history {
        match operation {
            Operation::Change { file, change } => pending.entry(file.clone()).or_default().push(change),
            Operation::Sync { file } => {
                let changes = pending.remove(file).unwrap_or_default();
                for change in changes {
                    apply(&mut disk, file, change, |_| true);
                }
            }
            Operation::SyncDirectory => {
                for (file, changes) in &mut pending {
                    if let Some(last) = changes.iter().rposition(|change| matches!(change, Change::Delete)) {
                        changes.drain(..=last);
                        disk.remove(file);
                    }
                }
            }
            Operation::Rename { file } => {
                let begun = format!("{file}.new");
                if let Some(content) = disk.remove(&begun) {
                    disk.insert(file.clone(), content);
                }
                if let Some(changes) = pending.remove(&begun) {
                    pending.insert(file.clone(), changes);
                }
            }
            Operation::FailedSync { file } => {
                lose(&mut disk, file, &pending.remove(file).unwrap_or_default(), survivors, &mut lot);
            }
            Operation::Acknowledged(_) => {}
        }
    }
    for (file, changes) in &pending {
        lose(&mut disk, file, changes, survivors, &mut lot);
    }
    disk
}

fn lose(
    disk: &mut BTreeMap<String, Vec<u8>>,
    file: &str,
    changes: &[&Change],
    survivors: Survivors,
    lot: &mut u64,
) {
    let mut survives = |_| match survivors {
        Survivors::Nothing => false,
        Survivors::Everything => true,
        Survivors::Some(_) => draw(lot),
    };
    for change in changes {
        // What comes after a deletion is another file: it has no name until the directory is synced.
        if matches!(change, Change::Delete) && !survives(0) {
            return;
        }
        match change {
            Change::Delete => apply(disk, file, change, |_| true),
            _ => apply(disk, file, change, &mut survives),
        }
    }
}

fn apply(
    disk: &mut BTreeMap<String, Vec<u8>>,
    file: &str,
    change: &Change,
    mut survives: impl FnMut(usize) -> bool,
) {
    match change {
        Change::Delete => drop(disk.remove(file)),
        Change::Create => {
            if survives(0) {
                disk.insert(file.into(), Vec::new());
            }
        }
        Change::Truncate { size } => {
            if survives(0) {
                disk.entry(file.into()).or_default().resize(*size, 0);
            }
        }
        Change::Write { offset, data } => {
            let (mut at, end) = (*offset, offset + data.len());
            while at < end {
                let next = (at / SECTOR + 1) * SECTOR;
                let next = next.min(end);
                if survives(at) {
                    let content = disk.entry(file.into()).or_default();
                    if content.len() < next {
                        content.resize(next, 0);
                    }
                    content[at..next].copy_from_slice(&data[at - offset..next - offset]);
                }
                at = next;
            }
        }
    }
}

/// The next bit of a sequence that looks random (SplitMix64) and is the same each time.
fn draw(state: &mut u64) -> bool {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (mixed ^ (mixed >> 31)) & 1 == 1
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

//! The threads that read, and the queue before them.

use std::{
    collections::BTreeMap,
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread::{self, JoinHandle},
};

use rusqlite::Connection;
use tokio::sync::oneshot;

use crate::log::{
    LogError, Reads,
    disk::{failed, schema::tables},
};

/// How a read finds what it wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// By an index, or all in order: every read record is wanted.
    Direct,
    /// By a pattern: much may be looked through for little.
    Search,
}

/// Threads with a connection each. They are started when they are needed, up to a fixed number, and end with this.
///
/// Reads wait in the order in which they came. Searches have half of the threads at most, so that however many there are,
/// others are read for at once. A read that nobody waits for any more leaves the queue; one that has begun is bounded, as a page
/// is.
#[derive(Debug)]
pub(crate) struct Readers {
    queue: Arc<Queue>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

#[derive(Debug)]
struct Queue {
    path: PathBuf,
    max_threads: usize,
    /// How many reads of either way may wait.
    max_waiting: usize,
    state: Mutex<State>,
    /// Rung when a read has come, and at the end.
    bell: Condvar,
}

#[derive(Default)]
struct State {
    /// By their number in the order of all.
    direct: BTreeMap<u64, Box<dyn Read>>,
    searches: BTreeMap<u64, Box<dyn Read>>,
    last_number: u64,
    threads: usize,
    idle: usize,
    running: usize,
    searching: usize,
    ends: bool,
}

impl Readers {
    pub(crate) fn new(path: PathBuf, max_threads: usize, max_waiting: usize) -> Readers {
        let (state, bell) = (Mutex::default(), Condvar::new());
        // With one alone, a search would be in everybody's way.
        let max_threads = max_threads.max(2);
        Readers {
            queue: Arc::new(Queue { path, max_threads, max_waiting, state, bell }),
            threads: Mutex::default(),
        }
    }

    /// Runs `read` in a transaction of its own, once a reader is free.
    ///
    /// # Errors
    /// [`LogError::Busy`] when as many wait as may.
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        way: Way,
        read: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, LogError> {
        let (answer, answered) = oneshot::channel();
        let (number, needs_thread) = self.queue.push(way, Box::new(Asked { read, answer }))?;
        let mut waiting = Waiting { queue: &self.queue, way, number, answered: false };
        if needs_thread {
            self.start_thread();
        }
        let answer = answered.await;
        waiting.answered = true;
        answer.unwrap_or(Err(LogError::Unavailable { reason: "a reader failed", source: None }))
    }

    /// How many reads run, and how many wait.
    pub(crate) fn reads(&self) -> Reads {
        let state = self.queue.lock();
        Reads { running: state.running, waiting: state.direct.len() + state.searches.len() }
    }

    fn start_thread(&self) {
        let queue = self.queue.clone();
        let started = thread::Builder::new().name("tidings-reader".into()).spawn(move || queue.work());
        match started {
            Ok(thread) => self.threads.lock().unwrap_or_else(PoisonError::into_inner).push(thread),
            Err(error) => self.queue.not_started(error),
        }
    }
}

/// A caller that waits for a read. If it stops waiting, the read leaves the queue.
struct Waiting<'a> {
    queue: &'a Queue,
    way: Way,
    number: u64,
    answered: bool,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if !self.answered {
            // Dropped after the lock has been let go.
            let _read = self.queue.lock().of(self.way).remove(&self.number);
        }
    }
}

impl Drop for Readers {
    fn drop(&mut self) {
        self.queue.lock().ends = true;
        self.queue.bell.notify_all();
        for thread in std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner)) {
            if thread.join().is_err() {
                tracing::error!("a reader of the log failed");
            }
        }
    }
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a read; its number, and whether a thread is to be started for it, which is counted already.
    fn push(&self, way: Way, read: Box<dyn Read>) -> Result<(u64, bool), LogError> {
        let mut state = self.lock();
        let waiting = state.of(way).len();
        if waiting >= self.max_waiting {
            return Err(LogError::Busy { waiting });
        }
        state.last_number += 1;
        let number = state.last_number;
        state.of(way).insert(number, read);
        let waiting = state.direct.len() + state.searches.len();
        let needs_thread = waiting > state.idle && state.threads < self.max_threads;
        if needs_thread {
            state.threads += 1;
        }
        drop(state);
        self.bell.notify_one();
        Ok((number, needs_thread))
    }

    /// A thread that was counted cannot be started. Without any other thread all waiting reads fail, no matter which of them asked for the thread.
    fn not_started(&self, error: io::Error) {
        let mut state = self.lock();
        state.threads -= 1;
        if state.threads > 0 {
            return;
        }
        let waiting = [Way::Direct, Way::Search].map(|way| std::mem::take(state.of(way)));
        drop(state);
        let error = LogError::unavailable("a reader cannot be started", error);
        for read in waiting.into_iter().flat_map(BTreeMap::into_values) {
            read.refuse(error.clone());
        }
    }

    /// The work of a thread from its start to its end.
    fn work(&self) {
        let mut connection = None;
        let mut state = self.lock();
        while !state.ends {
            match state.next(self.max_threads / 2) {
                Some((way, read)) => {
                    state.running += 1;
                    state.searching += usize::from(way == Way::Search);
                    drop(state);
                    read.run(&mut connection, &self.path);
                    state = self.lock();
                    state.running -= 1;
                    state.searching -= usize::from(way == Way::Search);
                }
                None => {
                    state.idle += 1;
                    state = self.bell.wait(state).unwrap_or_else(PoisonError::into_inner);
                    state.idle -= 1;
                }
            }
        }
    }
}

impl State {
    fn of(&mut self, way: Way) -> &mut BTreeMap<u64, Box<dyn Read>> {
        match way {
            Way::Direct => &mut self.direct,
            Way::Search => &mut self.searches,
        }
    }

    /// The read that has waited longest, of those that may begin.
    fn next(&mut self, max_searching: usize) -> Option<(Way, Box<dyn Read>)> {
        let first = |reads: &BTreeMap<u64, _>| reads.keys().next().copied();
        let direct = first(&self.direct);
        let search = first(&self.searches).filter(|_| self.searching < max_searching);
        let way = match (direct, search) {
            (Some(direct), Some(search)) if search < direct => Way::Search,
            (Some(_), _) => Way::Direct,
            (None, Some(_)) => Way::Search,
            (None, None) => return None,
        };
        self.of(way).pop_first().map(|(_, read)| (way, read))
    }
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("State")
            .field("threads", &self.threads)
            .field("running", &self.running)
            .finish_non_exhaustive()
    }
}

/// A read that waits.
trait Read: Send {
    /// Reads by a connection, which is opened if there is none, and closed if the read fails.
    fn run(self: Box<Self>, connection: &mut Option<Connection>, path: &Path);

    /// Is not run, for this reason.
    fn refuse(self: Box<Self>, error: LogError);
}

struct Asked<T, R> {
    read: R,
    answer: oneshot::Sender<Result<T, LogError>>,
}

impl<T: Send, R> Read for Asked<T, R>
where
    R: FnOnce(&Connection) -> rusqlite::Result<T> + Send,
{
    fn run(self: Box<Self>, connection: &mut Option<Connection>, path: &Path) {
        let Asked { read, answer } = *self;
        let done = catch_unwind(AssertUnwindSafe(|| {
            let connection = match &mut *connection {
                Some(connection) => connection,
                none => none.insert(tables::open_reader(path)?),
            };
            // All of a page is read from one state of the log, and the transaction ends with it.
            let transaction = connection.transaction()?;
            let done = read(&transaction)?;
            transaction.finish()?;
            Ok(done)
        }));
        if !matches!(done, Ok(Ok(_))) {
            *connection = None;
        }
        // After a panic, which has been reported, the answer is dropped, and the caller that waits for it learns that.
        if let Ok(done) = done {
            // An error means that nobody waits any more.
            let _ = answer.send(done.map_err(failed));
        }
    }

    fn refuse(self: Box<Self>, error: LogError) {
        let _ = self.answer.send(Err(error));
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::VecDeque, future::Future, pin::Pin, sync::mpsc, task::Context};

    use tempfile::TempDir;

    use super::*;

    type Reading = Pin<Box<dyn Future<Output = Result<&'static str, LogError>> + Send>>;

    struct Case {
        readers: Arc<Readers>,
        began: (mpsc::Sender<&'static str>, mpsc::Receiver<&'static str>),
        _directory: TempDir,
    }

    impl Case {
        fn new(threads: usize, waiting: usize) -> Case {
            let directory = TempDir::new().unwrap();
            let path = directory.path().join("log.sqlite");
            drop(tables::open(&path).unwrap());
            let readers = Arc::new(Readers::new(path, threads, waiting));
            Case { readers, began: mpsc::channel(), _directory: directory }
        }

        /// Asks for a read that says when it begins; it ends when the sender is dropped.
        fn ask(&self, way: Way, name: &'static str) -> (Reading, mpsc::Sender<()>) {
            let (go_on, told) = mpsc::channel::<()>();
            let (readers, began) = (self.readers.clone(), self.began.0.clone());
            let mut reading: Reading = Box::pin(async move {
                let read = move |_: &Connection| {
                    began.send(name).unwrap();
                    let _ = told.recv();
                    Ok(name)
                };
                readers.read(way, read).await
            });
            // The first poll puts it into the queue.
            assert!(reading.as_mut().poll(&mut Context::from_waker(std::task::Waker::noop())).is_pending());
            (reading, go_on)
        }

        fn next_to_begin(&self) -> &'static str {
            self.began.1.recv().unwrap()
        }
    }

    #[tokio::test]
    async fn searches_leave_half_of_the_readers_to_others() {
        let case = Case::new(4, 100);
        let searches: Vec<_> = ["s1", "s2", "s3"].map(|name| case.ask(Way::Search, name)).into();
        let mut begun = [case.next_to_begin(), case.next_to_begin()];
        begun.sort_unstable();
        assert_eq!(begun, ["s1", "s2"]);
        let (direct, go_on) = case.ask(Way::Direct, "d1");
        assert_eq!(case.next_to_begin(), "d1");
        assert_eq!(case.readers.reads(), Reads { running: 3, waiting: 1 });
        drop(go_on);
        assert_eq!(direct.await.unwrap(), "d1");
        for (reading, go_on) in searches {
            drop(go_on);
            reading.await.unwrap();
        }
        assert_eq!(case.next_to_begin(), "s3");
    }

    #[tokio::test]
    async fn reads_begin_in_the_order_in_which_they_came() {
        let case = Case::new(2, 100);
        let mut begun = Vec::new();
        let mut readings: VecDeque<_> = [
            (Way::Direct, "1"),
            (Way::Direct, "2"),
            (Way::Direct, "3"),
            (Way::Search, "4"),
            (Way::Direct, "5"),
        ]
        .map(|(way, name)| case.ask(way, name))
        .into();
        // Two begin together; then each that ends lets one begin.
        begun.extend([case.next_to_begin(), case.next_to_begin()]);
        while let Some((reading, go_on)) = readings.pop_front() {
            drop(go_on);
            reading.await.unwrap();
            if begun.len() < 5 {
                begun.push(case.next_to_begin());
            }
        }
        begun[..2].sort_unstable();
        assert_eq!(begun, ["1", "2", "3", "4", "5"]);
    }

    #[tokio::test]
    async fn a_read_that_nobody_waits_for_leaves_the_queue_at_once() {
        let case = Case::new(2, 1);
        let running = ["1", "2"].map(|name| {
            let asked = case.ask(Way::Direct, name);
            case.next_to_begin();
            asked
        });
        let (waiting, _) = case.ask(Way::Direct, "left");
        assert_eq!(case.readers.reads(), Reads { running: 2, waiting: 1 });
        let refused = case.readers.read(Way::Direct, |_| Ok(())).await;
        assert!(matches!(refused, Err(LogError::Busy { waiting: 1 })), "{refused:?}");
        drop(waiting);
        assert_eq!(case.readers.reads(), Reads { running: 2, waiting: 0 });
        let (stayed, go_on) = case.ask(Way::Direct, "stayed");
        for (reading, go_on) in running {
            drop(go_on);
            reading.await.unwrap();
        }
        assert_eq!(case.next_to_begin(), "stayed");
        drop(go_on);
        assert_eq!(stayed.await.unwrap(), "stayed");
    }

    #[tokio::test]
    async fn a_read_does_not_wait_for_a_reader_that_can_not_be_started() {
        let case = Case::new(2, 100);
        // Two are being started for others, so that none is for this one.
        case.readers.queue.lock().threads = 2;
        let (reading, _go_on) = case.ask(Way::Search, "s1");
        case.readers.queue.not_started(io::ErrorKind::WouldBlock.into());
        assert_eq!(case.readers.reads().waiting, 1, "the other one may begin");
        case.readers.queue.not_started(io::ErrorKind::WouldBlock.into());
        assert!(matches!(reading.await, Err(LogError::Unavailable { .. })));
        assert_eq!(case.readers.read(Way::Search, |_| Ok(7)).await.unwrap(), 7, "the next one tries again");
    }

    #[tokio::test]
    async fn a_read_that_panics_fails_alone() {
        let case = Case::new(2, 100);
        for _ in 0..5 {
            let failed =
                case.readers.read(Way::Direct, |_| -> rusqlite::Result<()> { panic!("on purpose") }).await;
            assert!(matches!(failed, Err(LogError::Unavailable { .. })), "{failed:?}");
        }
        assert_eq!(case.readers.read(Way::Search, |_| Ok(7)).await.unwrap(), 7);
    }
}

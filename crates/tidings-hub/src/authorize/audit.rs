//! The audit log: refusals, streams, tickets and revocations, each with its client, as a file of JSON lines.

use std::{
    collections::HashMap,
    fs::File,
    io::{self, Write},
    net::IpAddr,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
        mpsc::{Receiver, SyncSender, TrySendError, sync_channel},
    },
    thread::{self, JoinHandle},
    time::{Instant, SystemTime},
};

use serde::Serialize;

use super::{Credential, Subject, rate::Bucket};
use crate::owner_only;

/// How many events wait for the disk. Later ones are counted, and told as one event of their own.
const MAX_WAITING: usize = 8_192;

/// How many events a second are noted that anybody can cause.
const FEW: f64 = 10.0;

/// The longest text of a member. A topic may be longer.
const MAX_TEXT_BYTES: usize = 512;

/// One event of the audit log. Members without a value are left out.
#[derive(Debug, Default, Serialize)]
pub(crate) struct AuditEvent {
    /// When the hub noted it; it sets this itself.
    pub(crate) time: String,
    /// The kind of event, such as `refused`, `stream-opened`, `stream-ended`, `ticket`, `revoked`, `reloaded`, `published`.
    pub(crate) event: &'static str,
    /// The rule that refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) rule: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) iss: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) sub: Option<String>,
    /// The name of the credential, which tells nothing of its secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) credential: Option<String>,
    /// The method and path of the request, or what was done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) action: Option<String>,
    /// The topics and patterns, for people: at most four of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) topic: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) address: Option<IpAddr>,
    /// The number under which the hub's log has the reason.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) request: Option<String>,
    /// How many things there were.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) count: Option<u64>,
}

/// The audit log of a hub. A cheap handle.
///
/// A thread of its own writes it, so no request waits for its disk. A disk that is full stops the audit, and nothing else.
#[derive(Debug, Clone)]
pub struct Audit(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// `None` once it is being dropped.
    queue: Option<SyncSender<Command>>,
    writer: Mutex<Option<JoinHandle<()>>>,
    state: Arc<State>,
    with_publishes: bool,
    began: Instant,
    /// How fast refusals come that anybody can cause, by their rule, and how many are left out.
    few: Mutex<HashMap<Box<str>, (Bucket, u64)>>,
}

/// The state that the writer and its users share.
#[derive(Debug, Default)]
struct State {
    /// Events that are not in the file, since the hub began.
    lost: AtomicU64,
    /// Those of them that the file does not tell of yet.
    untold: AtomicU64,
    failed: AtomicBool,
}

#[derive(Debug)]
enum Command {
    Write(String),
    Reopen,
    #[cfg(test)]
    Pause(std::sync::mpsc::Receiver<()>),
    #[cfg(test)]
    Answer(SyncSender<()>),
}

impl AuditEvent {
    pub(crate) fn new(event: &'static str) -> AuditEvent {
        AuditEvent { event, ..AuditEvent::default() }
    }

    /// Names a credential, and its subject.
    #[must_use]
    pub(crate) fn of(self, credential: &Credential) -> AuditEvent {
        let named = AuditEvent { credential: Some(credential.name.to_string()), ..self };
        match &credential.subject {
            Some(subject) => named.by(subject),
            None => AuditEvent { iss: credential.issuer.as_deref().map(str::to_owned), ..named },
        }
    }

    /// Names a subject.
    #[must_use]
    pub(crate) fn by(self, subject: &Subject) -> AuditEvent {
        let issuer = Some(subject.issuer().to_owned()).filter(|issuer| !issuer.is_empty());
        AuditEvent { iss: issuer, sub: Some(subject.name().to_owned()), ..self }
    }

    fn into_line(mut self) -> String {
        self.time = humantime::format_rfc3339_millis(SystemTime::now()).to_string();
        for text in
            [&mut self.iss, &mut self.sub, &mut self.credential, &mut self.action].into_iter().flatten()
        {
            shorten(text);
        }
        let mut line = serde_json::to_string(&self).expect("texts and numbers are valid JSON");
        line.push('\n');
        line
    }
}

fn shorten(text: &mut String) {
    if text.len() > MAX_TEXT_BYTES {
        let end = (0..=MAX_TEXT_BYTES).rev().find(|end| text.is_char_boundary(*end)).unwrap_or_default();
        text.truncate(end);
        text.push('…');
    }
}

impl Audit {
    /// Appends to this file, which only its owner can read if it is new. `with_publishes` also notes each publish.
    ///
    /// # Errors
    /// When the file cannot be opened, or there is no thread for it.
    pub fn open(path: &Path, with_publishes: bool) -> io::Result<Audit> {
        let file = append_to(path)?;
        let state = Arc::new(State::default());
        let (queue, commands) = sync_channel(MAX_WAITING);
        let writer = Writer {
            path: path.to_owned(),
            file: Some(file),
            is_torn: false,
            state: state.clone(),
            commands,
        };
        let writer = thread::Builder::new().name("tidings-audit".into()).spawn(move || writer.run())?;
        let inner = Inner {
            queue: Some(queue),
            writer: Mutex::new(Some(writer)),
            state,
            with_publishes,
            began: Instant::now(),
            few: Mutex::default(),
        };
        Ok(Audit(Arc::new(inner)))
    }

    /// Opens the file anew: it has been renamed, and a new one of the old name is wanted. Events that wait still go to the old one.
    pub fn reopen(&self) {
        // Unlike an event, this waits for its turn.
        if let Some(queue) = &self.0.queue {
            let _ = queue.send(Command::Reopen);
        }
    }

    /// How many events are not in the file, because the disk refused them or was too slow.
    pub fn lost(&self) -> u64 {
        self.0.state.lost.load(Ordering::Relaxed)
    }

    /// Whether the last event that was to be written could not be.
    pub fn has_failed(&self) -> bool {
        self.0.state.failed.load(Ordering::Relaxed)
    }

    pub(crate) fn has_publishes(&self) -> bool {
        self.0.with_publishes
    }

    /// Notes a refusal that anybody can cause, ten times a second at most. Later ones are counted, and the next that is noted stands for
    /// them, too: otherwise a flood of them would take the room of all others.
    pub(crate) fn note_few(&self, rule: &str, event: impl FnOnce() -> AuditEvent) {
        let now = u64::try_from(self.0.began.elapsed().as_nanos()).unwrap_or(u64::MAX);
        let count = {
            let mut few = self.0.few.lock().unwrap_or_else(PoisonError::into_inner);
            let (bucket, left_out) = few.entry(rule.into()).or_default();
            if bucket.take(1, FEW, now).is_err() {
                *left_out += 1;
                return;
            }
            std::mem::take(left_out)
        };
        self.note(AuditEvent { count: (count > 0).then_some(count + 1), ..event() });
    }

    /// Notes an event. It never waits.
    pub(crate) fn note(&self, event: AuditEvent) {
        let Some(queue) = &self.0.queue else { return };
        if let Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) =
            queue.try_send(Command::Write(event.into_line()))
        {
            self.0.state.lose();
        }
    }
}

impl State {
    fn lose(&self) {
        self.lost.fetch_add(1, Ordering::Relaxed);
        self.untold.fetch_add(1, Ordering::Relaxed);
    }
}

impl Drop for Inner {
    /// Waits until all events are written.
    fn drop(&mut self) {
        drop(self.queue.take());
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(writer) = writer {
            let _ = writer.join();
        }
    }
}

/// The thread that writes.
struct Writer {
    path: PathBuf,
    file: Option<File>,
    /// Whether the file ends within a line.
    is_torn: bool,
    state: Arc<State>,
    commands: Receiver<Command>,
}

impl Writer {
    fn run(mut self) {
        while let Ok(command) = self.commands.recv() {
            match command {
                Command::Write(line) => self.write(&line),
                Command::Reopen => self.reopen(),
                #[cfg(test)]
                Command::Pause(until) => drop(until.recv()),
                #[cfg(test)]
                Command::Answer(answer) => drop(answer.send(())),
            }
        }
    }

    fn write(&mut self, line: &str) {
        let untold = self.state.untold.load(Ordering::Relaxed);
        let written = match untold {
            0 => self.append(line),
            count => {
                let lost = AuditEvent { count: Some(count), ..AuditEvent::new("lost") };
                self.append(&format!("{}{line}", lost.into_line()))
            }
        };
        match written {
            Ok(()) => {
                self.state.untold.fetch_sub(untold, Ordering::Relaxed);
                if self.state.failed.swap(false, Ordering::Relaxed) {
                    tracing::info!(path = ?self.path, lost = untold, "the audit log is written again");
                }
            }
            Err(error) => {
                self.state.lose();
                self.fail(&error);
            }
        }
    }

    fn append(&mut self, text: &str) -> io::Result<()> {
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(append_to(&self.path)?),
        };
        let text = if self.is_torn { format!("\n{text}") } else { text.to_owned() };
        let mut left = text.as_bytes();
        while !left.is_empty() {
            match file.write(left) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => {
                    left = &left[count..];
                    self.is_torn = !left.is_empty();
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn reopen(&mut self) {
        match append_to(&self.path) {
            Ok(file) => (self.file, self.is_torn) = (Some(file), false),
            Err(error) => {
                self.file = None;
                self.fail(&error);
            }
        }
    }

    fn fail(&self, error: &io::Error) {
        // Once, not for each event.
        if !self.state.failed.swap(true, Ordering::Relaxed) {
            tracing::error!(path = ?self.path, %error, "the audit log cannot be written; the hub goes on, and counts what is lost");
        }
    }
}

fn append_to(path: &Path) -> io::Result<File> {
    owner_only::file().append(true).create(true).open(path)
}

#[cfg(test)]
mod tests {
    use std::{fs, sync::mpsc};

    use serde_json::Value;

    use super::*;

    impl Audit {
        fn send(&self, command: Command) {
            self.0.queue.as_ref().unwrap().send(command).unwrap();
        }

        /// Waits until all that was noted is written.
        pub(crate) fn settle(&self) {
            let (answer, answered) = sync_channel(1);
            self.send(Command::Answer(answer));
            answered.recv().unwrap();
        }
    }

    fn lines(path: &Path) -> Vec<Value> {
        let text = fs::read_to_string(path).unwrap();
        assert!(text.is_empty() || text.ends_with('\n'), "{text:?}");
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    fn event(action: &str) -> AuditEvent {
        AuditEvent { action: Some(action.to_owned()), ..AuditEvent::new("refused") }
    }

    #[test]
    fn each_event_is_a_line_of_json_with_the_members_that_it_has() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("audit");
        let audit = Audit::open(&path, false).unwrap();
        audit.note(
            AuditEvent {
                rule: Some("token-expired".into()),
                address: Some("192.0.2.1".parse().unwrap()),
                ..event("GET /topics/a\nb")
            }
            .by(&Subject::new("", "alice")),
        );
        audit.note(event(&"é".repeat(1_000)));
        drop(audit);
        let lines = lines(&path);
        let Value::Object(mut first) = lines[0].clone() else { panic!("{lines:?}") };
        let time = first.remove("time").unwrap();
        humantime::parse_rfc3339(time.as_str().unwrap()).unwrap();
        let expected = serde_json::json!({
            "event": "refused", "rule": "token-expired", "sub": "alice", "action": "GET /topics/a\nb",
            "address": "192.0.2.1",
        });
        assert_eq!(Value::Object(first), expected);
        assert_eq!(lines[1]["action"].as_str().unwrap().chars().count(), 257);
    }

    #[test]
    fn events_that_the_queue_cannot_take_are_counted_and_told() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("audit");
        let audit = Audit::open(&path, false).unwrap();
        let (go, wait) = mpsc::channel();
        audit.send(Command::Pause(wait));
        // The writer may or may not have taken the pause out of the queue.
        for _ in 0..MAX_WAITING + 100 {
            audit.note(event("x"));
        }
        let lost = audit.lost();
        assert!((100..=101).contains(&lost), "{lost}");
        go.send(()).unwrap();
        audit.settle();
        assert!(!audit.has_failed());
        let lines = lines(&path);
        let told: u64 = lines
            .iter()
            .filter(|line| line["event"] == "lost")
            .map(|line| line["count"].as_u64().unwrap())
            .sum();
        assert_eq!(told, lost);
        assert_eq!(
            lines.iter().filter(|line| line["event"] == "refused").count() as u64 + lost,
            MAX_WAITING as u64 + 100
        );
    }

    #[test]
    fn a_renamed_file_is_left_and_a_new_one_begun() {
        let directory = tempfile::tempdir().unwrap();
        let (path, old) = (directory.path().join("audit"), directory.path().join("audit.1"));
        let audit = Audit::open(&path, false).unwrap();
        audit.note(event("before"));
        audit.settle();
        fs::rename(&path, &old).unwrap();
        audit.note(event("between"));
        audit.reopen();
        audit.note(event("after"));
        drop(audit);
        let actions = |path: &Path| {
            lines(path).iter().map(|line| line["action"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(
            (actions(&old), actions(&path)),
            (vec!["before".into(), "between".into()], vec!["after".to_owned()])
        );
    }

    #[cfg(unix)]
    #[test]
    fn only_the_owner_can_read_the_file() {
        use std::os::unix::fs::MetadataExt;
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("audit");
        drop(Audit::open(&path, false).unwrap());
        assert_eq!(fs::metadata(path).unwrap().mode() & 0o777, 0o600);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_full_disk_stops_the_audit_until_there_is_room_and_what_was_lost_is_told() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("audit");
        std::os::unix::fs::symlink("/dev/full", &path).unwrap();
        let audit = Audit::open(&path, false).unwrap();
        (0..3).for_each(|_| audit.note(event("lost")));
        audit.settle();
        assert_eq!((audit.has_failed(), audit.lost()), (true, 3));
        fs::remove_file(&path).unwrap();
        audit.reopen();
        audit.note(event("kept"));
        audit.settle();
        assert_eq!((audit.has_failed(), audit.lost()), (false, 3));
        let lines = lines(&path);
        assert_eq!(
            (&lines[0]["event"], &lines[0]["count"], &lines[1]["action"]),
            (&"lost".into(), &3.into(), &"kept".into())
        );
    }
}

//! The file of revocations: a JSON object in each line.
//!
//! A line is on the disk before somebody is told that a credential is revoked. A line that a crash has torn is the last one, and
//! nobody was told of it.

use std::{
    fmt,
    fs::{self, File},
    io::{self, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    time::SystemTime,
};

use serde::{Deserialize, Serialize};

use super::revocations::{Revocation, Target};
use crate::owner_only;

/// The file's name in the data directory.
const FILE: &str = "revocations.jsonl";

/// The first line: it says what the file is, and which form it has.
const HEAD: &str = "{\"tidings\":\"revocations\",\"version\":1}\n";

/// One line of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Entry {
    Made(Revocation),
    TakenBack(Box<str>),
}

/// The open file.
pub(super) struct List {
    path: PathBuf,
    /// `None` until a line is written.
    file: Option<File>,
    /// The length of all whole lines. Bytes after that are of a line that could not be written.
    bytes: u64,
    lines: usize,
}

/// Why the list of revocations cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidList {
    /// The file cannot be read.
    #[error("the list of revocations {path:?} cannot be read")]
    Io {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// A line is no revocation.
    #[error(
        "line {line} of the list of revocations {path:?} {what}; restore the file from a backup, or move it away: credentials \
         that were revoked are then accepted until they expire"
    )]
    Line {
        /// The file.
        path: PathBuf,
        /// The number of the line, from 1.
        line: usize,
        /// The rule that it breaks.
        what: String,
    },
}

/// A line as it is written. Times are in milliseconds since 1970.
#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    #[serde(skip_serializing_if = "Option::is_none")]
    taken_back: Option<Box<str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<Box<str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    jti: Option<Box<str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sub: Option<Box<str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    iss: Option<Box<str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<Box<str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ticket: Option<Box<str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    issued_before: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<Box<str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    made: Option<u64>,
}

impl List {
    /// Reads the file of a directory. A last line without an end does not count, and the next one takes its place: nothing is written
    /// here, because another hub may still have the directory.
    pub(super) fn open(directory: &Path) -> Result<(List, Vec<Entry>), InvalidList> {
        let path = directory.join(FILE);
        let failed = |source| InvalidList::Io { path: path.clone(), source };
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok((List { path, file: None, bytes: 0, lines: 0 }, Vec::new()));
            }
            Err(error) => return Err(failed(error)),
        };
        let whole = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        let mut entries = Vec::new();
        for (number, line) in text[..whole].split_inclusive(|byte| *byte == b'\n').enumerate() {
            let wrong = |what: String| InvalidList::Line { path: path.clone(), line: number + 1, what };
            if number > 0 {
                entries.push(Entry::parse(line).map_err(wrong)?);
            } else if line != HEAD.as_bytes() {
                return Err(wrong(format!("is not {}", HEAD.trim_end())));
            }
        }
        if whole < text.len() {
            tracing::warn!(?path, "the last line of the list of revocations is torn, and does not count");
        }
        let lines = entries.len();
        Ok((List { path, file: None, bytes: whole as u64, lines }, entries))
    }

    /// How many lines there are after the first.
    pub(super) fn lines(&self) -> usize {
        self.lines
    }

    /// Adds a line. It is on the disk when this returns.
    pub(super) fn append(&mut self, entry: &Entry) -> io::Result<()> {
        let (path, bytes) = (&self.path, self.bytes);
        let is_new = bytes == 0;
        let mut text = if is_new { HEAD.to_owned() } else { String::new() };
        text.push_str(&entry.to_line());
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(owner_only::file().write(true).create(true).truncate(false).open(path)?),
        };
        // The rest of an earlier attempt is no line.
        file.set_len(bytes)?;
        file.seek(SeekFrom::Start(bytes))?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        if is_new {
            sync_directory_of(path)?;
        }
        self.bytes += text.len() as u64;
        self.lines += 1;
        Ok(())
    }

    /// Writes the file anew, with these entries alone.
    pub(super) fn rewrite(&mut self, entries: &[Entry]) -> io::Result<()> {
        let new = self.path.with_extension("jsonl.new");
        let mut text = HEAD.to_owned();
        entries.iter().for_each(|entry| text.push_str(&entry.to_line()));
        let mut file = owner_only::file().write(true).create(true).truncate(true).open(&new)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&new, &self.path)?;
        // From here on the new file is the list, whether or not its name is on the disk.
        (self.file, self.bytes, self.lines) = (Some(file), text.len() as u64, entries.len());
        sync_directory_of(&self.path)
    }
}

/// Makes the name of a file durable. Other systems than Unix do that by themselves.
#[cfg_attr(not(unix), expect(clippy::unnecessary_wraps, reason = "nothing can fail where nothing is done"))]
fn sync_directory_of(path: &Path) -> io::Result<()> {
    #[cfg(unix)]
    if let Some(directory) = path.parent() {
        let directory = if directory.as_os_str().is_empty() { Path::new(".") } else { directory };
        File::open(directory)?.sync_all()?;
    }
    #[cfg(not(unix))]
    let _ = path;
    Ok(())
}

impl Entry {
    fn to_line(&self) -> String {
        let mut line = Line::default();
        match self {
            Entry::TakenBack(id) => line.taken_back = Some(id.clone()),
            Entry::Made(revocation) => {
                let Revocation { id, target, issued_before, until, reason, made } = revocation.clone();
                match target {
                    Target::Token { id, issuer } => (line.jti, line.iss) = (Some(id), issuer),
                    Target::Subject { name, issuer } => (line.sub, line.iss) = (Some(name), issuer),
                    Target::Issuer(name) => line.iss = Some(name),
                    Target::ApiKey(id) => line.key = Some(id),
                    Target::Ticket(name) => line.ticket = Some(name),
                }
                line.id = Some(id);
                line.issued_before = issued_before.map(millis);
                line.until = until.map(millis);
                line.reason = reason;
                line.made = Some(millis(made));
            }
        }
        let mut text = serde_json::to_string(&line).expect("texts and numbers are valid JSON");
        text.push('\n');
        text
    }

    fn parse(line: &[u8]) -> Result<Entry, String> {
        let line: Line = serde_json::from_slice(line).map_err(|error| format!("cannot be read: {error}"))?;
        if let Some(id) = line.taken_back {
            return Ok(Entry::TakenBack(id));
        }
        let target = revocation_target(line.jti, line.sub, line.iss, line.key, line.ticket);
        let (Some(target), Some(id), Some(made)) = (target, line.id, line.made) else {
            return Err("is no revocation".to_owned());
        };
        Ok(Entry::Made(Revocation {
            id,
            target,
            issued_before: line.issued_before.map(at),
            until: line.until.map(at),
            reason: line.reason,
            made: at(made),
        }))
    }
}

/// The target that these names mean together; `None` for none, and for several.
pub(crate) fn revocation_target(
    jti: Option<Box<str>>,
    sub: Option<Box<str>>,
    iss: Option<Box<str>>,
    key: Option<Box<str>>,
    ticket: Option<Box<str>>,
) -> Option<Target> {
    match (jti, sub, iss, key, ticket) {
        (Some(id), None, issuer, None, None) => Some(Target::Token { id, issuer }),
        (None, Some(name), issuer, None, None) => Some(Target::Subject { name, issuer }),
        (None, None, Some(name), None, None) => Some(Target::Issuer(name)),
        (None, None, None, Some(id), None) => Some(Target::ApiKey(id)),
        (None, None, None, None, Some(name)) => Some(Target::Ticket(name)),
        _ => None,
    }
}

/// Rounded up, so a time that is kept is not before the one that was meant.
fn millis(time: SystemTime) -> u64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX)
}

fn at(millis: u64) -> SystemTime {
    let far = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1 << 40);
    SystemTime::UNIX_EPOCH.checked_add(std::time::Duration::from_millis(millis)).unwrap_or(far)
}

impl fmt::Debug for List {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("List").field("path", &self.path).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn made(name: &str) -> Entry {
        let time = SystemTime::UNIX_EPOCH + Duration::from_millis(1_700_000_000_123);
        Entry::Made(Revocation {
            id: format!("id of {name}").into(),
            target: Target::Token { id: name.into(), issuer: None },
            issued_before: Some(time),
            until: None,
            reason: Some("a \"reason\"\nof two lines".into()),
            made: time,
        })
    }

    #[test]
    fn every_prefix_of_the_file_is_read_up_to_its_last_whole_line_and_goes_on_from_there() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(FILE);
        let (mut list, none) = List::open(directory.path()).unwrap();
        assert!(none.is_empty() && !path.exists(), "no file without a revocation");
        let entries = [made("a"), Entry::TakenBack("x".into()), made("b")];
        entries.iter().for_each(|entry| list.append(entry).unwrap());
        let text = fs::read(&path).unwrap();
        for cut in 0..=text.len() {
            fs::write(&path, &text[..cut]).unwrap();
            let (mut list, found) = List::open(directory.path()).unwrap();
            let lines = text[..cut].iter().filter(|byte| **byte == b'\n').count();
            assert_eq!(found, entries[..lines.saturating_sub(1)], "cut at {cut}");
            list.append(&made("after")).unwrap();
            let (_, found) = List::open(directory.path()).unwrap();
            assert_eq!(found.last(), Some(&made("after")), "cut at {cut}");
            assert_eq!(found.len(), lines.saturating_sub(1) + 1, "cut at {cut}");
        }
    }

    #[test]
    fn a_line_that_is_not_the_last_and_cannot_be_read_is_an_error_that_says_what_to_do() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(FILE);
        for (text, words) in [
            ("{\"id\":\"a\"}\n", ["line 1", "revocations"]),
            (&format!("{HEAD}garbage\n{}", made("a").to_line()), ["line 2", "cannot be read"]),
            (&format!("{HEAD}{{\"id\":\"a\"}}\n"), ["line 2", "is no revocation"]),
            (
                &format!("{HEAD}{{\"id\":\"a\",\"made\":1,\"jti\":\"a\",\"key\":\"b\"}}\n"),
                ["line 2", "is no revocation"],
            ),
            (&format!("{HEAD}{{\"new\":1}}\n"), ["line 2", "unknown field"]),
        ] {
            fs::write(&path, text).unwrap();
            let error = List::open(directory.path()).unwrap_err().to_string();
            assert!(words.iter().all(|word| error.contains(word)), "{error}");
            assert!(error.contains("restore the file from a backup, or move it away"), "{error}");
            assert_eq!(fs::read_to_string(&path).unwrap(), text, "the file is left as it is");
        }
    }

    #[test]
    fn a_file_that_was_written_anew_has_what_it_was_given_and_goes_on() {
        let directory = tempfile::tempdir().unwrap();
        let (mut list, _) = List::open(directory.path()).unwrap();
        (0..10).for_each(|number| list.append(&made(&number.to_string())).unwrap());
        list.rewrite(&[made("3")]).unwrap();
        list.append(&made("new")).unwrap();
        assert_eq!(list.lines(), 2);
        assert_eq!(List::open(directory.path()).unwrap().1, [made("3"), made("new")]);
    }

    #[cfg(unix)]
    #[test]
    fn only_the_owner_can_read_the_file() {
        use std::os::unix::fs::MetadataExt;
        let directory = tempfile::tempdir().unwrap();
        let (mut list, _) = List::open(directory.path()).unwrap();
        list.append(&made("a")).unwrap();
        list.rewrite(&[made("a")]).unwrap();
        assert_eq!(fs::metadata(directory.path().join(FILE)).unwrap().mode() & 0o777, 0o600);
    }
}

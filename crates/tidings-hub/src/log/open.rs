//! The chooser: opens the log that a URL names.

use std::{io, path::PathBuf, sync::Arc};

use super::{DiskSettings, Durability, Log, LogUrl, NewEpoch, Retention, Rule, disk, memory};
use crate::AttachmentLimits;

/// The kinds of logs that there are. One more is one line here, and a folder.
pub(super) const KINDS: &[&Kind] = &[
    &memory::KIND, //
    &disk::KIND,
];

/// A kind of log, as the chooser sees it.
#[derive(Debug)]
pub(super) struct Kind {
    /// The beginning of its URL, without the `:`.
    pub(super) scheme: &'static str,
    /// How its URL is written, for people.
    pub(super) form: &'static str,
    /// Checks what follows the scheme; gives the directory that it names, if this kind has one. The text of an error names the
    /// value and the rule.
    pub(super) parse: fn(&str) -> Result<Option<PathBuf>, String>,
    /// Opens the log that a URL of this kind names.
    pub(super) open: fn(&LogUrl, LogSettings) -> Result<Opened, OpenError>,
}

/// The settings of a log of any kind. Each kind uses those that apply to it.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct LogSettings {
    /// The most bytes of history. `None`, the default, keeps what suits the kind: 256 MiB in memory, 8 GiB on disk.
    pub max_bytes: Option<u64>,
    /// The most updates of history. `None`, the default, keeps what suits the kind: 1,000,000 in memory, any number on disk.
    pub max_records: Option<u64>,
    /// How much of some topics is kept, within the two limits above. Default: no rule.
    pub rules: Vec<Rule>,
    /// Whether the log begins a new epoch: see [`DiskLog::open_in_new_epoch`](super::DiskLog::open_in_new_epoch). Default: no.
    pub new_epoch: bool,
    /// The failures that an acknowledged append survives. `None`, the default, chooses the default of the kind:
    /// [`Durability::Fsync`] on disk. A log in memory has no durability, and refuses `Some`.
    pub durability: Option<Durability>,
    /// How large attachments may be. A log in memory keeps none.
    pub attachments: AttachmentLimits,
    /// How many threads read a log on disk: see [`DiskSettings::readers`].
    pub readers: usize,
    /// How many reads of a log on disk may wait for them: see [`DiskSettings::waiting_reads`].
    pub waiting_reads: usize,
}

impl Default for LogSettings {
    fn default() -> LogSettings {
        let DiskSettings { attachments, readers, waiting_reads, .. } = DiskSettings::default();
        LogSettings {
            max_bytes: None,
            max_records: None,
            rules: Vec::new(),
            new_epoch: false,
            durability: None,
            attachments,
            readers,
            waiting_reads,
        }
    }
}

impl LogSettings {
    /// How much a log keeps whose kind is suited by `suited`.
    pub(super) fn retention(&self, mut suited: Retention) -> Retention {
        let limits = &mut suited.limits;
        limits.bytes = self.max_bytes.unwrap_or(limits.bytes);
        limits.records = self.max_records.unwrap_or(limits.records);
        suited.rules.extend(self.rules.iter().cloned());
        suited
    }
}

/// A log that was opened by its URL.
#[non_exhaustive]
pub struct Opened {
    /// The log.
    pub log: Arc<dyn Log>,
    /// Where its records are and how many, for people: `on disk in news.d, up to 8192 MiB`.
    pub description: String,
    /// How the new epoch began that [`LogSettings::new_epoch`] asked for.
    pub new_epoch: Option<NewEpoch>,
}

/// Why a log cannot be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// Another process, or another log of this one, has it open.
    #[error("{path:?} is in use by another process")]
    InUse {
        /// The log's directory.
        path: PathBuf,
    },
    /// The directory cannot be created or locked.
    #[error("{path:?} cannot be used")]
    Directory {
        /// The log's directory.
        path: PathBuf,
        /// The operating system's error.
        source: io::Error,
    },
    /// The file is not a log of this program, or was written by a newer version of it.
    #[error("{path:?} {reason}")]
    Foreign {
        /// The database.
        path: PathBuf,
        /// The kind of file that it is instead.
        reason: String,
    },
    /// Not a SQLite database: another file, or one whose beginning is damaged. Nothing was changed.
    #[error("{path:?} is not a SQLite database: it is another file, or its beginning is damaged")]
    NotADatabase {
        /// The file.
        path: PathBuf,
    },
    /// The kept records contradict each other. Nothing was changed.
    #[error("{path:?} is damaged: {reason}")]
    Damaged {
        /// The database.
        path: PathBuf,
        /// The damage.
        reason: String,
    },
    /// SQLite failed.
    #[error("{path:?} cannot be opened")]
    Database {
        /// The database.
        path: PathBuf,
        /// SQLite's error.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The log needs something that the machine, or another service, does not give.
    #[error("{what}")]
    Resource {
        /// The missing part.
        what: &'static str,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// This kind of log has no such setting. Leave the setting out, or choose another log.
    #[error("a log {form} has no {setting}: {reason}")]
    Unsuited {
        /// How a URL of this kind is written.
        form: &'static str,
        /// The setting.
        setting: &'static str,
        /// Why there is none.
        reason: &'static str,
    },
}

/// Opens the log that `url` names.
///
/// ```
/// use tidings_hub::{Hub, Settings, log};
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let opened = log::open(&"memory:".parse()?, log::LogSettings::default())?;
/// let hub = Hub::new(opened.log, Settings::default());
/// # hub.shutdown().await;
/// # Ok(()) }
/// ```
///
/// # Errors
/// [`OpenError`] says what is in the way. Nothing is ever repaired in silence.
pub fn open(url: &LogUrl, settings: LogSettings) -> Result<Opened, OpenError> {
    (url.kind.open)(url, settings)
}

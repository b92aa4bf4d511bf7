//! The log: one append-only order of records, which every subscriber follows at its own pace.
//!
//! [`Log`] is what the hub needs of a store. [`MemoryLog`] keeps the newest records in memory, and [`DiskLog`] in a directory.
//! [`open`] opens the log that a URL names.
//!
//! To write another log, implement [`Log`] and run the suite `contract` (feature `contract`) over it. The hub relies on what the
//! suite checks.

mod append;
mod bounds;
mod clock;
#[cfg(feature = "contract")]
pub mod contract;
mod disk;
mod error;
mod follow;
mod health;
mod idempotency_key;
mod import;
pub(crate) mod json;
#[expect(clippy::module_inception, reason = "the trait that all others here serve")]
mod log;
mod memory;
mod merge;
mod open;
mod page;
mod publisher_names;
mod record;
mod republish;
mod retention;
mod retention_rules;
mod time;
pub(crate) mod topic_index;
pub(crate) mod turns;
mod url;

pub use self::{
    append::{Append, Appended, Receipt, Refused},
    bounds::Bounds,
    clock::Clock,
    disk::{
        Check, DiskLog, DiskSettings, DiskStat, DiskView, Durability, FileStat, Finding, Found, Kept,
        NewEpoch, Part, Records, TopicStat, Unreadable, ViewError,
    },
    error::LogError,
    follow::{Following, Newest},
    health::{Fault, Reads, Wear},
    idempotency_key::{IdempotencyKey, InvalidKey},
    import::{Import, ImportError},
    log::{Log, LogFuture},
    memory::MemoryLog,
    open::{LogSettings, OpenError, Opened, open},
    page::{Page, PageLimit},
    record::{Record, RecordId},
    retention::{InvalidRule, Limits, Retention, Rule, parse_bytes},
    time::{InvalidTime, RecordTime},
    turns::Turn,
    url::{InvalidLogUrl, LogUrl},
};
pub(crate) use self::{
    idempotency_key::KeyOwner,
    import::BYTE_ORDER_MARK,
    republish::{Republishing, Sent, Unpublishable},
};
pub use crate::model::position::{Epoch, HubId, Position};

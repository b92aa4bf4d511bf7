//! Files that are published: stored beside the log, and announced by a record.

mod id;
mod store;

pub use id::AttachmentId;
pub(crate) use store::Unannounced;
pub use store::{AttachmentLimits, Attachments};

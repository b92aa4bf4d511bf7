//! Files that are published: stored beside the log, and announced by a record.

mod announcement;
mod store;
mod upload;

pub(crate) use announcement::{Announcement, FileName, MediaType, is_token};
pub use store::{AttachmentLimits, Attachments};
pub(crate) use store::{Unannounced, Usage};
pub(crate) use upload::{Received, Upload, UploadError, sum_of};

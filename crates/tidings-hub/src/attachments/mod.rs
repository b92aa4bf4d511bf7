//! Published files: a store that the log supplies, and what an update says of a file.

mod announcement;
mod directory;
mod store;
mod unannounced;
mod upload;

pub(crate) use announcement::{Announcement, FileName, MediaType, is_token};
pub(crate) use directory::{AttachmentDirectory, sum_of};
pub use store::{AttachmentBytes, AttachmentFuture, AttachmentLimits, AttachmentUsage, Attachments};
pub(crate) use unannounced::Unannounced;
pub use upload::{AttachmentUpload, ReceivedAttachment, UploadError};

//! A directory as a store of files.

mod read;
mod store;
mod upload;

pub(crate) use store::AttachmentDirectory;
pub(crate) use upload::sum_of;

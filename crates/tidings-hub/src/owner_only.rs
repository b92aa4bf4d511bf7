//! Files and directories that only their owner can read: private updates must be private on the disk, too.
//!
//! Existing files keep their mode. On systems without modes this module changes nothing.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io,
    path::Path,
};

/// Creates a directory and its parents. Only the owner can open the directory itself.
pub(crate) fn create_directory(directory: &Path) -> io::Result<()> {
    if directory.is_dir() {
        return Ok(());
    }
    if let Some(above) = directory.parent() {
        fs::create_dir_all(above)?;
    }
    let mut builder = DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    match builder.create(directory) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        created => created,
    }
}

/// The options for opening a file that is private if it is created.
pub(crate) fn file() -> OpenOptions {
    let mut options = File::options();
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

/// Whether other users of this machine can read a file of a directory.
pub(crate) fn is_open_to_others(directory: &Path, file: &Path) -> bool {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        let has = |path: &Path, bits| fs::metadata(path).is_ok_and(|metadata| metadata.mode() & bits != 0);
        has(directory, 0o011) && has(file, 0o044)
    }
    #[cfg(not(unix))]
    {
        let _ = (directory, file);
        false
    }
}

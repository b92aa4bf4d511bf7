//! Files and directories that only their owner can read: what is private in a history is private on the disk, too.
//!
//! Those that are there already keep the mode that somebody gave them. Where there are no modes, nothing is different.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io,
    path::Path,
};

/// Creates a directory and those above it; the directory itself is its owner's alone.
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

/// How to open a file that is its owner's alone where it is created.
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

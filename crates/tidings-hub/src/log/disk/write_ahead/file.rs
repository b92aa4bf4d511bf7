//! The file of the write-ahead log, opened once more to be synced.
//!
//! SQLite syncs it within a commit, and nobody can write meanwhile. Through a file of its own, what is committed is
//! synced while the next commit is being written. It goes through SQLite's file system, so that a sync is the same for
//! both.
#![expect(unsafe_code, reason = "SQLite's file system is a table of C functions")]

use std::{
    ffi::{CString, c_int},
    fmt, io,
    path::Path,
    ptr,
};

use rusqlite::ffi::{self, sqlite3_file, sqlite3_vfs};

/// An open file. Dropping it closes it.
pub(crate) struct WriteAheadFile {
    /// Where the file system keeps what it knows of the file: as long as it asks for, and aligned for anything in it.
    file: Box<[u64]>,
    /// The file system may look at the name for as long as the file is open.
    _name: CString,
}

// SAFETY: SQLite's file systems bind no file to a thread, and `&mut self` keeps two threads from using it at once.
unsafe impl Send for WriteAheadFile {}

impl WriteAheadFile {
    /// Opens the write-ahead log at `path`. It is there for as long as its database is open.
    pub(crate) fn open(path: &Path) -> io::Result<WriteAheadFile> {
        let name = CString::new(path.as_os_str().as_encoded_bytes())?;
        // SAFETY: a null name asks for the default file system, which is never freed.
        let vfs: *mut sqlite3_vfs = unsafe { ffi::sqlite3_vfs_find(ptr::null()) };
        if vfs.is_null() {
            return Err(io::Error::other("SQLite has no file system"));
        }
        // SAFETY: it is not null, and its size never changes.
        let size = usize::try_from(unsafe { (*vfs).szOsFile }).map_err(io::Error::other)?;
        let mut file = vec![0_u64; size.div_ceil(size_of::<u64>())].into_boxed_slice();
        let (at, flags) =
            (file.as_mut_ptr().cast::<sqlite3_file>(), ffi::SQLITE_OPEN_READWRITE | ffi::SQLITE_OPEN_WAL);
        // SAFETY: `file` is as long as the file system asks for; `name` ends with a null byte and lives as long as the
        // file; both stay where they are on the heap when the struct is moved.
        let done = unsafe { (*vfs).xOpen.map(|open| open(vfs, name.as_ptr(), at, flags, ptr::null_mut())) };
        match done {
            Some(ffi::SQLITE_OK) => Ok(WriteAheadFile { file, _name: name }),
            _ => Err(io::Error::other(format!("{} can't be opened to be synced", path.display()))),
        }
    }

    /// Returns when all that was written to it, by whomever, is on the disk.
    pub(crate) fn sync(&mut self) -> Result<(), ffi::Error> {
        let file = self.file.as_mut_ptr().cast::<sqlite3_file>();
        // SAFETY: an open file has methods until it is closed, which `drop` alone does.
        let done = unsafe { (*(*file).pMethods).xSync.map(|sync| sync(file, ffi::SQLITE_SYNC_NORMAL)) };
        match done.unwrap_or(ffi::SQLITE_IOERR_FSYNC) {
            ffi::SQLITE_OK => Ok(()),
            code => Err(ffi::Error::new(code)),
        }
    }
}

impl Drop for WriteAheadFile {
    fn drop(&mut self) {
        let file = self.file.as_mut_ptr().cast::<sqlite3_file>();
        // SAFETY: the file is open, and nothing uses it after this.
        let _: Option<c_int> = unsafe { (*(*file).pMethods).xClose.map(|close| close(file)) };
    }
}

impl fmt::Debug for WriteAheadFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WriteAheadFile").finish_non_exhaustive()
    }
}

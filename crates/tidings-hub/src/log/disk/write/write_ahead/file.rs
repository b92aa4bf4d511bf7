//! The file of the write-ahead log, opened once more to be synced.
//!
//! SQLite syncs it within a commit, and nobody can write meanwhile. Through a file of its own, what is committed is
//! synced while the next commit is being written. It goes through SQLite's file system, so that a sync is the same for
//! both.
#![expect(unsafe_code, reason = "SQLite's file system is a table of C functions")]

use std::{
    ffi::{CString, c_int, c_void},
    fmt, io,
    path::Path,
    ptr,
};

use rusqlite::{
    Connection,
    ffi::{self, sqlite3_file, sqlite3_vfs},
};

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
            _ => Err(io::Error::other(format!("{} cannot be opened to be synced", path.display()))),
        }
    }

    /// Returns when all data written to it, by any connection, is on the disk.
    pub(crate) fn sync(&mut self) -> Result<(), ffi::Error> {
        let file = self.file.as_mut_ptr().cast::<sqlite3_file>();
        // SAFETY: it is open until `drop` closes it.
        unsafe { sync(file) }
    }
}

/// Returns when all data copied into the database of `connection`, by any connection, is on the disk.
///
/// SQLite syncs it when it has copied all that there is, and not when somebody has written more meanwhile.
pub(crate) fn sync_database(connection: &Connection) -> rusqlite::Result<()> {
    let mut file: *mut sqlite3_file = ptr::null_mut();
    let at: *mut *mut sqlite3_file = &raw mut file;
    // SAFETY: the connection is open, its main database has that name, and the answer is a pointer to its file.
    let done = unsafe {
        ffi::sqlite3_file_control(
            connection.handle(),
            c"main".as_ptr(),
            ffi::SQLITE_FCNTL_FILE_POINTER,
            at.cast::<c_void>(),
        )
    };
    let synced = match done {
        // SAFETY: the file is open for as long as the connection, and its methods were null otherwise.
        ffi::SQLITE_OK if !file.is_null() => unsafe { sync(file) },
        ffi::SQLITE_OK => Err(ffi::Error::new(ffi::SQLITE_IOERR_FSYNC)),
        code => Err(ffi::Error::new(code)),
    };
    synced.map_err(|error| rusqlite::Error::SqliteFailure(error, None))
}

/// Syncs a file of SQLite's.
///
/// # Safety
///
/// The file is open, and nobody closes it meanwhile.
unsafe fn sync(file: *mut sqlite3_file) -> Result<(), ffi::Error> {
    // SAFETY: an open file has methods until it is closed.
    let done = unsafe { (*(*file).pMethods).xSync.map(|sync| sync(file, ffi::SQLITE_SYNC_NORMAL)) };
    match done.unwrap_or(ffi::SQLITE_IOERR_FSYNC) {
        ffi::SQLITE_OK => Ok(()),
        code => Err(ffi::Error::new(code)),
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

//! SQLite's door to the file system, with somebody standing in it: each write, truncation, sync and deletion in a
//! directory that has a [`Medium`] is told to it, and happens only if it agrees.
//!
//! This is the one place of these tests that speaks to C.
#![expect(unsafe_code, reason = "SQLite calls its file system through tables of C functions")]

use std::{
    ffi::{CStr, OsStr, c_char, c_int, c_void},
    os::unix::ffi::OsStrExt,
    path::Path,
    ptr, slice,
    sync::{Arc, OnceLock},
};

use rusqlite::ffi::{
    SQLITE_IOERR_DELETE, SQLITE_OK, SQLITE_OPEN_CREATE, SQLITE_OPEN_MAIN_JOURNAL, SQLITE_OPEN_WAL,
    sqlite3_file, sqlite3_io_methods, sqlite3_vfs, sqlite3_vfs_find, sqlite3_vfs_register,
};

use super::medium::{Medium, Verdict};

/// Makes every connection of this process that is opened from now on go through here.
pub(crate) fn install() {
    default_vfs();
}

/// The file system that SQLite would have used.
struct Default(*mut sqlite3_vfs);

// SAFETY: SQLite's own file systems are tables that never change, and may be used by all threads.
unsafe impl Send for Default {}
// SAFETY: as above.
unsafe impl Sync for Default {}

fn default_vfs() -> *mut sqlite3_vfs {
    static DEFAULT: OnceLock<Default> = OnceLock::new();
    DEFAULT
        .get_or_init(|| {
            // SAFETY: a null name asks for the default, which is there in every build for an operating system and is
            // never freed. The copy differs from it in its name, its files' size, and two functions, which call the
            // original; it is leaked, since SQLite keeps the pointer.
            unsafe {
                let default = sqlite3_vfs_find(ptr::null());
                let mut vfs = ptr::read(default);
                vfs.zName = c"watched".as_ptr();
                vfs.szOsFile += size_of::<Watched>() as c_int;
                vfs.xOpen = Some(open);
                vfs.xDelete = Some(delete);
                let registered = sqlite3_vfs_register(Box::leak(Box::new(vfs)), 1);
                assert_eq!(registered, SQLITE_OK);
                Default(default)
            }
        })
        .0
}

/// An open file: SQLite allocates this and, right after it, the file of the original file system.
#[repr(C)]
struct Watched {
    base: sqlite3_file,
    position: *mut Position,
    /// Whether its next sync is one of the directory too, as for each journal that SQLite opens and may create. A number, for
    /// the alignment of the file after it.
    syncs_directory: u64,
}

/// Where a file is. None for a directory without a medium, and for SQLite's nameless temporary files.
type Position = Option<(Arc<Medium>, String)>;

const _: () = assert!(size_of::<Watched>() % 8 == 0, "the file behind it needs the same alignment");

/// The original's file after `file`.
///
/// # Safety
/// `file` is one that SQLite allocated for this file system.
unsafe fn inner(file: *mut sqlite3_file) -> *mut sqlite3_file {
    // SAFETY: the allocation has `szOsFile` bytes: ours, then the original's.
    unsafe { file.cast::<Watched>().add(1).cast() }
}

/// # Safety
/// `file` is one that `open` has opened and `close` has not closed.
unsafe fn position<'a>(file: *mut sqlite3_file) -> &'a Position {
    // SAFETY: `open` has put a box's pointer there, which `close` frees.
    unsafe { &*(*file.cast::<Watched>()).position }
}

/// Calls a method of the original's file after `$file`.
macro_rules! pass {
    ($file:expr, $method:ident $(, $argument:expr)*) => {{
        let inner = inner($file);
        ((*(*inner).pMethods).$method.expect("files have all methods"))(inner $(, $argument)*)
    }};
}

/// # Safety
/// `name` is null or ends with a null byte.
unsafe fn find(name: *const c_char) -> Position {
    if name.is_null() {
        return None;
    }
    // SAFETY: the caller says so.
    let path = Path::new(OsStr::from_bytes(unsafe { CStr::from_ptr(name) }.to_bytes()));
    Some((Medium::of(path.parent()?)?, path.file_name()?.to_str()?.to_owned()))
}

// SAFETY, of all functions below: SQLite calls them as its manual says, with files that it has allocated for this file
// system and opened with `open`, and with buffers of the length that it names; they hand on what they got.

unsafe extern "C" fn open(
    _: *mut sqlite3_vfs,
    name: *const c_char,
    file: *mut sqlite3_file,
    flags: c_int,
    out_flags: *mut c_int,
) -> c_int {
    let default = default_vfs();
    // SAFETY: see above.
    unsafe {
        (*file).pMethods = ptr::null();
        let position = find(name);
        let created = flags & SQLITE_OPEN_CREATE != 0
            && position.is_some()
            && !Path::new(OsStr::from_bytes(CStr::from_ptr(name).to_bytes())).exists();
        let open = (*default).xOpen.expect("a file system opens files");
        let done = open(default, name, inner(file), flags, out_flags);
        if done != SQLITE_OK {
            return done;
        }
        match &position {
            Some((medium, name)) if created => medium.created(name),
            Some((medium, name)) => medium.opened(name),
            None => {}
        }
        (*file.cast::<Watched>()).position = Box::into_raw(Box::new(position));
        let is_journal = flags & (SQLITE_OPEN_MAIN_JOURNAL | SQLITE_OPEN_WAL) != 0;
        (*file.cast::<Watched>()).syncs_directory = u64::from(is_journal && flags & SQLITE_OPEN_CREATE != 0);
        (*file).pMethods = &METHODS;
    }
    SQLITE_OK
}

unsafe extern "C" fn delete(_: *mut sqlite3_vfs, name: *const c_char, sync_directory: c_int) -> c_int {
    let default = default_vfs();
    // SAFETY: see above.
    unsafe {
        if let Some((medium, name)) = find(name) {
            if !medium.deletes(&name, sync_directory != 0) {
                return SQLITE_IOERR_DELETE;
            }
        }
        // Nothing is ever synced for real: what survives is the medium's to say.
        ((*default).xDelete.expect("a file system deletes files"))(default, name, 0)
    }
}

unsafe extern "C" fn close(file: *mut sqlite3_file) -> c_int {
    // SAFETY: see above; nothing uses the box after this.
    unsafe {
        drop(Box::from_raw((*file.cast::<Watched>()).position));
        pass!(file, xClose)
    }
}

unsafe extern "C" fn write(
    file: *mut sqlite3_file,
    data: *const c_void,
    length: c_int,
    offset: i64,
) -> c_int {
    // SAFETY: see above.
    unsafe {
        let Some((medium, name)) = position(file) else { return pass!(file, xWrite, data, length, offset) };
        let bytes = slice::from_raw_parts(data.cast::<u8>(), length as usize);
        match medium.writes(name, offset as usize, bytes) {
            Verdict::Done => pass!(file, xWrite, data, length, offset),
            Verdict::Failed { code, done_bytes } => {
                // A write that fails may have been done in part.
                if done_bytes > 0 {
                    pass!(file, xWrite, data, done_bytes as c_int, offset);
                }
                code
            }
        }
    }
}

unsafe extern "C" fn truncate(file: *mut sqlite3_file, size: i64) -> c_int {
    // SAFETY: see above.
    unsafe {
        match position(file).as_ref().map(|(medium, name)| medium.truncates(name, size as usize)) {
            Some(Verdict::Failed { code, .. }) => code,
            _ => pass!(file, xTruncate, size),
        }
    }
}

unsafe extern "C" fn sync(file: *mut sqlite3_file, flags: c_int) -> c_int {
    // SAFETY: see above.
    unsafe {
        match position(file).as_ref().map(|(medium, name)| medium.syncs(name)) {
            Some(Verdict::Done) => {
                let watched = file.cast::<Watched>();
                if let (Some((medium, _)), 1) = (position(file), (*watched).syncs_directory) {
                    (*watched).syncs_directory = 0;
                    medium.syncs_directory();
                }
                SQLITE_OK
            }
            Some(Verdict::Failed { code, .. }) => code,
            None => pass!(file, xSync, flags),
        }
    }
}

/// Methods that only hand on what they got.
macro_rules! pass_on {
    ($($name:ident = $method:ident($($argument:ident: $type:ty),*) $(-> $result:ty)?;)*) => {
        $(unsafe extern "C" fn $name(file: *mut sqlite3_file $(, $argument: $type)*) $(-> $result)? {
            // SAFETY: see above.
            unsafe { pass!(file, $method $(, $argument)*) }
        })*
    };
}

pass_on! {
    read = xRead(data: *mut c_void, length: c_int, offset: i64) -> c_int;
    file_size = xFileSize(size: *mut i64) -> c_int;
    lock = xLock(level: c_int) -> c_int;
    unlock = xUnlock(level: c_int) -> c_int;
    check_reserved_lock = xCheckReservedLock(reserved: *mut c_int) -> c_int;
    file_control = xFileControl(operation: c_int, argument: *mut c_void) -> c_int;
    sector_size = xSectorSize() -> c_int;
    device_characteristics = xDeviceCharacteristics() -> c_int;
    shm_map = xShmMap(page: c_int, size: c_int, extend: c_int, at: *mut *mut c_void) -> c_int;
    shm_lock = xShmLock(offset: c_int, count: c_int, flags: c_int) -> c_int;
    shm_barrier = xShmBarrier();
    shm_unmap = xShmUnmap(delete: c_int) -> c_int;
}

/// Version 2: without memory-mapped reading, which SQLite can do without.
static METHODS: sqlite3_io_methods = sqlite3_io_methods {
    iVersion: 2,
    xClose: Some(close),
    xRead: Some(read),
    xWrite: Some(write),
    xTruncate: Some(truncate),
    xSync: Some(sync),
    xFileSize: Some(file_size),
    xLock: Some(lock),
    xUnlock: Some(unlock),
    xCheckReservedLock: Some(check_reserved_lock),
    xFileControl: Some(file_control),
    xSectorSize: Some(sector_size),
    xDeviceCharacteristics: Some(device_characteristics),
    xShmMap: Some(shm_map),
    xShmLock: Some(shm_lock),
    xShmBarrier: Some(shm_barrier),
    xShmUnmap: Some(shm_unmap),
    xFetch: None,
    xUnfetch: None,
};

//! The records of a log in memory take no more memory than its limit says.
#![expect(unsafe_code, reason = "GlobalAlloc is an unsafe trait; every call goes to System as it came")]

use std::{
    alloc::{GlobalAlloc, Layout, System},
    sync::atomic::{AtomicUsize, Ordering},
};

use tidings_hub::{
    Topic, Update, UpdateId,
    log::{Append, IdempotencyKey, Limits, Log, MemoryLog, Retention},
};

/// How many bytes are allocated.
static ALLOCATED: AtomicUsize = AtomicUsize::new(0);

struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

// SAFETY: every method passes its arguments to System unchanged, which upholds the contract.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATED.fetch_add(layout.size(), Ordering::Relaxed);
        // SAFETY: as above.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        ALLOCATED.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: as above.
        unsafe { System.dealloc(ptr, layout) }
    }
}

const LIMIT: usize = 4 << 20;

/// A number as text of as many bytes.
fn long(number: usize, bytes: usize) -> String {
    format!("{number:0bytes$}")
}

/// The `number`th update of some kind, with its key.
type Make = fn(usize) -> Append;

fn topic(text: &str) -> Topic {
    Topic::parse(text).expect("a topic of the test is valid")
}

fn update(name: String, data: usize) -> Update {
    Update::new(topic(&name), long(0, data))
}

fn with_id(update: Update, id: String) -> Update {
    update.with_id(UpdateId::parse(&id).expect("an ID of the test is valid"))
}

fn keyed(update: Update, key: &str) -> Append {
    Append {
        key: Some(IdempotencyKey::parse(key).expect("a key of the test is valid")),
        ..Append::from(update)
    }
}

/// Each kind fills the log several times over, so that all is in it that it remembers.
const KINDS: &[(&str, usize, Make)] = &[
    ("one topic", 25_000, |_| update("t".into(), 10).into()),
    ("large data", 2_500, |_| update("t".into(), 10_000).into()),
    ("a topic each", 37_500, |number| update(number.to_string(), 10).into()),
    ("a long topic each", 15_000, |number| update(long(number, 1024), 10).into()),
    ("a key each", 25_000, |number| keyed(update("t".into(), 10), &number.to_string())),
    ("a long key each", 20_000, |number| keyed(update("t".into(), 10), &long(number, 255))),
    ("an ID each", 25_000, |number| with_id(update("t".into(), 10), number.to_string()).into()),
    ("a long ID each", 20_000, |number| with_id(update("t".into(), 10), long(number, 255)).into()),
    ("all of it long, each", 12_500, |number| {
        keyed(with_id(update(long(number, 1024), 10), long(number, 255)), &long(number, 255))
    }),
    ("one ID in a topic each", 25_000, |number| with_id(update(number.to_string(), 10), "id".into()).into()),
    ("closes", 37_500, |number| Update::close(topic(&number.to_string()), "over").into()),
    ("closes for a long reason", 1_250, |number| {
        Update::close(topic(&number.to_string()), long(0, 20_000)).into()
    }),
];

#[tokio::test]
async fn what_is_held_takes_no_more_than_the_limit() {
    let mut wrong = Vec::new();
    for (kind, count, make) in KINDS {
        let limits = Limits { bytes: LIMIT as u64, ..Limits::default() };
        let before = ALLOCATED.load(Ordering::Relaxed);
        let log = MemoryLog::new(Retention { limits, ..Retention::in_memory() });
        let (mut taken, mut most) = (0, 0);
        for first in (0..*count).step_by(50) {
            log.append((first..first + 50).map(make).collect()).await.unwrap();
            // A table that has just grown is emptier than later.
            taken = ALLOCATED.load(Ordering::Relaxed) - before;
            most = taken.max(most);
        }
        assert!(log.bounds().oldest > 1, "{kind}: nothing was evicted");
        // And the limit is used.
        if most > LIMIT || taken < LIMIT / 3 {
            wrong.push((kind, taken, most));
        }
    }
    assert!(wrong.is_empty(), "of {LIMIT} bytes are taken: {wrong:?}");
}

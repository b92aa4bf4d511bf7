//! What the fuzz targets promise, over the inputs kept in `fuzz/corpus`. How to look for more: `fuzz/README.md`.

#[path = "../../../fuzz/promises.rs"]
mod promises;

use std::fs;
use std::path::Path;

/// Runs `promise` over the corpus of the target of that name.
fn replay(target: &str, promise: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(target);
    let files = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut count = 0;
    for file in files {
        let path = file.expect("a corpus is a readable folder").path();
        // Shown only if the promise is broken.
        println!("{}", path.display());
        promise(&fs::read(&path).expect("an input is a readable file"));
        count += 1;
    }
    assert!(count >= 15, "only {count} inputs in {}", folder.display());
}

#[test]
fn decoding_never_panics() {
    replay("decode", promises::decode);
}

#[test]
fn any_chunking_gives_the_same_items() {
    replay("chunks", promises::chunks);
}

#[test]
fn decoding_an_encoded_event_gives_the_event() {
    replay("round_trip", promises::round_trip);
}

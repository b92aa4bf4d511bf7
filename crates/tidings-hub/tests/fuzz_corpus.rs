//! What holds for every input of a hub, over the inputs kept in `fuzz/corpus`. How to look for more: `fuzz/README.md`.

use std::{fs, path::Path};

use tidings_hub::fuzzing;

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
    assert!(count >= 12, "only {count} inputs in {}", folder.display());
}

#[test]
fn a_line_of_ndjson_is_what_it_says_however_it_is_cut() {
    replay("ndjson", fuzzing::ndjson);
}

#[test]
fn topics_and_patterns_match_what_their_text_says() {
    replay("topics", fuzzing::topics_and_patterns);
}

#[test]
fn what_a_request_publishes_reads_back_and_what_is_refused_says_why() {
    replay("request", fuzzing::request);
}

#[test]
fn a_range_is_within_the_file() {
    replay("ranges", fuzzing::ranges);
}

#[test]
fn a_damaged_log_gives_no_record_that_was_not_appended() {
    replay("database", fuzzing::database);
}

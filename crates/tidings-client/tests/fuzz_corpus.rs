//! What holds for every answer of a server, over the inputs kept in `fuzz/corpus`. How to look for more: `fuzz/README.md`.

use std::{fs, path::Path};

#[test]
fn reading_a_response_ends_and_keeps_its_limits_however_it_is_cut() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/response");
    let files = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut count = 0;
    for file in files {
        let path = file.expect("a corpus is a readable folder").path();
        // Shown only if the promise is broken.
        println!("{}", path.display());
        tidings_client::fuzzing::response(&fs::read(&path).expect("an input is a readable file"));
        count += 1;
    }
    assert!(count >= 15, "only {count} inputs in {}", folder.display());
}

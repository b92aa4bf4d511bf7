//! Runs promises over the inputs kept in `corpus/`, without a fuzzer.

use std::{fs, path::Path};

/// Runs `promise` over the corpus of the target of that name, which has at least so many inputs.
pub(crate) fn replay(target: &str, least: usize, promise: fn(&[u8])) {
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
    assert!(count >= least, "only {count} inputs in {}", folder.display());
}

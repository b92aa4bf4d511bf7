//! The promises of the fuzz targets, tested with the inputs in `fuzz/corpus`. For new inputs see `fuzz/README.md`.

#[path = "../../../fuzz/promises.rs"]
mod promises;
#[path = "../../../fuzz/replay.rs"]
mod replay;

use replay::replay;

#[test]
fn decoding_never_panics() {
    replay("decode", 15, promises::decode);
}

#[test]
fn any_chunking_gives_the_same_items() {
    replay("chunks", 15, promises::chunks);
}

#[test]
fn decoding_an_encoded_event_gives_the_event() {
    replay("round_trip", 15, promises::round_trip);
}

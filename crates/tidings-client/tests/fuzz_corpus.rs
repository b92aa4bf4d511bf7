//! The properties of every server response, tested with the inputs in `fuzz/corpus`. For new inputs see
//! `fuzz/README.md`.

#[path = "../../../fuzz/replay.rs"]
mod replay;

use replay::replay;

#[test]
fn reading_a_response_ends_and_keeps_its_limits_however_it_is_cut() {
    replay("response", 15, tidings_client::fuzzing::response);
}

//! Promises for every input of a hub, over the inputs kept in `fuzz/corpus`. How to look for more: `fuzz/README.md`.

#[path = "../../../fuzz/replay.rs"]
mod replay;

use replay::replay;
use tidings_hub::fuzzing;

#[test]
fn a_line_of_ndjson_is_what_it_says_however_it_is_cut() {
    replay("ndjson", 12, fuzzing::ndjson);
}

#[test]
fn topics_and_patterns_match_what_their_text_says() {
    replay("topics", 12, fuzzing::topics_and_patterns);
}

#[test]
fn what_a_request_publishes_reads_back_and_what_is_refused_says_why() {
    replay("request", 12, fuzzing::request);
}

#[test]
fn a_range_is_within_the_file() {
    replay("ranges", 12, fuzzing::ranges);
}

#[cfg(feature = "access-file")]
#[test]
fn an_access_file_is_used_or_refused_with_a_line_and_its_rules_keep_their_word() {
    replay("access", 12, fuzzing::access_files);
}

#[test]
fn a_damaged_log_gives_no_record_that_was_not_appended() {
    replay("database", 12, fuzzing::database);
}

#[test]
fn a_token_is_always_judged_alike_and_accepted_only_if_it_is_signed() {
    replay("tokens", 12, fuzzing::tokens);
}

#[test]
fn keys_of_any_form_are_read_or_refused_and_accept_nothing_that_is_not_signed() {
    replay("keys", 12, fuzzing::keys);
}

//! The rules of "Parsing an event stream" and "Interpreting an event stream", one test each.
//!
//! Every stream is read whole, byte by byte and in twos.

mod shown;

use shown::{items, items_in_chunks};
use tidings_codec::{Decoder, EventId, Item};

/// The items without the closing line about the decoder's state.
fn read(stream: impl AsRef<[u8]>) -> Vec<String> {
    without_state(items(&Decoder::new(), stream.as_ref()))
}

fn read_strict(stream: impl AsRef<[u8]>) -> Vec<String> {
    without_state(items(&Decoder::strict(), stream.as_ref()))
}

fn without_state(items: Vec<String>) -> Vec<String> {
    items.into_iter().filter(|line| !line.starts_with("id=")).collect()
}

#[test]
fn one_leading_byte_order_mark_is_dropped() {
    assert_eq!(read("\u{FEFF}data: a\n\n"), [r#"message: "a" last id """#]);
    assert_eq!(read("\u{FEFF}\u{FEFF}data: a\n\ndata: b\n\n"), [r#"message: "b" last id """#]);
    assert_eq!(read("data: a\n\n\u{FEFF}data: b\n\n"), [r#"message: "a" last id """#]);
    assert_eq!(read(b"\xEF\xBBdata: a\ndata: b\n\n"), [r#"message: "b" last id """#]);
    assert_eq!(read("\u{FEFF}\n\n:x\n"), [r#"comment "x""#]);
}

#[test]
fn cr_lf_and_crlf_end_a_line() {
    let expected = [r#"message: "a\nb" last id """#, r#"message: "c" last id """#];
    for end in ["\n", "\r", "\r\n"] {
        assert_eq!(read("data: a|data: b||data: c||".replace('|', end)), expected);
    }
    assert_eq!(read("data: a\rdata: b\r\n\ndata: c\n\r\n"), expected);
}

#[test]
fn a_cr_that_ends_a_chunk_dispatches_at_once_and_its_lf_is_swallowed() {
    let mut decoder = Decoder::new();
    let mut input: &[u8] = b"data: a\r\n\r";
    assert!(decoder.decode(&mut input).is_some());
    let mut input: &[u8] = b"\ndata: b\r\n\r\n";
    assert!(decoder.decode(&mut input).is_some());
    assert!(decoder.decode(&mut input).is_none());
    assert_eq!(decoder.line(), 5);
}

#[test]
fn a_field_without_a_colon_has_an_empty_value() {
    assert_eq!(read("data\n\n"), [r#"message: "" last id """#]);
    assert_eq!(read("data\ndata\n\n"), [r#"message: "\n" last id """#]);
    assert_eq!(read("event: a\nevent\ndata\n\n"), [r#"message: "" last id """#]);
    assert_eq!(read("id: 1\n\nid\n\n"), [r#"last id "1""#, r#"last id """#]);
}

#[test]
fn one_space_after_the_colon_is_dropped() {
    assert_eq!(
        read("data:a\n\ndata: a\n\ndata:  a\n\ndata:\ta\n\n"),
        [
            r#"message: "a" last id """#,
            r#"message: "a" last id """#,
            r#"message: " a" last id """#,
            r#"message: "\ta" last id """#,
        ]
    );
}

#[test]
fn field_names_are_exact() {
    assert_eq!(read("Data: a\n data: a\ndata : a\ndatax: a\ndat: a\n\n"), [""; 0]);
}

#[test]
fn empty_data_is_an_event_and_no_data_is_none() {
    assert_eq!(read("data:\n\n"), [r#"message: "" last id """#]);
    assert_eq!(read("event: x\n\n\n\n"), [""; 0]);
}

#[test]
fn the_event_type_is_that_of_its_own_block() {
    assert_eq!(
        read("event: a\n\ndata: x\n\nevent: b\nevent: c\ndata: y\n\n"),
        [r#"message: "x" last id """#, r#"c: "y" last id """#]
    );
}

#[test]
fn an_id_stays_until_the_next_and_is_taken_at_the_blank_line() {
    assert_eq!(
        read("id: 1\ndata: a\n\ndata: b\n\nid: 2\n\nid:\ndata: c\n\n"),
        [
            r#"message: "a" sets id "1" last id "1""#,
            r#"message: "b" last id "1""#,
            r#"last id "2""#,
            r#"message: "c" sets id "" last id """#,
        ]
    );
    let mut decoder = Decoder::new();
    let mut input: &[u8] = b"id: 1\n";
    assert!(decoder.decode(&mut input).is_none());
    assert_eq!(decoder.last_event_id(), "");
}

#[test]
fn an_id_with_nul_is_ignored() {
    assert_eq!(read("id: 1\nid: 2\0\ndata: a\n\n"), [r#"message: "a" sets id "1" last id "1""#]);
    assert_eq!(read("id: \0\ndata: a\n\n"), [r#"message: "a" last id """#]);
}

#[test]
fn retry_is_digits_only_and_takes_effect_at_once() {
    assert_eq!(read("retry: 0\n"), ["retry 0"]);
    assert_eq!(
        read("retry:7\ndata: a\nretry: 08\n\n"),
        ["retry 7", "retry 8", r#"message: "a" retry 8 last id """#]
    );
    assert_eq!(
        read("retry\nretry:\nretry: +1\nretry: -1\nretry: 1.5\nretry:  1\nretry: 1 \nretry: ١\n"),
        [""; 0]
    );
    assert_eq!(read("retry: 18446744073709551616\n"), ["retry 18446744073709551615"]);
    assert_eq!(read("retry: 99999999999999999999999999\n"), ["retry 18446744073709551615"]);
}

#[test]
fn comments_are_told_and_change_nothing() {
    assert_eq!(
        read(":\n: a\n:b\ndata: x\n:  c\ndata: y\n\n"),
        [
            r#"comment """#,
            r#"comment "a""#,
            r#"comment "b""#,
            r#"comment " c""#,
            r#"message: "x\ny" last id """#
        ]
    );
}

#[test]
fn unknown_fields_are_ignored_unless_asked_for() {
    let stream = "topic: a\ndata: x\ntopic\nt\u{E9}:  b:c\n\n";
    assert_eq!(read(stream), [r#"message: "x" last id """#]);
    let asked = Decoder::new().with_unknown_fields(true);
    let expected = [
        r#"unknown "topic"="a""#,
        r#"unknown "topic"="""#,
        r#"unknown "té"=" b:c""#,
        r#"message: "x" last id """#,
    ];
    assert_eq!(without_state(items(&asked, stream.as_bytes())), expected);
    let strict = Decoder::strict().with_unknown_fields(true);
    assert_eq!(without_state(items(&strict, stream.as_bytes())), expected);
}

#[test]
fn each_maximal_ill_formed_part_becomes_one_replacement_character() {
    // The Unicode Standard, section 3.9, table 3-8 to 3-11, and sequences cut by the line end.
    for (bytes, text) in [
        (
            &b"\xC0\xAF\xE0\x80\xBF\xF0\x81\x82\x41"[..],
            "\u{FFFD}\u{FFFD}\u{FFFD}\u{FFFD}\u{FFFD}\u{FFFD}\u{FFFD}\u{FFFD}A",
        ),
        (
            b"\xED\xA0\x80\xED\xBF\xBF\xED\xAF\x41",
            "\u{FFFD}\u{FFFD}\u{FFFD}\u{FFFD}\u{FFFD}\u{FFFD}\u{FFFD}\u{FFFD}A",
        ),
        (
            b"\xF4\x91\x92\x93\xFF\x41\x80\xBF\x42",
            "\u{FFFD}\u{FFFD}\u{FFFD}\u{FFFD}\u{FFFD}A\u{FFFD}\u{FFFD}B",
        ),
        (b"\xE1\x80\xE2\xF0\x91\x92\xF1\xBF\x41", "\u{FFFD}\u{FFFD}\u{FFFD}\u{FFFD}A"),
        (b"\xF0\x9F\x98", "\u{FFFD}"),
        ("\u{1F600}é€".as_bytes(), "\u{1F600}é€"),
    ] {
        let event = [b"data: ", bytes, b"\ndata: z\n\n"].concat();
        assert_eq!(read(event), [format!("message: {:?} last id \"\"", format!("{text}\nz"))]);
        let fields = [b"event: ", bytes, b"\nid: ", bytes, b"\ndata: z\n\n: ", bytes, b"\n"].concat();
        assert_eq!(
            read(fields),
            [format!("{text}: \"z\" sets id {text:?} last id {text:?}"), format!("comment {text:?}")]
        );
    }
}

#[test]
fn an_event_that_the_end_cuts_is_discarded_and_reported() {
    assert_eq!(
        read("data: a\n\ndata: b"),
        [
            r#"message: "a" last id """#,
            "cut: stream ends inside line 3; a line without a line end is discarded"
        ]
    );
    assert_eq!(
        read("data: a\nid: 3\n"),
        ["cut: stream ends before line 3; an event without its blank line is discarded"]
    );
    assert_eq!(read(b"\xEF\xBB"), ["cut: stream ends inside line 1; a line without a line end is discarded"]);
    for whole in ["", "\u{FEFF}", ": ping\n", "retry: 1\n", "data: a\r\n\r\n"] {
        assert!(!read(whole).concat().contains("cut"), "{whole:?}");
    }
}

#[test]
fn a_new_stream_keeps_the_last_event_id_and_nothing_else() {
    let mut decoder = Decoder::new();
    decoder.set_last_event_id(EventId::parse("0").unwrap());
    let mut input: &[u8] = b"data: a\n\nid: 1\n\nid: 2\nevent: x\ndata: cut\ndat";
    while decoder.decode(&mut input).is_some() {}
    decoder.reset();
    assert_eq!(
        items_in_chunks(decoder, "\u{FEFF}data: b\n\n".as_bytes(), 99),
        [r#"message: "b" last id "1""#, r#"id="1" line=3"#]
    );
}

#[test]
fn a_limit_is_one_error_and_reading_goes_on_after_the_next_blank_line() {
    let decoder = Decoder::new().with_max_line_bytes(12).with_max_event_bytes(6).with_max_id_bytes(2);
    let read = |stream: &str| without_state(items(&decoder, stream.as_bytes()));
    assert_eq!(
        read("data: 123456\n\n:2345678901\n\n"),
        [r#"message: "123456" last id """#, r#"comment "2345678901""#]
    );
    assert_eq!(
        read("id: 1\ndata: x\n:234567890123\nid: 2\n:345678901234567890\ndata: y\n\ndata: z\n\n"),
        ["error: line 3 is longer than 12 bytes, the limit of a line", r#"message: "z" last id """#]
    );
    assert_eq!(
        read("data: 12345678901234567890"),
        ["error: line 1 is longer than 12 bytes, the limit of a line"]
    );
    assert_eq!(
        read("data: 123\ndata: 45\n\ndata: 123\ndata: 456\ndata: 456\n\ndata: z\n\n"),
        [
            r#"message: "123\n45" last id """#,
            "error: line 5 makes the event's data longer than 6 bytes, the limit of an event",
            r#"message: "z" last id """#
        ]
    );
}

#[test]
fn an_id_over_its_limit_is_ignored_and_strictly_an_error() {
    let stream = b"id: 12\ndata: a\n\nid: 123\ndata: b\n\ndata: c\n\n";
    let read = |decoder: Decoder| without_state(items(&decoder.with_max_id_bytes(2), stream));
    let first = r#"message: "a" sets id "12" last id "12""#;
    let last = r#"message: "c" last id "12""#;
    assert_eq!(read(Decoder::new()), [first, r#"message: "b" last id "12""#, last]);
    let error = "error: line 4 has an id longer than 2 bytes, the limit of an id: \"123\"…";
    assert_eq!(read(Decoder::strict()), [first, error, last]);
}

#[test]
fn a_block_that_is_skipped_is_skipped_in_the_next_chunk_too() {
    let mut decoder = Decoder::new().with_max_line_bytes(12);
    let mut input: &[u8] = b"data: 1234567\n";
    assert!(matches!(decoder.decode(&mut input), Some(Err(_))));
    assert!(decoder.decode(&mut input).is_none());
    assert_eq!(
        without_state(items_in_chunks(decoder, b"data: a\n\ndata: b\n\n", 99)),
        [r#"message: "b" last id """#]
    );
}

#[test]
fn strict_reports_what_the_standard_forgives_and_skips_the_block() {
    assert_eq!(
        read_strict(b"data: \xFF\nid: 1\n\ndata: a\n\n"),
        [
            "error: line 1 is not UTF-8: \"data: \u{FFFD}\"; an event stream is UTF-8 text",
            r#"message: "a" last id """#
        ]
    );
    assert_eq!(
        read_strict("data: a\nid: 1\0\n\n"),
        [r#"error: line 2 has an id with a NUL: "1\0"; every client ignores such an id"#]
    );
    assert_eq!(
        read_strict(
            "retry: 1s\n\nretry:\n\nretry: 18446744073709551616\n\nretry: 00018446744073709551615\n\n"
        ),
        [
            r#"error: line 1 has retry "1s"; it is a number of milliseconds in ASCII digits, at most 2^64-1"#,
            r#"error: line 3 has retry ""; it is a number of milliseconds in ASCII digits, at most 2^64-1"#,
            r#"error: line 5 has retry "18446744073709551616"; it is a number of milliseconds in ASCII digits, at most 2^64-1"#,
            "retry 18446744073709551615"
        ]
    );
    assert_eq!(
        read_strict("data: a\n\ndta: b\n\n"),
        [
            r#"message: "a" last id """#,
            r#"error: line 3 has the unknown field "dta"; known are data, event, id and retry"#
        ]
    );
    assert_eq!(
        read_strict("id: 1\nevent: a\n\ndata: b\n\n"),
        [
            "error: the block ending at line 3 has an event type but no data; it dispatches nothing",
            r#"message: "b" last id """#
        ]
    );
}

#[test]
fn strict_allows_what_the_grammar_allows() {
    assert_eq!(
        read_strict("\u{FEFF}: hi\n\nretry: 1\n\nid: 1\n\ndata\nevent\n\n"),
        [r#"comment "hi""#, "retry 1", r#"last id "1""#, r#"message: "" last id "1""#]
    );
}

#[test]
fn what_is_unfinished_is_counted_and_its_memory_is_given_back_after_it() {
    let mut decoder = Decoder::strict();
    let mut data = Vec::new();
    let mut read = |decoder: &mut Decoder, mut text: &[u8]| {
        while let Some(item) = decoder.decode(&mut text) {
            if let Item::Event(event) = item.expect("it is clean") {
                data.push(event.data().to_owned());
            }
        }
        decoder.unfinished_bytes()
    };
    for (text, least) in [("data: ", 6), ("abc", 9), ("\n", 3), ("id: 7", 8), ("\n: x", 7), ("yz\n", 4)] {
        let unfinished = read(&mut decoder, text.as_bytes());
        assert!(unfinished >= least, "{unfinished} after {text:?}");
    }
    assert_eq!((read(&mut decoder, b"\n"), read(&mut decoder, b": quiet\n")), (0, 0));
    let large = "x".repeat(100_000);
    for piece in ["data: ", &large, "y"] {
        read(&mut decoder, piece.as_bytes());
        decoder.shrink_to(0);
    }
    assert_eq!(decoder.unfinished_bytes(), 100_007);
    assert_eq!(read(&mut decoder, b"\n\n"), 0);
    decoder.shrink_to(0);
    assert_ne!(read(&mut decoder, b"data: z\n"), 0);
    decoder.shrink_to(0);
    read(&mut decoder, b"\n");
    assert_eq!(data, ["abc", &format!("{large}y"), "z"]);
}

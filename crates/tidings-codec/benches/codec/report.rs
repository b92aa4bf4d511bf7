//! The tables, on the terminal and in the two files that contain them.

use std::fmt::Write;
use std::path::Path;

use crate::contenders::BOUND;
use crate::measure::Measured;

/// The tables in Markdown.
pub(crate) fn tables(decoding: &[Measured], encoding: &[Measured]) -> String {
    let mut out =
        String::from("| decoding | | MB/s | of the bound | ns per event | allocations per event |\n");
    out += "|---|---|--:|--:|--:|--:|\n";
    for measured in decoding {
        for row in &measured.rows {
            let of_bound =
                measured.ratio(row.name, BOUND).map_or(String::new(), |ratio| format!("{ratio:.2}"));
            line(&mut out, measured.workload, row, Some(&of_bound));
        }
    }
    out += "\n| encoding | | MB/s | ns per event | allocations per event |\n|---|---|--:|--:|--:|\n";
    for measured in encoding {
        for row in &measured.rows {
            line(&mut out, measured.workload, row, None);
        }
    }
    // bench/codec.md explains how this place affects the figures for long lines.
    let place = std::str::from_utf8 as fn(&[u8]) -> Result<&str, std::str::Utf8Error> as usize % 64;
    out + &format!(
        "\nIn this binary `str::from_utf8` starts at byte {place} of a line of the instruction cache.\n"
    )
}

fn line(out: &mut String, workload: &str, row: &crate::measure::Row, of_bound: Option<&str>) {
    let of_bound = of_bound.map_or(String::new(), |ratio| format!(" {ratio} |"));
    let (mb, ns, allocations) = (row.mb_per_second, row.ns_per_event, row.allocations_per_event);
    writeln!(out, "| {workload} | {} | {mb:.0} |{of_bound} {ns:.1} | {allocations:.2} |", row.name)
        .expect("writing to a String cannot fail");
}

/// Replaces the tables in `bench/codec.md` and the README.
///
/// # Panics
/// If a file or its markers are missing.
pub(crate) fn write(tables: &str) {
    const START: &str = "<!-- tables: written by `cargo bench -p tidings-codec -- --write` -->\n";
    const END: &str = "<!-- end of tables -->";
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for file in ["../../bench/codec.md", "README.md"] {
        let file = root.join(file);
        let text = std::fs::read_to_string(&file).expect("the file is in the repository");
        let (before, rest) = text.split_once(START).expect("the file has the opening marker");
        let (_, after) = rest.split_once(END).expect("the file has the closing marker");
        std::fs::write(&file, format!("{before}{START}{tables}{END}{after}"))
            .expect("the file can be written");
    }
}

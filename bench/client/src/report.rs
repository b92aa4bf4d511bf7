//! The tables, on the terminal and in the document that shows them.

use std::fmt::Write;
use std::path::Path;

use crate::measure::Measured;

/// The tables in Markdown.
pub(crate) fn tables(measured: &[Measured]) -> String {
    let mut out = String::new();
    for measured in measured {
        let workload = measured.workload;
        writeln!(
            out,
            "| {workload} | CPU, ns per event | above the bound | time, ns per event |\n|---|--:|--:|--:|"
        )
        .expect("writing to a String cannot fail");
        for row in &measured.rows {
            let overhead = row.overhead.map_or("–".to_owned(), |overhead| format!("{overhead:.0}"));
            writeln!(out, "| {} | {:.0} | {overhead} | {:.0} |", row.name, row.cpu, row.wall)
                .expect("writing to a String cannot fail");
        }
        out.push('\n');
    }
    out
}

/// Replaces the tables in `bench/client.md`.
///
/// # Panics
/// If the file or its markers are not there.
pub(crate) fn write(tables: &str) {
    const START: &str = "<!-- tables: written by `--write` -->\n";
    const END: &str = "<!-- end of tables -->";
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../client.md");
    let text = std::fs::read_to_string(&file).expect("the file is in the repository");
    let (before, rest) = text.split_once(START).expect("the file has the opening marker");
    let (_, after) = rest.split_once(END).expect("the file has the closing marker");
    std::fs::write(&file, format!("{before}{START}{}\n{END}{after}", tables.trim_end()))
        .expect("the file can be written");
}

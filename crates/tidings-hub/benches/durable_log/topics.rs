//! Publishing to many topics in turn, as a thousand answers of an LLM do: what is written to the disk for each record,
//! beside a log that writes its index of topics with each commit.

use std::{fs, time::Instant};

use tidings_hub::{
    Topic, Update,
    log::{Append, DiskLog, DiskSettings, Log},
};

use crate::{per_second, runtime};

const TOPICS: u64 = 1_000;
const RECORDS: u64 = 200_000;
const DATA: &str = "data: {\"choices\":[{\"delta\":{\"content\":\" token\"}}]}";

pub(crate) fn run() {
    println!("topics: {RECORDS} updates of {} bytes, to {TOPICS} topics in turn", DATA.len());
    for batch in [1_000, 50] {
        for (name, unlisted_rows) in [("with each commit", Some(0)), ("later", None)] {
            let (rate, bytes) = append(batch, unlisted_rows);
            println!(
                "  {batch:>5} with a commit, indexed {name:<17} {rate:>8.0}/s   {bytes:>6} bytes for each"
            );
        }
    }
}

/// Appends with so many waiting rows of the index; how many a second, and how many bytes are written for each.
fn append(batch: u64, unlisted_rows: Option<usize>) -> (f64, u64) {
    let directory = tempfile::tempdir_in(".").unwrap();
    let mut settings = DiskSettings::default();
    settings.unlisted_rows = unlisted_rows.unwrap_or(settings.unlisted_rows);
    let log = DiskLog::open(directory.path(), settings).unwrap();
    // As random as an answer's topic is: neighbours in time are none in the index.
    let topic = |number: u64| format!("llm/{:016x}", (number % TOPICS).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let update = |number| Append::from(Update::new(Topic::parse(&topic(number)).unwrap(), DATA));
    let (runtime, written, began) = (runtime(), written(), Instant::now());
    for first in (0..RECORDS).step_by(batch as usize) {
        let updates = (first..first + batch).map(update).collect();
        assert_eq!(runtime.block_on(log.append(updates)).unwrap().refused, None);
    }
    let rate = per_second(RECORDS, began.elapsed());
    drop(log);
    (rate, (self::written() - written) / RECORDS)
}

/// How many bytes this process has had the system write to the disk; 0 where the system does not say.
fn written() -> u64 {
    let io = fs::read_to_string("/proc/self/io").unwrap_or_default();
    let bytes = io.lines().find_map(|line| line.strip_prefix("write_bytes: "));
    bytes.map_or(0, |bytes| bytes.parse().unwrap())
}

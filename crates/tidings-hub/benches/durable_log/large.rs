//! A log of millions: memory while it is written and evicted, opening it, resuming in it, and replaying it over HTTP.

use std::{
    fs,
    io::{Read, Write},
    net::TcpStream,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use tidings_hub::{
    Hub, Selector, Settings, StartAt, Subscribe, Topic,
    log::{DiskLog, DiskSettings, HubId, Limits, Log, Retention},
};
use tokio::{net::TcpListener, runtime::Runtime};

use crate::{median, per_second, runtime, update};

const BATCH: u64 = 1_000;
const ROUNDS: usize = 15;
const REPLAYED: u64 = 1_000_000;
const REPLAYS: usize = 5;

pub(crate) fn run(records: u64, wanted: impl Fn(&str) -> bool) {
    let runtime = runtime();
    if wanted("churn") {
        churn(&runtime, records);
    }
    if !["restart", "resume", "replay"].into_iter().any(&wanted) {
        return;
    }
    let directory = tempfile::tempdir_in(".").unwrap();
    fill(&runtime, directory.path(), records);
    if wanted("restart") {
        restart(directory.path(), records);
    }
    if wanted("resume") {
        resume(&runtime, directory.path(), records);
    }
    if wanted("replay") {
        replay(&runtime, directory.path(), records);
    }
}

fn fill(runtime: &Runtime, directory: &Path, records: u64) {
    let log = DiskLog::open(directory, DiskSettings::default()).unwrap();
    let began = Instant::now();
    write(runtime, &log, 0..records);
    println!("{records} records written in {:.1} s, {BATCH} with one append", began.elapsed().as_secs_f64());
}

fn write(runtime: &Runtime, log: &DiskLog, numbers: std::ops::Range<u64>) {
    for first in numbers.step_by(BATCH as usize) {
        let appended = runtime.block_on(log.append((first..first + BATCH).map(update).collect())).unwrap();
        assert_eq!((appended.receipts.len() as u64, appended.refused), (BATCH, None));
    }
}

/// Writes all records into a log that keeps a tenth of them.
fn churn(runtime: &Runtime, records: u64) {
    let directory = tempfile::tempdir_in(".").unwrap();
    let limits = Limits { records: records / 10, ..Limits::default() };
    let log = DiskLog::open(directory.path(), Retention { limits, ..Retention::on_disk() }).unwrap();
    println!("churn: {records} records through a log that keeps {}", records / 10);
    let began = Instant::now();
    for part in 0..10 {
        write(runtime, &log, part * records / 10..(part + 1) * records / 10);
        println!(
            "  {:>3} %: {:>4} MiB of memory, {:>5} MiB of files",
            (part + 1) * 10,
            resident_bytes() >> 20,
            size_of(directory.path()) >> 20
        );
    }
    println!("  {:.0} records a second, written and evicted", per_second(records, began.elapsed()));
}

fn restart(directory: &Path, records: u64) {
    let mut times: Vec<Duration> = (0..5)
        .map(|_| {
            let began = Instant::now();
            let log = DiskLog::open(directory, DiskSettings::default()).unwrap();
            let took = began.elapsed();
            assert_eq!(log.bounds().newest.sequence, records);
            took
        })
        .collect();
    println!("restart: {records} records, open in {:.1} ms", median(&mut times).as_secs_f64() * 1e3);
}

/// From asking for what follows an ID to having the first event, near both ends of the log in turn.
fn resume(runtime: &Runtime, directory: &Path, records: u64) {
    let log = Arc::new(DiskLog::open(directory, DiskSettings::default()).unwrap());
    runtime.block_on(async {
        let hub = Hub::new(log.clone(), Settings::default());
        let epoch = log.bounds().epoch;
        let (mut oldest, mut newest) = (vec![], vec![]);
        for round in 0..ROUNDS as u64 {
            // Just enough before the end for a full first page there too.
            for (after, times) in [(1 + round, &mut oldest), (records - 1_000 - round, &mut newest)] {
                let position = log.record(after).await.unwrap().unwrap().position();
                let start = StartAt::After(HubId { epoch, position }.to_string());
                let selector = Selector::from(Topic::parse("bench/topic").unwrap());
                let began = Instant::now();
                let mut cursor =
                    hub.subscribe(Subscribe { start, ..selector.into() }).await.unwrap().unwrap();
                std::future::poll_fn(|context| {
                    futures_core::Stream::poll_next(std::pin::Pin::new(&mut cursor), context)
                })
                .await
                .unwrap();
                times.push(began.elapsed());
            }
        }
        let (oldest, newest) = (median(&mut oldest).as_secs_f64() * 1e3, median(&mut newest).as_secs_f64() * 1e3);
        println!(
            "resume: first event after the oldest {oldest:.2} ms, after one of the newest {newest:.2} ms, {:.2} times",
            oldest / newest
        );
        hub.shutdown().await;
    });
}

/// Replays over HTTP on loopback to one reader, which only counts.
fn replay(runtime: &Runtime, directory: &Path, records: u64) {
    let replayed = REPLAYED.min(records - 1);
    let log = Arc::new(DiskLog::open(directory, DiskSettings::default()).unwrap());
    runtime.block_on(async {
        let after = records - replayed;
        let position = log.record(after).await.unwrap().unwrap().position();
        let id = HubId { epoch: log.bounds().epoch, position }.to_string();
        let hub = Hub::new(log, Settings::default());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let serving = tokio::spawn({
            let hub = hub.clone();
            async move { hub.serve(listener).await }
        });
        let before = resident_bytes();
        let (mut rates, mut most) = (vec![], 0);
        for _ in 0..REPLAYS {
            let request = format!("GET /topics/bench/topic?from={id} HTTP/1.1\r\nHost: {address}\r\n\r\n");
            let read = move || read_events(TcpStream::connect(address).unwrap(), &request, replayed);
            let (took, resident) = tokio::task::spawn_blocking(read).await.unwrap();
            rates.push(per_second(replayed, took));
            most = most.max(resident);
        }
        println!(
            "replay: {replayed} records to one reader, {:.0} events a second, median of {REPLAYS}; memory {} MiB before, \
             {} MiB at most",
            median(&mut rates),
            before >> 20,
            most >> 20
        );
        hub.shutdown().await;
        serving.await.unwrap();
    });
}

/// Reads a stream until so many events have come; how long that took, and the most memory that this process had meanwhile.
fn read_events(mut socket: TcpStream, request: &str, count: u64) -> (Duration, u64) {
    socket.write_all(request.as_bytes()).unwrap();
    let (mut events, mut before, mut most, mut piece) = (0, 0, 0, vec![0; 1 << 18]);
    let began = Instant::now();
    for number in 0_u64.. {
        let read = socket.read(&mut piece).unwrap();
        assert!(read > 0, "the stream goes on");
        // Each event ends with a blank line, and nothing else has one but the head's and the chunks' CRLF.
        for byte in &piece[..read] {
            events += u64::from(*byte == b'\n' && before == b'\n');
            before = *byte;
        }
        if events >= count {
            break;
        }
        // Asking costs the reader, which shares the machine, as much as a piece.
        if number % 64 == 0 {
            most = most.max(resident_bytes());
        }
    }
    (began.elapsed(), most.max(resident_bytes()))
}

fn resident_bytes() -> u64 {
    let statm = fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4096
}

fn size_of(directory: &Path) -> u64 {
    let files = fs::read_dir(directory).unwrap().map(|file| file.unwrap().metadata().unwrap());
    files.filter(fs::Metadata::is_file).map(|file| file.len()).sum()
}

//! Measures the time that the gateway adds to an answer, and how many answers one core relays.
//!
//!     taskset -c 1 cargo bench -p tidings --bench gateway [-- overhead|answers] [--answers N] [--memory]
//!
//! `overhead` asks the same stand-in for a model directly and through the gateway, both at the same time. `answers` has
//! N answers (1,000) of 50 tokens a second at once, first directly and then through a hub that has core 0 to itself.
//! The hub's history is on disk, each event synced before it is delivered; with `--memory` it is not, which shows what the
//! disk costs.

#![allow(clippy::unwrap_used, reason = "a benchmark that cannot go on ends")]
#![allow(clippy::print_stdout, reason = "that is what it is for")]

mod client;
mod upstream;

use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use client::{Received, ask};
use upstream::Answer;

/// How many pairs of clients ask at a time, how often, and for what.
const LANES: usize = 4;
const ROUNDS: usize = 60;
const SHORT: Answer = Answer { tokens: 25, pace: Duration::from_millis(10) };

const ANSWERS: usize = 1_000;
const LONG: Answer = Answer { tokens: 500, pace: Duration::from_millis(20) };

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let at = arguments.iter().position(|argument| argument == "--answers");
    let count = at.map_or(ANSWERS, |at| arguments[at + 1].parse().expect("--answers takes a number"));
    let memory = arguments.iter().any(|argument| argument == "--memory");
    let names = ["overhead", "answers"];
    let all = !arguments.iter().any(|argument| names.contains(&argument.as_str()));
    let runs = |name: &str| all || arguments.iter().any(|argument| argument == name);
    rlimit::increase_nofile_limit(u64::MAX).unwrap();
    if runs("overhead") {
        overhead(memory).await;
    }
    if runs("answers") {
        answers(count, memory).await;
    }
}

async fn overhead(memory: bool) {
    let epoch = Instant::now();
    let model = upstream::start(SHORT, epoch).await.unwrap();
    let hub = Hub::start(&model, memory);
    let lanes: Vec<_> = (0..LANES)
        .map(|_| {
            let (model, hub) = (model.clone(), hub.address.clone());
            tokio::spawn(async move {
                let (mut direct, mut through) = (Vec::new(), Vec::new());
                for _ in 0..ROUNDS {
                    let (one, other) = tokio::join!(ask(&model, epoch), ask(&hub, epoch));
                    direct.push(one.unwrap());
                    through.push(other.unwrap());
                }
                (direct, through)
            })
        })
        .collect();
    let (mut direct, mut through) = (Vec::new(), Vec::new());
    for lane in lanes {
        let (one, other) = lane.await.unwrap();
        direct.extend(one);
        through.extend(other);
    }
    println!(
        "overhead: {} answers of {} tokens each way, {LANES} pairs at a time",
        direct.len(),
        SHORT.tokens
    );
    println!(
        "{:24} {:>10} {:>10} {:>10} {:>10} {:>10} {:>10}",
        "ms", "direct p50", "p99", "gateway p50", "p99", "more p50", "p99"
    );
    row("to the first token", &direct, &through, |answer| vec![answer.first]);
    row("between tokens", &direct, &through, |answer| answer.gaps.clone());
    row("from sent to received", &direct, &through, |answer| answer.lags.clone());
}

fn row(name: &str, direct: &[Received], through: &[Received], times: impl Fn(&Received) -> Vec<Duration>) {
    let of = |answers: &[Received]| Times::of(answers.iter().flat_map(&times).collect());
    let (direct, through) = (of(direct), of(through));
    let figures = [
        direct.at(50.0),
        direct.at(99.0),
        through.at(50.0),
        through.at(99.0),
        through.at(50.0) - direct.at(50.0),
        through.at(99.0) - direct.at(99.0),
    ];
    let figures: String = figures.iter().map(|figure| format!(" {figure:10.3}")).collect();
    println!("{name:24}{figures}");
}

async fn answers(count: usize, memory: bool) {
    let epoch = Instant::now();
    let model = upstream::start(LONG, epoch).await.unwrap();
    let due = LONG.pace * LONG.tokens;
    println!("{count} answers of {} tokens, one each {:?}: {due:?}", LONG.tokens, LONG.pace);
    relay("direct", &model, count, None, epoch).await;
    let hub = Hub::start(&model, memory);
    relay("through the gateway", &hub.address, count, Some(&hub), epoch).await;
}

/// Asks for all answers, begun over one pace so that their tokens are spread over it.
async fn relay(name: &str, address: &str, count: usize, hub: Option<&Hub>, epoch: Instant) {
    let (cpu, own, began) = (hub.map(|hub| cpu(hub.child.id())), cpu(std::process::id()), Instant::now());
    let asking: Vec<_> = (0..count)
        .map(|number| {
            let address = address.to_owned();
            tokio::spawn(async move {
                // Not all at once: that would measure how fast connections are made.
                tokio::time::sleep(Duration::from_millis(2) * number as u32).await;
                let began = Instant::now();
                (ask(&address, epoch).await, began.elapsed())
            })
        })
        .collect();
    let (mut lags, mut took, mut failed) = (Vec::new(), Vec::new(), 0);
    for answer in asking {
        match answer.await.unwrap() {
            (Ok(answer), time) => {
                assert_eq!(answer.lags.len(), LONG.tokens as usize, "each token comes once");
                lags.extend(answer.lags);
                took.push(time);
            }
            (Err(_), _) => failed += 1,
        }
    }
    let elapsed = began.elapsed();
    let share =
        |now: Duration, before: Duration| 100.0 * (now - before).as_secs_f64() / elapsed.as_secs_f64();
    let (lags, took) = (Times::of(lags), Times::of(took));
    println!(
        "{name}: {:.0} tokens/s, {failed} failed; an answer took {:.2} s (p50), {:.2} s (p99); lag of a token {:.2} ms (p50), \
         {:.2} ms (p99); upstream and clients {:.0} % of a core{}",
        lags.0.len() as f64 / elapsed.as_secs_f64(),
        took.at(50.0) / 1e3,
        took.at(99.0) / 1e3,
        lags.at(50.0),
        lags.at(99.0),
        share(self::cpu(std::process::id()), own),
        match (hub, cpu) {
            (Some(hub), Some(before)) =>
                format!("; the hub {:.0} %", share(self::cpu(hub.child.id()), before)),
            _ => String::new(),
        },
    );
}

/// Durations in order.
struct Times(Vec<Duration>);

impl Times {
    fn of(mut times: Vec<Duration>) -> Times {
        times.sort_unstable();
        Times(times)
    }

    /// A percentile, in milliseconds.
    fn at(&self, percent: f64) -> f64 {
        let index = (self.0.len() as f64 * percent / 100.0) as usize;
        self.0
            .get(index.min(self.0.len().saturating_sub(1)))
            .map_or(f64::NAN, |time| time.as_secs_f64() * 1e3)
    }
}

/// The processor time of a process, which Linux tells in hundredths of a second.
fn cpu(process: u32) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
    let fields = stat.rsplit_once(')').unwrap().1.split_whitespace();
    let ticks: u64 = fields.skip(11).take(2).map(|field| field.parse::<u64>().unwrap()).sum();
    Duration::from_millis(ticks * 10)
}

/// A gateway on core 0.
struct Hub {
    child: Child,
    address: String,
    _data: tempfile::TempDir,
}

impl Hub {
    fn start(model: &str, memory: bool) -> Hub {
        let data = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let mut child = Command::new("taskset")
            .args([
                "-c",
                "0",
                env!("CARGO_BIN_EXE_tidings"),
                "serve",
                "--listen",
                "127.0.0.1:0",
                "--max-streams",
                "2000",
            ])
            .args(["--upstream", &format!("http://{model}")])
            .args(if memory {
                vec!["--memory".into()]
            } else {
                vec!["--data".into(), data.path().as_os_str().to_owned()]
            })
            .stderr(Stdio::piped())
            .spawn()
            .expect("taskset is there");
        let mut stderr = BufReader::new(child.stderr.take().unwrap());
        let address = loop {
            let mut line = String::new();
            assert!(stderr.read_line(&mut line).unwrap() > 0, "the hub says where it listens");
            if let Some((_, url)) = line.split_once("http://127.0.0.1:") {
                let port: String = url.chars().take_while(char::is_ascii_digit).collect();
                break format!("127.0.0.1:{port}");
            }
        };
        std::thread::spawn(move || std::io::copy(&mut stderr, &mut std::io::sink()));
        Hub { child, address, _data: data }
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

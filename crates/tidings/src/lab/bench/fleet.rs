//! The reading processes, as the measuring process sees them.

use std::{
    io::{BufRead, BufReader, Write},
    net::Ipv4Addr,
    process::{Child, ChildStdin, Command, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, bail};

use super::{
    job::{Ask, Job, Report, Say},
    process::Processes,
};

/// File descriptors of a process that are not for subscribers.
const RESERVED: u64 = 64;

/// More connections than this from one address exceed the system's range of ports (28,232 on Linux).
const MAX_PORTS: u64 = 25_000;

/// The time limit for opening all streams. This time is not part of a measurement.
const OPEN_TIMEOUT: Duration = Duration::from_secs(120);

/// Processes that read, each with a part of the subscribers. They end when this is dropped.
pub(super) struct Fleet {
    workers: Vec<Worker>,
    said: mpsc::Receiver<Say>,
}

struct Worker {
    child: Child,
    stdin: ChildStdin,
    /// The number of the process's subscribers.
    subscribers: u32,
}

impl Fleet {
    /// Starts as many processes as `subscribers` need, and at least `processes`.
    pub(super) fn start(subscribers: u32, processes: u32) -> anyhow::Result<Fleet> {
        // A worker raises its own limit, as far as the limit of this process allows.
        let limit = rlimit::increase_nofile_limit(u64::MAX).unwrap_or(1024);
        let most = limit.saturating_sub(RESERVED).clamp(1, MAX_PORTS);
        let needed = u64::from(subscribers).div_ceil(most).max(u64::from(processes));
        let needed = u32::try_from(needed)?.min(subscribers);
        let (sender, said) = mpsc::channel();
        let workers = (0..needed).map(|number| {
            let subscribers = subscribers / needed + u32::from(number < subscribers % needed);
            Worker::start(subscribers, sender.clone())
        });
        Ok(Fleet { workers: workers.collect::<anyhow::Result<_>>()?, said })
    }

    /// Opens the streams of `job`, divided among the processes, and waits until they are open. Returns the time it
    /// took.
    ///
    /// # Errors
    /// A stream cannot be opened, or has already ended.
    pub(super) fn open(&mut self, job: &Job) -> anyhow::Result<Duration> {
        // Linux has all of 127.0.0.0/8. Other systems have one address by default.
        let is_local = cfg!(target_os = "linux") && job.address.is_ipv4() && job.address.ip().is_loopback();
        let mut first = 0;
        let window = (job.window / self.workers.len() as u32).max(1);
        for (number, worker) in (1..).zip(&mut self.workers) {
            let mut job = Job { subscribers: worker.subscribers, first, window, ..job.clone() };
            if number > 1 && is_local {
                job.source = Some(Ipv4Addr::new(127, 0, 0, number));
            }
            first += worker.subscribers;
            worker.ask(&Ask::Open(Box::new(job)))?;
        }
        let mut longest = Duration::ZERO;
        let deadline = Instant::now() + OPEN_TIMEOUT;
        let is_settled = self.collect(deadline, |say| match say {
            Say::Live { nanoseconds } => {
                longest = longest.max(Duration::from_nanos(nanoseconds));
                true
            }
            _ => false,
        })?;
        if !is_settled {
            bail!("not all streams are open after {} s", OPEN_TIMEOUT.as_secs());
        }
        let report = self.report()?;
        if let (false, Some(reason)) = (job.churns, report.reason) {
            bail!(
                "{} of {} streams are open; one of the others failed: {reason}",
                report.connected,
                job.subscribers
            );
        }
        Ok(longest)
    }

    /// Waits until the subscribers have on average this many updates each since the streams were opened. Returns
    /// whether they reached it in time.
    pub(super) fn reach(&mut self, updates: u64, patience: Duration) -> anyhow::Result<bool> {
        for worker in &mut self.workers {
            worker.ask(&Ask::Await(updates * u64::from(worker.subscribers)))?;
        }
        self.collect(Instant::now() + patience, |say| matches!(say, Say::Reached(_)))
    }

    /// Makes the processes forget the latencies so far, and waits until they have.
    pub(super) fn forget_latencies(&mut self) -> anyhow::Result<()> {
        self.workers.iter_mut().try_for_each(|worker| worker.ask(&Ask::ForgetLatencies))?;
        self.report().map(drop)
    }

    pub(super) fn report(&mut self) -> anyhow::Result<Report> {
        for worker in &mut self.workers {
            worker.ask(&Ask::Report)?;
        }
        let mut sum = Report::default();
        let all = self.collect(Instant::now() + OPEN_TIMEOUT, |say| match say {
            Say::Report(report) => {
                sum.add(&report);
                true
            }
            _ => false,
        })?;
        all.then_some(sum).context("a reading process does not answer")
    }

    /// The number of processes.
    pub(super) fn size(&self) -> u32 {
        self.workers.len() as u32
    }

    /// The processes, to see whether they are the bottleneck.
    pub(super) fn processes(&self) -> Processes {
        Processes::new(self.workers.iter().map(|worker| worker.child.id()).collect())
    }

    /// Waits until every process has sent a message that `is_it` accepts. Returns whether all did in time.
    fn collect(&mut self, deadline: Instant, mut is_it: impl FnMut(Say) -> bool) -> anyhow::Result<bool> {
        let mut left = self.workers.len();
        while left > 0 {
            match self.said.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(Say::Failed(reason)) => bail!("a reading process failed: {reason}"),
                Ok(say) => left -= usize::from(is_it(say)),
                Err(_) => return Ok(false),
            }
        }
        Ok(true)
    }
}

impl Worker {
    fn start(subscribers: u32, said: mpsc::Sender<Say>) -> anyhow::Result<Worker> {
        let program = std::env::current_exe().context("the path of this program is unknown")?;
        let mut child = Command::new(program)
            .args(["bench", "worker"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start a reading process")?;
        let stdin = child.stdin.take().context("its input is not a pipe")?;
        let stdout = child.stdout.take().context("its output is not a pipe")?;
        thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                let say = serde_json::from_str(&line).unwrap_or_else(|error| Say::Failed(error.to_string()));
                if said.send(say).is_err() {
                    return;
                }
            }
            let _ = said.send(Say::Failed("it ended".into()));
        });
        Ok(Worker { child, stdin, subscribers })
    }

    fn ask(&mut self, ask: &Ask) -> anyhow::Result<()> {
        let mut line = serde_json::to_vec(ask)?;
        line.push(b'\n');
        self.stdin.write_all(&line).context("a reading process has ended")
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

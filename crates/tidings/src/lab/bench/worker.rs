//! A process that reads streams for another process. It obeys commands on standard input until that ends.

use std::{
    io::{BufRead, Write, stdin, stdout},
    sync::mpsc,
    thread,
    time::Duration,
};

use anyhow::Context;
use mio::{Poll, Token, Waker};

use super::{
    clock::Clock,
    job::{Ask, Job, Say},
    readers::{self, Readers},
};

/// No subscriber has this number.
const ASKED: Token = Token(usize::MAX);

pub(super) fn run() -> anyhow::Result<()> {
    // If the limit cannot be raised, the connections that fail show it.
    let _ = rlimit::increase_nofile_limit(u64::MAX);
    let (mut poll, mut events) = readers::poll().context("cannot wait for sockets")?;
    let waker = Waker::new(poll.registry(), ASKED).context("cannot wait for sockets")?;
    let (sender, asked) = mpsc::channel();
    thread::spawn(move || {
        for line in stdin().lock().lines().map_while(Result::ok) {
            if sender.send(line).is_err() || waker.wake().is_err() {
                return;
            }
        }
        drop(sender);
        // The parent process is gone, so nobody can be told of an error.
        let _ = waker.wake();
    });
    let mut work = Work { clock: Clock::start(), readers: None, began: 0, opening: false, awaited: None };
    loop {
        if let Err(error) = poll.poll(&mut events, None::<Duration>) {
            if error.kind() == std::io::ErrorKind::Interrupted {
                continue;
            }
            return Err(error).context("cannot wait for sockets");
        }
        for event in &events {
            if event.token() != ASKED {
                work.readers.iter_mut().for_each(|readers| readers.ready(event));
            }
        }
        loop {
            match asked.try_recv() {
                Ok(line) => {
                    let ask = serde_json::from_str(&line).context("a command is unknown")?;
                    work.asked(ask, &poll)?;
                }
                Err(mpsc::TryRecvError::Empty) => break,
                Err(mpsc::TryRecvError::Disconnected) => return Ok(()),
            }
        }
        work.tell()?;
    }
}

struct Work {
    clock: Clock,
    readers: Option<Readers>,
    /// The time of the request for the streams.
    began: u64,
    /// Whether the message that they are open is still due.
    opening: bool,
    /// The number of updates that has not been reached yet.
    awaited: Option<u64>,
}

impl Work {
    fn asked(&mut self, ask: Ask, poll: &Poll) -> anyhow::Result<()> {
        match ask {
            Ask::Open(job) => self.open(*job, poll)?,
            Ask::Await(updates) => self.awaited = Some(updates),
            Ask::ForgetLatencies => {
                self.readers.iter_mut().for_each(|readers| readers.report.latencies = Default::default());
            }
            Ask::Report => {
                let report = self.readers.as_ref().map(|readers| readers.report.clone());
                say(&Say::Report(Box::new(report.unwrap_or_default())))?;
            }
        }
        Ok(())
    }

    fn open(&mut self, job: Job, poll: &Poll) -> anyhow::Result<()> {
        // The old streams are closed first, because there may not be room for both.
        self.readers = None;
        self.awaited = None;
        let registry = poll.registry().try_clone().context("cannot wait for sockets")?;
        self.began = self.clock.now();
        self.opening = true;
        self.readers.insert(Readers::new(job, registry, self.clock)).open();
        Ok(())
    }

    /// Sends the messages that have become due.
    fn tell(&mut self) -> anyhow::Result<()> {
        let Some(readers) = &self.readers else { return Ok(()) };
        if self.opening && readers.is_settled() {
            self.opening = false;
            say(&Say::Live { nanoseconds: self.clock.now() - self.began })?;
        }
        let delivered = readers.report.tally.delivered;
        if self.awaited.is_some_and(|awaited| delivered >= awaited) {
            self.awaited = None;
            say(&Say::Reached(delivered))?;
        }
        Ok(())
    }
}

fn say(say: &Say) -> anyhow::Result<()> {
    let mut line = serde_json::to_vec(say)?;
    line.push(b'\n');
    stdout().lock().write_all(&line).context("the parent process has ended")
}

//! A process that reads streams for another, and does what it says on standard input until that ends.

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
    // If it can't be raised, the connections that fail say so.
    let _ = rlimit::increase_nofile_limit(u64::MAX);
    let (mut poll, mut events) = readers::poll().context("sockets can't be awaited")?;
    let waker = Waker::new(poll.registry(), ASKED).context("sockets can't be awaited")?;
    let (sender, asked) = mpsc::channel();
    thread::spawn(move || {
        for line in stdin().lock().lines().map_while(Result::ok) {
            if sender.send(line).is_err() || waker.wake().is_err() {
                return;
            }
        }
        drop(sender);
        // Nobody is left who could be told of an error.
        let _ = waker.wake();
    });
    let mut work = Work { clock: Clock::start(), readers: None, began: 0, opening: false, awaited: None };
    loop {
        if let Err(error) = poll.poll(&mut events, None::<Duration>) {
            if error.kind() == std::io::ErrorKind::Interrupted {
                continue;
            }
            return Err(error).context("sockets can't be awaited");
        }
        for event in &events {
            if event.token() != ASKED {
                work.readers.iter_mut().for_each(|readers| readers.ready(event));
            }
        }
        loop {
            match asked.try_recv() {
                Ok(line) => {
                    let ask = serde_json::from_str(&line).context("what is asked for is not known")?;
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
    /// When the streams were asked for.
    began: u64,
    /// Whether it has yet to be said that they are open.
    opening: bool,
    /// The number of updates that has yet to be reached.
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
        // The old streams are closed first: there may not be room for both.
        self.readers = None;
        self.awaited = None;
        let registry = poll.registry().try_clone().context("sockets can't be awaited")?;
        self.began = self.clock.now();
        self.opening = true;
        self.readers.insert(Readers::new(job, registry, self.clock)).open();
        Ok(())
    }

    /// Says what has come true.
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
    stdout().lock().write_all(&line).context("the process that asked is gone")
}

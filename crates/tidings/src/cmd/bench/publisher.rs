//! Publishes over one connection, and reads the answers beside it.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    sync::{Arc, Condvar, Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, bail};

use super::target::Publishing;
use crate::cli::PublishForm;

/// So many requests may wait for their answers: a server that answers slowly must not be flooded, or both sides may wait for
/// each other to read.
const MAX_UNANSWERED: u64 = 128;

/// How long an answer may take.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// A connection that publishes in one form. Updates are sent in order, and answers are counted.
pub(super) struct Publisher {
    publishing: Publishing,
    form: PublishForm,
    socket: TcpStream,
    /// What is sent with the next flush.
    pending: Vec<u8>,
    /// Requests in `pending`, and before.
    unsent: u64,
    sent: u64,
    /// Whether the head of a streamed request has been sent.
    is_streaming: bool,
    answers: Arc<Answers>,
}

#[derive(Default)]
struct Answers {
    state: Mutex<Answered>,
    changed: Condvar,
}

#[derive(Default)]
struct Answered {
    count: u64,
    failure: Option<String>,
}

impl Publisher {
    pub(super) fn connect(publishing: &Publishing, form: PublishForm) -> anyhow::Result<Publisher> {
        let connected = TcpStream::connect(publishing.address());
        let socket = connected.with_context(|| format!("can't connect to {}", publishing.address()))?;
        socket.set_nodelay(true).context("the publisher's connection is gone")?;
        let reader = socket.try_clone().context("the publisher's connection can't be shared")?;
        let answers = Arc::new(Answers::default());
        thread::spawn({
            let answers = answers.clone();
            move || answers.read(BufReader::new(reader))
        });
        let (pending, publishing) = (Vec::new(), publishing.clone());
        Ok(Publisher { publishing, form, socket, pending, unsent: 0, sent: 0, is_streaming: false, answers })
    }

    /// Adds one update, which the next flush sends, or this if there are many.
    pub(super) fn add(&mut self, topic: &str, data: &str) -> anyhow::Result<()> {
        match self.form {
            PublishForm::Post => {
                self.publishing.request(topic, data, &mut self.pending);
                self.unsent += 1;
                if self.unsent >= MAX_UNANSWERED {
                    self.flush()?;
                }
            }
            PublishForm::Ndjson | PublishForm::EventStream => {
                self.begin_stream(topic)?;
                let (before, after) = if self.form == PublishForm::Ndjson {
                    ("{\"data\":\"", "\"}\n")
                } else {
                    ("data: ", "\n\n")
                };
                for part in [before, data, after] {
                    self.pending.extend_from_slice(part.as_bytes());
                }
            }
        }
        Ok(())
    }

    fn begin_stream(&mut self, topic: &str) -> anyhow::Result<()> {
        if !self.is_streaming {
            let content_type =
                if self.form == PublishForm::Ndjson { "application/x-ndjson" } else { "text/event-stream" };
            let mut head = Vec::new();
            self.publishing.stream_head(topic, content_type, &mut head);
            self.socket.write_all(&head).context("publishing broke off")?;
            self.is_streaming = true;
            self.sent += 1;
        }
        Ok(())
    }

    /// Sends what was added, as soon as not too many answers are missing.
    pub(super) fn flush(&mut self) -> anyhow::Result<()> {
        if self.pending.is_empty() {
            return Ok(());
        }
        let written = if self.is_streaming {
            self.answers.check()?;
            let size = format!("{:x}\r\n", self.pending.len());
            self.pending.splice(..0, size.bytes());
            self.pending.extend_from_slice(b"\r\n");
            self.socket.write_all(&self.pending)
        } else {
            self.answers.wait((self.sent + self.unsent).saturating_sub(MAX_UNANSWERED))?;
            self.sent += std::mem::take(&mut self.unsent);
            self.socket.write_all(&self.pending)
        };
        self.pending.clear();
        written.or_else(|error| {
            // Why is in the answer, if there is one.
            self.answers.check()?;
            Err(error).context("publishing broke off")
        })
    }

    /// Sends what was added, and waits until all of it is answered. A stream goes on.
    pub(super) fn settle(&mut self) -> anyhow::Result<()> {
        self.flush()?;
        if self.is_streaming { self.answers.check() } else { self.answers.wait(self.sent) }
    }

    /// Ends the stream, if it is one, and waits for all answers.
    pub(super) fn finish(&mut self) -> anyhow::Result<()> {
        self.flush()?;
        if self.is_streaming {
            self.socket.write_all(b"0\r\n\r\n").context("publishing broke off")?;
            self.is_streaming = false;
        }
        self.answers.wait(self.sent)
    }
}

impl Drop for Publisher {
    fn drop(&mut self) {
        // Ends the thread that reads the answers.
        let _ = self.socket.shutdown(std::net::Shutdown::Both);
    }
}

impl Answers {
    /// Waits until `count` requests are answered.
    fn wait(&self, count: u64) -> anyhow::Result<()> {
        let deadline = Instant::now() + ANSWER_TIMEOUT;
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        while state.count < count && state.failure.is_none() {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                bail!("a publish is not answered after {} s", ANSWER_TIMEOUT.as_secs());
            }
            state = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        if state.count >= count { Ok(()) } else { failed(&state) }
    }

    fn check(&self) -> anyhow::Result<()> {
        failed(&self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn read(&self, mut reader: BufReader<TcpStream>) {
        loop {
            let answer = read_answer(&mut reader);
            let more_is_here = !reader.buffer().is_empty();
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            match answer {
                Ok(()) => state.count += 1,
                Err(error) => state.failure = Some(format!("{error:#}")),
            }
            // One wake for all answers that came together.
            if !more_is_here || state.failure.is_some() {
                self.changed.notify_all();
            }
            if state.failure.is_some() {
                return;
            }
        }
    }
}

fn failed(state: &Answered) -> anyhow::Result<()> {
    match &state.failure {
        Some(failure) => bail!("publishing failed: {failure}"),
        None => Ok(()),
    }
}

/// Reads one response whole.
///
/// # Errors
/// It is not 2xx, or it breaks off.
fn read_answer(reader: &mut BufReader<TcpStream>) -> anyhow::Result<()> {
    let mut line = String::new();
    let mut next = |reader: &mut BufReader<TcpStream>| -> anyhow::Result<String> {
        line.clear();
        if reader.read_line(&mut line)? == 0 {
            bail!("the server closed the connection");
        }
        Ok(line.trim_end().to_ascii_lowercase())
    };
    let status = next(reader)?;
    let (mut length, mut is_chunked) = (0, false);
    loop {
        let header = next(reader)?;
        match header.split_once(':') {
            Some(("content-length", value)) => length = value.trim().parse()?,
            Some(("transfer-encoding", value)) => is_chunked = value.contains("chunked"),
            Some(_) => {}
            None => break,
        }
    }
    let mut body = Vec::new();
    if is_chunked {
        loop {
            let size = u64::from_str_radix(next(reader)?.split(';').next().unwrap_or_default(), 16)?;
            reader.by_ref().take(size).read_to_end(&mut body)?;
            next(reader)?;
            if size == 0 {
                break;
            }
        }
    } else {
        reader.by_ref().take(length).read_to_end(&mut body)?;
    }
    if !status.split(' ').nth(1).is_some_and(|code| code.starts_with('2')) {
        bail!("it is answered with {status}: {}", String::from_utf8_lossy(&body).trim());
    }
    Ok(())
}

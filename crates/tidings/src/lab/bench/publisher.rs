//! A publisher with one connection.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    net::TcpStream,
    time::Duration,
};

use anyhow::{Context, bail};

use super::target::Publishing;
use crate::cli::PublishForm;

/// How many requests may wait for their answers. A server that answers slowly must not be flooded, and the answers must
/// fit into the socket until they are read.
const MAX_UNANSWERED: u64 = 128;

/// The time limit for an answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// A connection that publishes in one form. Updates are sent in order. Answers are read only when they are awaited: a
/// thread for them would take time from the readers of the streams.
pub(super) struct Publisher {
    publishing: Publishing,
    form: PublishForm,
    socket: BufReader<TcpStream>,
    /// The bytes for the next flush.
    pending: Vec<u8>,
    /// The number of requests in `pending`, and before it.
    unsent: u64,
    sent: u64,
    answered: u64,
    /// Whether the head of a streamed request has been sent.
    is_streaming: bool,
}

impl Publisher {
    pub(super) fn connect(publishing: &Publishing, form: PublishForm) -> anyhow::Result<Publisher> {
        let connected = TcpStream::connect(publishing.address());
        let socket = connected.with_context(|| format!("cannot connect to {}", publishing.address()))?;
        let set = socket.set_nodelay(true).and_then(|()| socket.set_read_timeout(Some(ANSWER_TIMEOUT)));
        set.and_then(|()| socket.set_write_timeout(Some(ANSWER_TIMEOUT)))
            .context("the publisher's connection is lost")?;
        Ok(Publisher {
            publishing: publishing.clone(),
            form,
            socket: BufReader::new(socket),
            pending: Vec::new(),
            unsent: 0,
            sent: 0,
            answered: 0,
            is_streaming: false,
        })
    }

    /// Adds one update. The next flush sends it, or this call if many are waiting.
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
            self.socket.get_mut().write_all(&head).context("publishing broke off")?;
            self.is_streaming = true;
            self.sent += 1;
        }
        Ok(())
    }

    /// Sends the added updates, once not too many answers are missing.
    pub(super) fn flush(&mut self) -> anyhow::Result<()> {
        if self.pending.is_empty() {
            return Ok(());
        }
        if self.is_streaming {
            self.check_stream()?;
            let size = format!("{:x}\r\n", self.pending.len());
            self.pending.splice(..0, size.bytes());
            self.pending.extend_from_slice(b"\r\n");
        } else {
            self.wait((self.sent + self.unsent).saturating_sub(MAX_UNANSWERED))?;
            self.sent += std::mem::take(&mut self.unsent);
        }
        let written = self.socket.get_mut().write_all(&self.pending);
        self.pending.clear();
        written.or_else(|error| {
            // The reason is in the answer, if there is one.
            self.wait(self.sent)?;
            Err(error).context("publishing broke off")
        })
    }

    /// Sends the added updates, and waits until all are answered. A streamed request goes on.
    pub(super) fn settle(&mut self) -> anyhow::Result<()> {
        self.flush()?;
        if self.is_streaming { self.check_stream() } else { self.wait(self.sent) }
    }

    /// Ends a streamed request, and waits for all answers.
    pub(super) fn finish(&mut self) -> anyhow::Result<()> {
        self.flush()?;
        if self.is_streaming {
            self.socket.get_mut().write_all(b"0\r\n\r\n").context("publishing broke off")?;
            self.is_streaming = false;
        }
        self.wait(self.sent)
    }

    /// Waits until `count` requests are answered.
    fn wait(&mut self, count: u64) -> anyhow::Result<()> {
        while self.answered < count {
            read_answer(&mut self.socket).context("publishing failed")?;
            self.answered += 1;
        }
        Ok(())
    }

    /// # Errors
    /// The stream already has an answer before its end, so it was refused.
    fn check_stream(&mut self) -> anyhow::Result<()> {
        let socket = self.socket.get_ref();
        socket.set_nonblocking(true)?;
        let peeked = socket.peek(&mut [0]);
        socket.set_nonblocking(false)?;
        match peeked {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
            _ => {
                self.wait(self.sent)?;
                bail!("publishing failed: the server answered before the end of the stream")
            }
        }
    }
}

/// Reads one whole response.
///
/// # Errors
/// It is not 2xx, or it breaks off.
fn read_answer(reader: &mut BufReader<TcpStream>) -> anyhow::Result<()> {
    let mut line = String::new();
    let mut next = |reader: &mut BufReader<TcpStream>| -> anyhow::Result<String> {
        line.clear();
        match reader.read_line(&mut line) {
            Ok(0) => bail!("the server closed the connection"),
            Ok(_) => {}
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                bail!("no answer after {} s", ANSWER_TIMEOUT.as_secs())
            }
            Err(error) => return Err(error.into()),
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
        bail!("the answer is {status}: {}", String::from_utf8_lossy(&body).trim());
    }
    Ok(())
}

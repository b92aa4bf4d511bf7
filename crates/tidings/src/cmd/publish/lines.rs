//! Publishes standard input line by line.
//!
//! The program that writes into the pipe may be a build. It must not end, and no line may be lost, because of another
//! line or a restart of the hub. So each line is kept until the hub has answered for it. If the hub refuses a line, the
//! line is left out and reported. If a request breaks, its lines are sent again under the same idempotency keys, so
//! that nothing is published twice.

use std::{
    hash::{BuildHasher, RandomState},
    io::{IsTerminal, Write, stdin, stdout},
    time::Duration,
};

use anyhow::{Context, anyhow};
use http::StatusCode;
use serde_json::{Map, Value, json};
use tidings_client::{RequestBody, TransportError};
use tokio::{
    io::{AsyncBufReadExt, BufReader, Stdin},
    time::{Instant, sleep, timeout},
};

use super::{Answer, BUFFER_BYTES, refusal, request, send, unreachable};
use crate::{
    cli::Publish,
    exit::{Hint, Unreachable, causes},
    terminal,
};

/// The longest silence of a request. Then an empty line tells the hub that its publisher is still there.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// The maximum size of a request, and so of the lines that are kept until it is answered.
const MAX_PART_BYTES: usize = 1 << 20;
const MAX_PART_LINES: usize = 10_000;

/// A longer line is left out without asking the hub. The hub's own limit is far smaller by default.
const MAX_LINE_BYTES: usize = 64 << 20;

/// How long to try again while the hub cannot be reached or has no room.
const PATIENCE: Duration = Duration::from_secs(60);

/// The first pause before another attempt, and the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// How many omitted lines are reported one by one.
const MAX_NAMED: u64 = 10;

/// Publishes each line of standard input as soon as it arrives. Then closes the topic if the flags ask for it.
pub(super) async fn run(publish: &Publish) -> anyhow::Result<()> {
    let mut pipe = Pipe {
        publish,
        input: Input::new(),
        part: Part::default(),
        receipts: Receipts::default(),
        left_out: 0,
        repaired: 0,
    };
    let sent = pipe.send_all().await;
    let count = pipe.receipts.count;
    if sent.is_ok() || count > 0 {
        pipe.receipts.print()?;
    }
    match sent {
        Err(error) if count > 0 => {
            return Err(error.context(Hint(format!("{count} updates before it were published"))));
        }
        sent => sent?,
    }
    // Also after lines that were left out: the input is over, and the followers wait for the close.
    if let Some(reason) = &publish.close {
        send(publish, &[("close", reason.clone())], "text/plain; charset=utf-8", RequestBody::empty())
            .await?;
    }
    match pipe.left_out {
        0 => Ok(()),
        1 => Err(anyhow!("1 line was not published").context(Hint("all other lines were published".into()))),
        lines => Err(anyhow!("{lines} lines were not published")
            .context(Hint("all other lines were published".into()))),
    }
}

struct Pipe<'a> {
    publish: &'a Publish,
    input: Input,
    part: Part,
    receipts: Receipts,
    /// The number of lines that are not published, and never will be.
    left_out: u64,
    /// The number of lines with bytes that are not UTF-8.
    repaired: u64,
}

/// The result of one request.
enum End {
    /// All lines are kept.
    Kept,
    /// The line with this number in the request is refused; the lines before it are kept.
    Refused(u64, String),
    /// The request failed for now. Another attempt may succeed.
    Unavailable(anyhow::Error),
    /// Every other line would fail in the same way.
    Hopeless(anyhow::Error),
}

impl Pipe<'_> {
    async fn send_all(&mut self) -> anyhow::Result<()> {
        let (mut since, mut pause, mut answered) = (None, FIRST_PAUSE, false);
        loop {
            // The first request begins at once. Otherwise a missing hub would be noticed only at the first line.
            if answered && self.part.lines.is_empty() {
                self.read_one().await?;
                if self.input.ended && self.part.lines.is_empty() {
                    return Ok(());
                }
            }
            match self.exchange().await? {
                End::Kept => {
                    self.part = Part::default();
                    if self.input.ended {
                        return Ok(());
                    }
                }
                End::Refused(line, reason) => {
                    let refused = self.part.drop_through(line);
                    self.leave_out(refused, &reason);
                }
                End::Unavailable(error) if answered || error.downcast_ref::<Unreachable>().is_none() => {
                    let since = *since.get_or_insert_with(|| {
                        say(&format!("{}; trying again", causes(&error)));
                        Instant::now()
                    });
                    if since.elapsed() > PATIENCE {
                        return Err(error);
                    }
                    sleep(pause).await;
                    pause = (pause * 2).min(LONGEST_PAUSE);
                    continue;
                }
                End::Unavailable(error) => return Err(error),
                End::Hopeless(error) => return Err(self.drain(error).await),
            }
            (since, pause, answered) = (None, FIRST_PAUSE, true);
        }
    }

    /// Makes one request: with the lines that an earlier request could not deliver, and new lines until it is full.
    async fn exchange(&mut self) -> anyhow::Result<End> {
        let (mut hub, body) = RequestBody::channel();
        let key = self.part.key.clone();
        let mut sending =
            std::pin::pin!(request(self.publish, &[], "application/x-ndjson", Some(&key), body));
        let mut piece = self.part.all_again();
        loop {
            if !piece.is_empty() {
                tokio::select! {
                    // The hub may answer before everything is sent: with a refusal.
                    answer = &mut sending => return self.judge(answer),
                    // If the request's body takes no more, the hub has answered, or the connection is gone.
                    _ = hub.send(std::mem::take(&mut piece)) => {}
                }
            }
            if self.input.ended || self.part.is_full() {
                break;
            }
            tokio::select! {
                answer = &mut sending => return self.judge(answer),
                read = timeout(HEARTBEAT, self.input.next()) => match read {
                    Err(_) => piece.push(self.part.heartbeat()),
                    Ok(line) => {
                        self.add(line?, &mut piece);
                        // All lines that have already arrived are sent together. Nothing waits for more.
                        while self.input.has_line() && piece.len() < BUFFER_BYTES && !self.part.is_full() {
                            let line = self.input.next().await?;
                            self.add(line, &mut piece);
                        }
                    }
                },
            }
        }
        drop(hub);
        let answer = sending.await;
        self.judge(answer)
    }

    /// Waits for a line to publish, or for the end of the input.
    async fn read_one(&mut self) -> anyhow::Result<()> {
        while self.part.lines.is_empty() && !self.input.ended {
            let line = self.input.next().await?;
            self.add(line, &mut Vec::new());
        }
        Ok(())
    }

    /// Adds a line to the part, and appends its bytes to `piece`.
    fn add(&mut self, line: Line, piece: &mut Vec<u8>) {
        let mut text = match line.text {
            Ok(text) if text.is_empty() && line.is_last => return,
            Ok(text) => text,
            Err(TooLong) => {
                return self.leave_out(line.number, &format!("it is over {MAX_LINE_BYTES} bytes"));
            }
        };
        if line.number == 1 {
            // Programs on Windows write it before UTF-8.
            text = text.strip_prefix("\u{feff}".as_bytes()).map(<[u8]>::to_vec).unwrap_or(text);
        }
        let json = if self.publish.ndjson {
            text
        } else {
            match self.as_json(line.number, &text) {
                Some(json) => json,
                None => return,
            }
        };
        let begins = self.part.bytes.len();
        self.part.add(line.number, &json);
        piece.extend_from_slice(&self.part.bytes[begins..]);
    }

    /// Returns the line as an update. `None` if the line is left out.
    fn as_json(&mut self, number: u64, line: &[u8]) -> Option<Vec<u8>> {
        let line = line.strip_suffix(b"\n").map_or(line, |line| line.strip_suffix(b"\r").unwrap_or(line));
        let data = String::from_utf8_lossy(line);
        if matches!(data, std::borrow::Cow::Owned(_)) {
            if self.publish.utf8_only {
                self.leave_out(number, "it is not UTF-8");
                return None;
            }
            self.repaired += 1;
            if self.repaired <= MAX_NAMED {
                say(&format!(
                    "line {number} of standard input is not UTF-8; U+FFFD replaces the bytes that cannot be read"
                ));
            }
        }
        let mut update = Map::new();
        update.insert("data".into(), data.into());
        update.extend(self.publish.event_type.as_deref().map(|name| ("type".into(), name.into())));
        let millis = |retry: Duration| json!(u64::try_from(retry.as_millis()).unwrap_or(u64::MAX));
        update.extend(self.publish.retry.map(|retry| ("retry".into(), millis(retry.0))));
        Some(Value::from(update).to_string().into_bytes())
    }

    fn judge(&mut self, answer: anyhow::Result<Result<Answer, TransportError>>) -> anyhow::Result<End> {
        let answer = match answer? {
            Ok(answer) => answer,
            Err(error @ (TransportError::Connect { .. } | TransportError::Broken { .. })) => {
                return Ok(End::Unavailable(unreachable(error, self.publish)));
            }
            Err(error) => return Err(unreachable(error, self.publish)),
        };
        if answer.status == StatusCode::OK {
            self.receipts.add(&answer.json());
            return Ok(End::Kept);
        }
        let problem = answer.json();
        let line = problem.get("line").and_then(Value::as_u64);
        let is_closed = problem.get("closed").is_some();
        Ok(match (answer.status.as_u16(), line) {
            (400 | 409 | 413 | 422, Some(line)) if !is_closed => {
                self.receipts.add(&problem);
                let detail = problem.get("detail").and_then(Value::as_str).unwrap_or("it gave no reason");
                End::Refused(line, detail.to_owned())
            }
            // Lines that these requests kept are sent again with the rest, under the same keys, and are counted then.
            (408 | 429 | 500..=599, _) => End::Unavailable(refusal(&answer)),
            _ => {
                self.receipts.add(&problem);
                End::Hopeless(refusal(&answer))
            }
        })
    }

    /// Reads the rest of the input without publishing it, so that the writing program does not fail. Not at a terminal,
    /// where a person would type in vain.
    async fn drain(&mut self, error: anyhow::Error) -> anyhow::Error {
        if !stdin().is_terminal() && !self.input.ended {
            say(&format!("{}; reading the rest of standard input without publishing it", causes(&error)));
            while !self.input.ended && self.input.next().await.is_ok() {}
        }
        error
    }

    fn leave_out(&mut self, number: u64, reason: &str) {
        self.left_out += 1;
        if self.left_out <= MAX_NAMED {
            say(&format!("line {number} of standard input is not published: {reason}"));
        }
    }
}

/// Writes a message for the user.
fn say(text: &str) {
    terminal::say(&format!("tidings: {text}"));
}

/// The lines of one request, kept until it is answered.
struct Part {
    key: String,
    /// The lines as they are sent, each with its line feed.
    bytes: Vec<u8>,
    lines: Vec<Sent>,
    /// The number of lines sent in this request.
    sent: u64,
}

/// A line in a part.
struct Sent {
    /// The number of the line in standard input.
    number: u64,
    /// The number of the line in the request.
    position: u64,
    /// The end of the line in the part.
    end: usize,
}

impl Default for Part {
    fn default() -> Part {
        // The keys of a `RandomState` are random, so no two requests share one.
        let random = || RandomState::new().hash_one(0);
        let key = format!("tidings-publish-{:016x}{:016x}", random(), random());
        Part { key, bytes: Vec::new(), lines: Vec::new(), sent: 0 }
    }
}

impl Part {
    fn is_full(&self) -> bool {
        self.bytes.len() >= MAX_PART_BYTES || self.lines.len() >= MAX_PART_LINES
    }

    fn add(&mut self, number: u64, line: &[u8]) {
        self.bytes.extend_from_slice(line);
        if !line.ends_with(b"\n") {
            self.bytes.push(b'\n');
        }
        self.sent += 1;
        self.lines.push(Sent { number, position: self.sent, end: self.bytes.len() });
    }

    /// An empty line. The hub counts it, but it is not an update.
    fn heartbeat(&mut self) -> u8 {
        self.sent += 1;
        b'\n'
    }

    /// Returns all lines, for a new request.
    fn all_again(&mut self) -> Vec<u8> {
        for (position, line) in (1..).zip(&mut self.lines) {
            line.position = position;
        }
        self.sent = self.lines.len() as u64;
        self.bytes.clone()
    }

    /// Removes the refused line at this position of the request, and the lines before it, which are kept by the hub.
    /// Returns the line's number. The remaining lines become another request, with another key.
    fn drop_through(&mut self, position: u64) -> u64 {
        let count = self.lines.partition_point(|line| line.position <= position);
        let rest = self.lines.split_off(count);
        let (number, end) = self.lines.last().map_or((0, 0), |line| (line.number, line.end));
        let mut left = Part { bytes: self.bytes.split_off(end), lines: rest, ..Part::default() };
        for line in &mut left.lines {
            line.end -= end;
        }
        *self = left;
        number
    }
}

/// The sum of the hub's answers so far.
#[derive(Default)]
struct Receipts {
    count: u64,
    first: Option<Value>,
    last: Option<Value>,
}

impl Receipts {
    fn add(&mut self, answer: &Map<String, Value>) {
        self.count += answer.get("count").and_then(Value::as_u64).unwrap_or(0);
        let id = |name| answer.get(name).filter(|id| !id.is_null()).cloned();
        self.first = self.first.take().or_else(|| id("first"));
        self.last = id("last").or_else(|| self.last.take());
    }

    fn print(&self) -> anyhow::Result<()> {
        let receipt = json!({ "count": self.count, "first": self.first, "last": self.last });
        writeln!(stdout(), "{}", terminal::on_stdout(&receipt.to_string()))
            .context("standard output is closed")
    }
}

/// Standard input, read by lines.
struct Input {
    input: BufReader<Stdin>,
    /// The beginning of an unfinished line, without the part beyond the limit.
    line: Vec<u8>,
    is_too_long: bool,
    number: u64,
    ended: bool,
}

/// A line with its line feed, if it has one.
struct Line {
    number: u64,
    text: Result<Vec<u8>, TooLong>,
    is_last: bool,
}

struct TooLong;

impl Input {
    fn new() -> Input {
        let input = BufReader::with_capacity(BUFFER_BYTES, tokio::io::stdin());
        Input { input, line: Vec::new(), is_too_long: false, number: 0, ended: false }
    }

    /// Whether a whole line has already been read.
    fn has_line(&self) -> bool {
        self.input.buffer().contains(&b'\n')
    }

    /// Waits for the next line. At the end of the input it returns an empty line. Cancel safe.
    async fn next(&mut self) -> anyhow::Result<Line> {
        loop {
            let buffer = self.input.fill_buf().await.context("cannot read standard input")?;
            let end = buffer.iter().position(|byte| *byte == b'\n').map(|at| at + 1);
            let piece = &buffer[..end.unwrap_or(buffer.len())];
            self.ended = buffer.is_empty();
            if self.line.len() + piece.len() > MAX_LINE_BYTES {
                self.is_too_long = true;
            } else {
                self.line.extend_from_slice(piece);
            }
            let used = piece.len();
            self.input.consume(used);
            if end.is_some() || self.ended {
                self.number += 1;
                let line = std::mem::take(&mut self.line);
                let text = if std::mem::take(&mut self.is_too_long) { Err(TooLong) } else { Ok(line) };
                return Ok(Line { number: self.number, text, is_last: self.ended });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_follows_a_refused_line_is_another_part() {
        let mut part = Part::default();
        for (number, line) in [(1, "a"), (2, "bb\n"), (4, "c"), (5, "d")] {
            part.add(number, line.as_bytes());
            part.heartbeat();
        }
        let key = part.key.clone();
        assert_eq!(part.drop_through(3), 2);
        assert_ne!(part.key, key);
        assert_eq!(part.all_again(), b"c\nd\n");
        assert_eq!(part.drop_through(1), 4);
        assert_eq!((part.all_again(), part.lines[0].end), (b"d\n".to_vec(), 2));
        assert_eq!(part.drop_through(1), 5);
        assert!(part.lines.is_empty() && part.bytes.is_empty());
    }
}

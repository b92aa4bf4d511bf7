//! Standard input, line by line, on its way to a hub.
//!
//! What writes into the pipe is somebody's build, and must neither end nor lose a line because of another line, or because the
//! hub restarts. So lines are kept until the hub has answered for them: a line that it refuses is left out and reported, and
//! what a broken request had is sent again under the same idempotency key, which publishes nothing twice.

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

/// How long a request may be silent: an empty line tells the hub that its publisher is still there.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// What one request has at the most, and so what is kept until it is answered.
const MAX_PART_BYTES: usize = 1 << 20;
const MAX_PART_LINES: usize = 10_000;

/// A longer line is left out without asking the hub, whose own limit is far smaller unless somebody raised it.
const MAX_LINE_BYTES: usize = 64 << 20;

/// For how long a hub may be away, or have no room, before nothing more is tried.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long to wait before trying again: at first, and at the most.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// How many lines that are left out are named one by one.
const MAX_NAMED: u64 = 10;

/// Publishes each line of standard input as soon as it is there, then closes the topic if that is wanted.
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
            return Err(error.context(Hint(format!("{count} updates before it are published"))));
        }
        sent => sent?,
    }
    // Also after lines that were left out: nothing more comes, and the followers wait for this.
    if let Some(reason) = &publish.close {
        send(publish, &[("close", reason.clone())], "text/plain; charset=utf-8", RequestBody::empty())
            .await?;
    }
    match pipe.left_out {
        0 => Ok(()),
        1 => Err(anyhow!("1 line was not published").context(Hint("all others are".into()))),
        lines => Err(anyhow!("{lines} lines were not published").context(Hint("all others are".into()))),
    }
}

struct Pipe<'a> {
    publish: &'a Publish,
    input: Input,
    part: Part,
    receipts: Receipts,
    /// How many lines are not published, and will not be.
    left_out: u64,
    /// How many lines had bytes that are no UTF-8.
    repaired: u64,
}

/// What became of the lines of one request.
enum End {
    /// All are kept.
    Kept,
    /// This one, by its number in the request, is refused; those before it are kept.
    Refused(u64, String),
    /// It may be different in a moment.
    Unavailable(anyhow::Error),
    /// It will be the same for every other line.
    Hopeless(anyhow::Error),
}

impl Pipe<'_> {
    async fn send_all(&mut self) -> anyhow::Result<()> {
        let (mut since, mut pause, mut answered) = (None, FIRST_PAUSE, false);
        loop {
            // The first request begins at once, so that a hub that is not there is not first noticed by the first line.
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

    /// One request: the lines that an earlier one could not get through, and what comes until it has enough.
    async fn exchange(&mut self) -> anyhow::Result<End> {
        let (mut hub, body) = RequestBody::channel();
        let key = self.part.key.clone();
        let mut sending =
            std::pin::pin!(request(self.publish, &[], "application/x-ndjson", Some(&key), body));
        let mut piece = self.part.all_again();
        loop {
            if !piece.is_empty() {
                tokio::select! {
                    // It may be answered before all is sent: with a refusal.
                    answer = &mut sending => return self.judge(answer),
                    // Whoever does not take it any more has answered, or is gone.
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
                        // What is already here goes together, and nothing waits for more.
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

    /// Waits for a line that is to be published, or the end of the input.
    async fn read_one(&mut self) -> anyhow::Result<()> {
        while self.part.lines.is_empty() && !self.input.ended {
            let line = self.input.next().await?;
            self.add(line, &mut Vec::new());
        }
        Ok(())
    }

    /// Takes a line into the part, and appends what is to be sent of it to `piece`.
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

    /// The line as an update; `None` if it is left out.
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
                    "line {number} of standard input is not UTF-8; U+FFFD stands for what can't be read"
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
                let detail = problem.get("detail").and_then(Value::as_str).unwrap_or("no detail is given");
                End::Refused(line, detail.to_owned())
            }
            // What these kept is sent again with the rest, under the same keys, and counted then.
            (408 | 429 | 500..=599, _) => End::Unavailable(refusal(&answer)),
            _ => {
                self.receipts.add(&problem);
                End::Hopeless(refusal(&answer))
            }
        })
    }

    /// Reads the rest and publishes none of it: whoever writes it did nothing wrong. At a terminal somebody would type in vain.
    async fn drain(&mut self, error: anyhow::Error) -> anyhow::Error {
        if !stdin().is_terminal() && !self.input.ended {
            say(&format!("{}; the rest of standard input is read and not published", causes(&error)));
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

/// Tells whoever watches.
fn say(text: &str) {
    terminal::say(&format!("tidings: {text}"));
}

/// The lines of one request, until it is answered.
struct Part {
    key: String,
    /// As they are sent, each with its line feed.
    bytes: Vec<u8>,
    lines: Vec<Sent>,
    /// How many lines have been sent in this request.
    sent: u64,
}

/// A line in a part.
struct Sent {
    /// Its number in standard input.
    number: u64,
    /// Its number in the request.
    position: u64,
    /// Where it ends in the part.
    end: usize,
}

impl Default for Part {
    fn default() -> Part {
        // The keys of a `RandomState` are random, and no two are the same.
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

    /// An empty line, which is counted, and no update.
    fn heartbeat(&mut self) -> u8 {
        self.sent += 1;
        b'\n'
    }

    /// All lines, for a new request.
    fn all_again(&mut self) -> Vec<u8> {
        for (position, line) in (1..).zip(&mut self.lines) {
            line.position = position;
        }
        self.sent = self.lines.len() as u64;
        self.bytes.clone()
    }

    /// Takes out the line at this position of the request, which is refused, and those before it, which are kept. Gives back its
    /// number. What is left is another request, and has another key.
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

/// What the hub has answered for all requests so far.
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

/// Standard input, by lines.
struct Input {
    input: BufReader<Stdin>,
    /// The beginning of a line whose end has not come yet, without what is too long.
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

    /// Whether a whole line has been read already.
    fn has_line(&self) -> bool {
        self.input.buffer().contains(&b'\n')
    }

    /// Waits for the next line; an empty one that is the last stands for the end. Cancel safe.
    async fn next(&mut self) -> anyhow::Result<Line> {
        loop {
            let buffer = self.input.fill_buf().await.context("standard input can't be read")?;
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

//! A minimal reader of an event stream over HTTP/1.1: head, chunks, lines.
//!
//! It does not use `tidings-codec`, so that the project's decoder does not judge the project's hub, and so that reading
//! costs little: a stream needs no memory between two events. Lines that end in a lone CR are not split, because no
//! server sends them.

use memchr::{memchr, memmem};

use super::payload::{Mark, Payload};

/// A longer head is not the head of a response.
const MAX_HEAD_BYTES: usize = 16 << 10;

/// The longest line: longer than any line that a benchmark publishes.
const MAX_LINE_BYTES: usize = 2 << 20;

/// The reason why a response is not an event stream.
pub(super) type Refusal = String;

/// The state of reading one response.
#[derive(Debug, Default)]
pub(super) struct Scanner {
    stage: Stage,
    /// The beginning of an unfinished head or line.
    partial: Vec<u8>,
    event: Pending,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Stage {
    #[default]
    Head,
    /// A body without chunks, up to the end of the connection.
    Plain,
    /// The line with the size of a chunk, as far as it has been read.
    Size { size: u64, digits_over: bool },
    /// The bytes of a chunk that have not arrived yet.
    Chunk(u64),
    /// The line end after a chunk.
    ChunkEnd,
    /// After the last chunk.
    Over,
}

/// The fields since the last blank line.
#[derive(Debug, Default)]
struct Pending {
    mark: Option<Mark>,
    data_lines: u32,
    id: Vec<u8>,
}

/// An update that has arrived.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Update<'a> {
    pub(super) mark: Mark,
    /// Its `id` line, if the reader asked for IDs.
    pub(super) id: &'a [u8],
}

/// The data to look for in a stream.
#[derive(Debug)]
pub(super) struct Sought {
    pub(super) payload: Payload,
    pub(super) ids: bool,
}

impl Scanner {
    /// A scanner that begins with the body.
    pub(super) fn of_body() -> Scanner {
        Scanner { stage: Stage::Plain, ..Scanner::default() }
    }

    /// Whether the head is complete and an event stream follows.
    pub(super) fn is_live(&self) -> bool {
        self.stage != Stage::Head
    }

    /// Whether the body has ended normally.
    pub(super) fn is_over(&self) -> bool {
        self.stage == Stage::Over
    }

    /// Reads more bytes.
    ///
    /// # Errors
    /// The bytes are not a response, or not an event stream, or break the framing.
    pub(super) fn feed(
        &mut self,
        mut input: &[u8],
        sought: &Sought,
        found: &mut impl FnMut(Update<'_>),
    ) -> Result<(), Refusal> {
        while !input.is_empty() {
            match self.stage {
                Stage::Head => {
                    let Some(rest) = self.head(input)? else { return Ok(()) };
                    input = rest;
                }
                Stage::Plain => {
                    self.lines(input, sought, found)?;
                    return Ok(());
                }
                Stage::Size { size, digits_over } => {
                    let byte = input[0];
                    input = &input[1..];
                    self.stage = match (byte, char::from(byte).to_digit(16)) {
                        (b'\n', _) if size == 0 => Stage::Over,
                        (b'\n', _) => Stage::Chunk(size),
                        (_, Some(digit)) if !digits_over && size < 1 << 56 => {
                            Stage::Size { size: size << 4 | u64::from(digit), digits_over }
                        }
                        (b'\r' | b';' | b' ', _) => Stage::Size { size, digits_over: true },
                        (_, _) if digits_over => self.stage,
                        _ => return Err(format!("the size of a chunk has the byte {byte:#04x}")),
                    };
                }
                Stage::Chunk(left) => {
                    let here = usize::try_from(left).map_or(input.len(), |left| left.min(input.len()));
                    self.lines(&input[..here], sought, found)?;
                    input = &input[here..];
                    let left = left - here as u64;
                    self.stage = if left == 0 { Stage::ChunkEnd } else { Stage::Chunk(left) };
                }
                Stage::ChunkEnd => {
                    if input[0] == b'\n' {
                        self.stage = Stage::Size { size: 0, digits_over: false };
                    }
                    input = &input[1..];
                }
                Stage::Over => return Ok(()),
            }
        }
        Ok(())
    }

    /// Reads the head. Returns the bytes after it, or `None` if it is not complete.
    fn head<'a>(&mut self, input: &'a [u8]) -> Result<Option<&'a [u8]>, Refusal> {
        let before = self.partial.len();
        self.partial.extend_from_slice(input);
        let Some(end) = memmem::find(&self.partial, b"\r\n\r\n") else {
            let is_head = self.partial.len() < MAX_HEAD_BYTES;
            return if is_head { Ok(None) } else { Err("the response's head has no end".into()) };
        };
        let head = String::from_utf8_lossy(&self.partial[..end]).to_ascii_lowercase();
        let status = head.split(' ').nth(1).unwrap_or_default();
        if status != "200" {
            return Err(format!("the answer is {}", head.lines().next().unwrap_or_default()));
        }
        let has = |name: &str, value: &str| {
            head.lines().any(|line| line.strip_prefix(name).is_some_and(|rest| rest.contains(value)))
        };
        if !has("content-type:", "text/event-stream") {
            return Err("the response is not an event stream".into());
        }
        let is_chunked = has("transfer-encoding:", "chunked");
        self.stage = if is_chunked { Stage::Size { size: 0, digits_over: false } } else { Stage::Plain };
        self.partial = Vec::new();
        Ok(Some(&input[end + 4 - before..]))
    }

    fn lines(
        &mut self,
        mut input: &[u8],
        sought: &Sought,
        found: &mut impl FnMut(Update<'_>),
    ) -> Result<(), Refusal> {
        while let Some(end) = memchr(b'\n', input) {
            if self.partial.is_empty() {
                self.event.line(&input[..end], sought, found);
            } else {
                self.partial.extend_from_slice(&input[..end]);
                self.event.line(&self.partial, sought, found);
                self.partial = Vec::new();
            }
            input = &input[end + 1..];
        }
        if self.partial.len() + input.len() > MAX_LINE_BYTES {
            return Err(format!("a line is longer than {MAX_LINE_BYTES} bytes"));
        }
        self.partial.extend_from_slice(input);
        Ok(())
    }
}

impl Pending {
    fn line(&mut self, line: &[u8], sought: &Sought, found: &mut impl FnMut(Update<'_>)) {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let value = |name: &[u8]| {
            let value = line.strip_prefix(name)?;
            Some(value.strip_prefix(b" ").unwrap_or(value))
        };
        if line.is_empty() {
            if let (Some(mark), 1) = (self.mark, self.data_lines) {
                found(Update { mark, id: &self.id });
            }
            (self.mark, self.data_lines) = (None, 0);
            self.id = Vec::new();
        } else if let Some(data) = value(b"data:") {
            self.mark = sought.payload.parse(data);
            self.data_lines += 1;
        } else if let (true, Some(id)) = (sought.ids, value(b"id:")) {
            self.id = id.to_vec();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An update in three chunks, an event that is not an update, and an update whose ID comes first.
    fn stream() -> Vec<u8> {
        let mut data = [String::new(), String::new()];
        for (number, data) in (0..).zip(&mut data) {
            Payload::new(7, 48).write(Mark { number, due: 5 }, data);
        }
        let [first, second] = data;
        let (start, end) = first.split_at(20);
        let body = [
            ":\nretry: 1\n\ndata".to_owned(),
            format!(": {start}"),
            format!("{end}\nid: 1\n\nevent: start\ndata: {{}}\n\ndata: {first}\ndata: no\n\n"),
            format!("id: 2\r\ndata:{second}\r\n\r\n"),
        ];
        let mut stream = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream;charset=utf-8\r\n".to_vec();
        stream.extend(b"Transfer-Encoding: chunked\r\n\r\n");
        for piece in body {
            stream.extend(format!("{:X};a=1\r\n{piece}\r\n", piece.len()).bytes());
        }
        stream.extend(b"0\r\n\r\n");
        stream
    }

    #[test]
    fn any_split_reads_the_same() {
        let sought = Sought { payload: Payload::new(7, 48), ids: true };
        let stream = stream();
        for size in [1, 2, 3, 7, stream.len()] {
            let (mut scanner, mut updates) = (Scanner::default(), Vec::new());
            for piece in stream.chunks(size) {
                let mut found = |update: Update<'_>| updates.push((update.mark.number, update.id.to_vec()));
                scanner.feed(piece, &sought, &mut found).expect("it is an event stream");
            }
            assert_eq!(updates, [(0, b"1".to_vec()), (1, b"2".to_vec())], "in pieces of {size}");
            assert!(scanner.is_live() && scanner.is_over());
            assert_eq!(scanner.partial.capacity(), 0, "nothing is kept");
        }
    }

    #[test]
    fn what_is_no_event_stream_is_refused() {
        let cases: [(&[u8], &str); 4] = [
            (b"HTTP/1.1 503 Busy\r\n\r\n", "503"),
            (b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n", "not an event stream"),
            (&[b'x'; MAX_HEAD_BYTES], "no end"),
            (
                b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\nx",
                "0x78",
            ),
        ];
        let sought = Sought { payload: Payload::new(7, 48), ids: false };
        for (response, reason) in cases {
            let refusal = Scanner::default().feed(response, &sought, &mut |_| ());
            let refusal = refusal.expect_err("it is refused");
            assert!(refusal.contains(reason), "{refusal}");
        }
    }
}

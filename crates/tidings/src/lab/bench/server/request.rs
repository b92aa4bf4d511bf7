//! Reads requests with the least work that tells them apart.

use memchr::{memchr, memmem};

/// The bytes of a connection that have not been handled yet.
#[derive(Default)]
pub(super) struct Input {
    bytes: Vec<u8>,
    /// The number of bytes in `bytes` that have been handled.
    done: usize,
    /// The streamed request whose body is being read.
    stream: Option<Stream>,
    /// The current chunk: the number of bytes that have not arrived yet.
    chunk: usize,
    /// Whether an answer is due.
    owes_answer: bool,
}

struct Stream {
    path: String,
    is_ndjson: bool,
}

pub(super) enum Request<'a> {
    Subscribe {
        path: &'a str,
        after: Option<&'a str>,
    },
    Publish {
        path: &'a str,
        data: &'a str,
    },
    /// A request for updates has ended.
    Answer,
}

/// Bytes that are not a request of `tidings bench`.
pub(super) struct Broken;

impl Input {
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.bytes.drain(..std::mem::take(&mut self.done));
        self.bytes.extend_from_slice(bytes);
    }

    /// The next request, or `None` until more bytes arrive.
    pub(super) fn next(&mut self) -> Result<Option<Request<'_>>, Broken> {
        if std::mem::take(&mut self.owes_answer) {
            return Ok(Some(Request::Answer));
        }
        if self.stream.is_some() {
            return self.next_of_stream();
        }
        // The blank line after the last chunk, or between requests.
        while self.bytes[self.done..].starts_with(b"\r\n") {
            self.done += 2;
        }
        let Some(end) = memmem::find(&self.bytes[self.done..], b"\r\n\r\n") else { return Ok(None) };
        let (start, body) = (self.done, self.done + end + 4);
        if let Some(stream) = Head::parse(&self.bytes[start..body])?.stream() {
            (self.stream, self.done) = (Some(stream), body);
            return self.next_of_stream();
        }
        let head = Head::parse(&self.bytes[start..body])?;
        if head.method == "GET" {
            self.done = body;
            return Ok(Some(Request::Subscribe { path: head.path, after: head.header("last-event-id") }));
        }
        let length: usize = head.header("content-length").and_then(|text| text.parse().ok()).ok_or(Broken)?;
        let Some(data) = self.bytes.get(body..body.saturating_add(length)) else { return Ok(None) };
        (self.done, self.owes_answer) = (body + length, true);
        Ok(Some(Request::Publish { path: head.path, data: std::str::from_utf8(data).map_err(|_| Broken)? }))
    }

    /// The next update of a streamed body. Chunks hold whole lines, as `tidings bench` sends them.
    fn next_of_stream(&mut self) -> Result<Option<Request<'_>>, Broken> {
        let data = loop {
            let rest = &self.bytes[self.done..];
            let Some(end) = memchr(b'\n', rest) else { return Ok(None) };
            let line = rest[..end].trim_ascii_end();
            let start = self.done;
            self.done += end + 1;
            if self.chunk == 0 {
                // The line end after a chunk, or the size of the next.
                let size = std::str::from_utf8(line).map_err(|_| Broken)?;
                if size == "0" {
                    self.stream = None;
                    return Ok(Some(Request::Answer));
                }
                if !size.is_empty() {
                    self.chunk = usize::from_str_radix(size, 16).map_err(|_| Broken)?;
                }
            } else {
                self.chunk = self.chunk.checked_sub(end + 1).ok_or(Broken)?;
                let is_ndjson = self.stream.as_ref().is_some_and(|stream| stream.is_ndjson);
                let (before, after) = if is_ndjson { (NDJSON.0, NDJSON.1) } else { ("data: ", "") };
                if line.starts_with(before.as_bytes()) && line.ends_with(after.as_bytes()) {
                    break start + before.len()..start + line.len() - after.len();
                }
            }
        };
        let data = std::str::from_utf8(&self.bytes[data]).map_err(|_| Broken)?;
        Ok(self.stream.as_ref().map(|stream| Request::Publish { path: &stream.path, data }))
    }
}

/// The text around the data of an NDJSON line. The data needs no escapes.
const NDJSON: (&str, &str) = ("{\"data\":\"", "\"}");

/// The head of a request.
struct Head<'a> {
    method: &'a str,
    path: &'a str,
    lines: &'a str,
}

impl<'a> Head<'a> {
    fn parse(head: &'a [u8]) -> Result<Head<'a>, Broken> {
        let head = std::str::from_utf8(head).map_err(|_| Broken)?;
        let (request, lines) = head.split_once("\r\n").ok_or(Broken)?;
        let mut words = request.split(' ');
        let (method, path) = (words.next().ok_or(Broken)?, words.next().ok_or(Broken)?);
        Ok(Head { method, path, lines })
    }

    fn header(&self, name: &str) -> Option<&'a str> {
        self.lines.lines().find_map(|line| {
            let (field, value) = line.split_once(':')?;
            field.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    /// The topic of a streamed publish, whose body arrives in chunks.
    fn stream(&self) -> Option<Stream> {
        self.header("transfer-encoding")?;
        let is_ndjson = self.header("content-type") == Some("application/x-ndjson");
        Some(Stream { path: self.path.to_owned(), is_ndjson })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_split_reads_the_same() {
        let input = "GET /a HTTP/1.1\r\nLast-Event-ID: 7\r\n\r\n\
            POST /b HTTP/1.1\r\ncontent-length: 3\r\n\r\none\
            POST /c HTTP/1.1\r\nContent-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n\
            f\r\n{\"data\":\"two\"}\n\r\n1e\r\n{\"data\":\"3\"}\n\n{\"data\":\"four\"}\n\r\n0\r\n\r\n\
            POST /d HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nc\r\ndata: five\n\n\r\n0\r\n\r\n";
        let expected = ["a after 7", "b one", "ok", "c two", "c 3", "c four", "ok", "d five", "ok"];
        for size in [1, 2, 5, input.len()] {
            let (mut read, mut requests) = (Input::default(), Vec::new());
            for piece in input.as_bytes().chunks(size) {
                read.push(piece);
                while let Some(request) = read.next().unwrap_or_else(|_| panic!("it is a request")) {
                    requests.push(match request {
                        Request::Subscribe { path, after } => {
                            format!("{} after {}", &path[1..], after.unwrap_or("-"))
                        }
                        Request::Publish { path, data } => format!("{} {data}", &path[1..]),
                        Request::Answer => "ok".to_owned(),
                    });
                }
            }
            assert_eq!(requests, expected, "in pieces of {size}");
        }
    }
}

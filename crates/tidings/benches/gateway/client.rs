//! A client that asks for an answer, and says when each token came.

use std::time::{Duration, Instant};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::upstream::MARK;

/// The outcome of one answer.
#[derive(Debug, Default)]
pub(crate) struct Received {
    /// From the request to the first token.
    pub(crate) first: Duration,
    /// From when each token was sent to when it was here.
    pub(crate) lags: Vec<Duration>,
    /// From each token to the next.
    pub(crate) gaps: Vec<Duration>,
}

/// Asks the server at `address`, and reads its answer to the end.
pub(crate) async fn ask(address: &str, epoch: Instant) -> std::io::Result<Received> {
    let body = r#"{"model":"m","stream":true,"metadata":{}}"#;
    let head = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    let mut socket = TcpStream::connect(address).await?;
    socket.set_nodelay(true)?;
    let began = Instant::now();
    socket.write_all((head + body).as_bytes()).await?;
    let (mut received, mut unread, mut last) = (Received::default(), Vec::new(), None);
    loop {
        let read = socket.read_buf(&mut unread).await?;
        let now = Instant::now();
        let mut done = 0;
        while let Some(end) = find(&unread[done..], b"\n\n") {
            let block = &unread[done..done + end];
            if let Some(mark) = find(block, MARK) {
                let digits =
                    block[mark + MARK.len()..].split(|&byte| byte == b'"').next().unwrap_or_default();
                let sent = std::str::from_utf8(digits).ok().and_then(|digits| digits.parse().ok());
                let sent = epoch + Duration::from_nanos(sent.expect("a token is a number"));
                match last.replace(now) {
                    None => received.first = now - began,
                    Some(last) => received.gaps.push(now - last),
                }
                received.lags.push(now.saturating_duration_since(sent));
            } else if find(block, b"[DONE]").is_some() {
                return Ok(received);
            }
            done += end + 2;
        }
        unread.drain(..done);
        if read == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
    }
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    memchr::memmem::find(bytes, wanted)
}

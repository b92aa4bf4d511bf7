//! An HTTP/1.1 client that shows the received bytes, undecoded.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

pub(crate) struct RawClient {
    socket: TcpStream,
    received: Vec<u8>,
}

impl RawClient {
    /// Connects and requests `path`; `fields` are further header lines.
    pub(crate) async fn get(address: SocketAddr, path: &str, fields: &str) -> RawClient {
        let mut socket = TcpStream::connect(address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\n{fields}\r\n");
        socket.write_all(request.as_bytes()).await.unwrap();
        RawClient { socket, received: Vec::new() }
    }

    /// Reads until the bytes so far, from the status line on, end with `end`.
    pub(crate) async fn read_until(&mut self, end: &str) -> &str {
        let read = timeout(PATIENCE, async {
            while !self.received.ends_with(end.as_bytes()) {
                if self.socket.read_buf(&mut self.received).await? == 0 {
                    return Err(io::Error::from(io::ErrorKind::UnexpectedEof));
                }
            }
            Ok(())
        });
        match read.await {
            Ok(Ok(())) => self.text(),
            other => panic!("{other:?} instead of {end:?} after {}", self.received.escape_ascii()),
        }
    }

    /// Reads until the server closes the connection, properly or not.
    pub(crate) async fn read_to_end(&mut self) -> &str {
        let read = timeout(PATIENCE, self.socket.read_to_end(&mut self.received)).await;
        match read {
            Ok(Ok(_)) => self.text(),
            Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionReset => self.text(),
            other => panic!("{other:?} instead of the end after {}", self.received.escape_ascii()),
        }
    }

    fn text(&self) -> &str {
        std::str::from_utf8(&self.received).unwrap()
    }
}

/// `text` as hyper sends it: one chunk.
pub(crate) fn chunk(text: &str) -> String {
    format!("{:X}\r\n{text}\r\n", text.len())
}

/// Ends a complete body.
pub(crate) const LAST_CHUNK: &str = "0\r\n\r\n";

/// How long a loaded machine may take; no test waits this long unless it fails.
const PATIENCE: Duration = Duration::from_secs(20);

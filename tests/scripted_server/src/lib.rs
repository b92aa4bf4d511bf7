//! A server on raw sockets that follows a script: each connection gets the next reply, byte for byte.
//!
//! No HTTP library is between the test and the wire, so that a reply can break off, drip, lie or fall silent anywhere.
//! After the last reply of its script the server answers 204, which ends every source: a test can read to the end.

#![expect(clippy::unwrap_used, reason = "what fails in a test ends the test")]

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::{JoinHandle, JoinSet},
};

/// The acts of the server on one connection, after it has read the request.
#[derive(Clone, Default)]
pub struct Reply(Vec<Act>);

#[derive(Clone)]
enum Act {
    Send(Vec<u8>),
    Drip(Vec<u8>, usize),
    Wait(Duration),
    Until(watch::Receiver<bool>),
    Hold,
    Relay(String),
    Reset,
}

/// A reply from a status line and headers, each ended by CRLF, and a body that ends with the connection.
pub fn response(head: &str) -> Reply {
    Reply::default().send(head.trim_start().replace('\n', "\r\n")).send("\r\n\r\n")
}

/// The head of an event stream.
pub fn stream() -> Reply {
    response("HTTP/1.1 200 OK\nContent-Type: text/event-stream")
}

/// No reply at all: the connection ends after the request.
pub fn nothing() -> Reply {
    Reply::default()
}

impl Reply {
    /// Sends bytes at once.
    pub fn send(mut self, bytes: impl AsRef<[u8]>) -> Self {
        self.0.push(Act::Send(bytes.as_ref().to_vec()));
        self
    }

    /// Sends so many bytes at a time, each in a segment of its own.
    pub fn drip(mut self, bytes: impl AsRef<[u8]>, at_a_time: usize) -> Self {
        self.0.push(Act::Drip(bytes.as_ref().to_vec(), at_a_time));
        self
    }

    /// Is silent for a while.
    pub fn wait(mut self, time: Duration) -> Self {
        self.0.push(Act::Wait(time));
        self
    }

    /// Is silent until the test sets `gate`.
    pub fn until(mut self, gate: &watch::Receiver<bool>) -> Self {
        self.0.push(Act::Until(gate.clone()));
        self
    }

    /// Goes on with another reply.
    pub fn then(mut self, other: Self) -> Self {
        self.0.extend(other.0);
        self
    }

    /// Keeps the connection open until the client closes it.
    pub fn hold(mut self) -> Self {
        self.0.push(Act::Hold);
        self
    }

    /// Passes everything on between the client and another server, as a proxy does with a tunnel.
    pub fn relay(mut self, authority: &str) -> Self {
        self.0.push(Act::Relay(authority.to_owned()));
        self
    }

    /// Resets the connection instead of ending it.
    pub fn reset(mut self) -> Self {
        self.0.push(Act::Reset);
        self
    }

    async fn perform(self, mut stream: TcpStream) -> std::io::Result<()> {
        stream.set_nodelay(true)?;
        for act in self.0 {
            match act {
                Act::Send(bytes) => stream.write_all(&bytes).await?,
                Act::Drip(bytes, at_a_time) => {
                    for piece in bytes.chunks(at_a_time) {
                        stream.write_all(piece).await?;
                        // Lets the client read this piece before the next one is there.
                        tokio::task::yield_now().await;
                        tokio::task::yield_now().await;
                    }
                }
                Act::Wait(time) => tokio::time::sleep(time).await,
                Act::Until(mut gate) => {
                    // Without the test, nobody waits for the rest either.
                    let _ = gate.wait_for(|open| *open).await;
                }
                Act::Hold => while stream.read(&mut [0; 1024]).await? > 0 {},
                Act::Relay(authority) => {
                    let mut server = TcpStream::connect(authority).await?;
                    tokio::io::copy_bidirectional(&mut stream, &mut server).await?;
                }
                Act::Reset => {
                    stream.set_zero_linger()?;
                    return Ok(());
                }
            }
        }
        stream.shutdown().await
    }
}

/// A request as it came in.
#[derive(Clone, Debug)]
pub struct Received {
    /// Method, path and version.
    pub line: String,
    /// Names in lower case, and values, in order.
    pub headers: Vec<(String, String)>,
    /// The whole body.
    pub body: Vec<u8>,
}

impl Received {
    /// The value of a header, by its name in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(header, _)| header == name).map(|(_, value)| value.as_str())
    }

    async fn read(stream: &mut TcpStream) -> std::io::Result<Self> {
        let mut bytes = Vec::new();
        let head_end = loop {
            if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
                break end + 4;
            }
            if stream.read_buf(&mut bytes).await? == 0 {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
        };
        // Latin-1, so that every byte of a header is seen as it is.
        let head: String = bytes[..head_end].iter().map(|&byte| char::from(byte)).collect();
        let mut lines = head.lines();
        let line = lines.next().unwrap_or_default().to_owned();
        let headers = lines
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
            .collect();
        let mut request = Self { line, headers, body: bytes.split_off(head_end) };
        if let Some(length) = request.header("content-length") {
            let length: usize = length.parse().unwrap();
            while request.body.len() < length {
                if stream.read_buf(&mut request.body).await? == 0 {
                    return Err(std::io::ErrorKind::UnexpectedEof.into());
                }
            }
        } else if request.header("transfer-encoding").is_some() {
            // The chunks are kept as they came.
            while !request.body.ends_with(b"0\r\n\r\n") {
                if stream.read_buf(&mut request.body).await? == 0 {
                    return Err(std::io::ErrorKind::UnexpectedEof.into());
                }
            }
        }
        Ok(request)
    }
}

/// A running server; it stops when it is dropped.
pub struct Server {
    authority: String,
    requests: Arc<Mutex<Vec<Received>>>,
    open: watch::Receiver<usize>,
    accepting: JoinHandle<()>,
}

impl Server {
    /// Serves one reply per connection, then 204.
    pub async fn start(script: impl IntoIterator<Item = Reply>) -> Self {
        let mut script: VecDeque<Reply> = script.into_iter().collect();
        Self::start_with(move |_| script.pop_front().unwrap_or_else(|| response("HTTP/1.1 204 No Content")))
            .await
    }

    /// Serves what `script` makes of each request.
    pub async fn start_with(mut script: impl FnMut(&Received) -> Reply + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let authority = listener.local_addr().unwrap().to_string();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (opened, open) = watch::channel(0);
        let accepting = tokio::spawn({
            let requests = Arc::clone(&requests);
            async move {
                let mut connections = JoinSet::new();
                loop {
                    let (mut stream, _) = listener.accept().await.unwrap();
                    opened.send_modify(|open| *open += 1);
                    if let Ok(request) = Received::read(&mut stream).await {
                        let reply = script(&request);
                        requests.lock().unwrap().push(request);
                        let opened = opened.clone();
                        connections.spawn(async move {
                            // The client may close whenever it likes.
                            let _ = reply.perform(stream).await;
                            opened.send_modify(|open| *open -= 1);
                        });
                    } else {
                        opened.send_modify(|open| *open -= 1);
                    }
                    while connections.try_join_next().is_some() {}
                }
            }
        });
        Self { authority, requests, open, accepting }
    }

    /// The URL of a path on this server.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.authority)
    }

    /// The requests so far.
    pub fn requests(&self) -> Vec<Received> {
        self.requests.lock().unwrap().clone()
    }

    /// Waits until no connection is open.
    pub async fn all_closed(&self) {
        self.open.clone().wait_for(|open| *open == 0).await.unwrap();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

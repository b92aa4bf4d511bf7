//! Many subscribers in one thread, at the lowest possible cost: one epoll, one buffer, no tasks.

use std::{
    io::{self, ErrorKind, Read, Write},
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use mio::{Events, Interest, Poll, Registry, Token, event::Event, net::TcpStream};
use socket2::{Domain, Socket, Type};

use super::{
    clock::Clock,
    http2::Http2,
    job::{Job, Report},
    order::Order,
    payload::Payload,
    scan::{Scanner, Sought, Update},
};

/// The maximum number of bytes in one read of any stream.
const BUFFER_BYTES: usize = 256 << 10;

/// The subscribers of one job.
pub(super) struct Readers {
    job: Job,
    sought: Sought,
    connections: Vec<Connection>,
    registry: Registry,
    clock: Clock,
    buffer: Vec<u8>,
    /// How many of `connections` have been started.
    begun: usize,
    /// How many of them are not open yet.
    opening: u32,
    /// The number of streams that have begun, and of connections that failed before that.
    live: u32,
    failed: u32,
    pub(super) report: Report,
}

#[derive(Debug, Default)]
struct Connection {
    stream: Option<TcpStream>,
    stage: Stage,
    began: u64,
    scanner: Scanner,
    order: Order,
    /// The streams of the connection, if it has many, and how many have not begun yet.
    http2: Option<Box<Http2>>,
    awaited: u32,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Stage {
    #[default]
    Connecting,
    /// The request is sent.
    Asked,
    /// The stream has begun.
    Live,
}

impl Readers {
    pub(super) fn new(job: Job, registry: Registry, clock: Clock) -> Readers {
        let connection = || Connection { order: Order::from(job.first_update), ..Connection::default() };
        let connections = std::iter::repeat_with(connection).take(job.connections()).collect();
        let sought = Sought { payload: Payload::new(job.run, job.bytes), ids: job.wants_id };
        Readers {
            job,
            sought,
            connections,
            registry,
            clock,
            buffer: vec![0; BUFFER_BYTES],
            begun: 0,
            opening: 0,
            live: 0,
            failed: 0,
            report: Report::default(),
        }
    }

    /// Starts connections, as many as may be opening at once.
    pub(super) fn open(&mut self) {
        while self.begun < self.connections.len() && self.opening < self.job.window {
            let place = self.begun;
            self.begun += 1;
            self.begin(place);
        }
    }

    /// Whether every subscriber has its stream, or has failed to get one.
    pub(super) fn is_settled(&self) -> bool {
        self.job.churns || self.live + self.failed == self.job.subscribers
    }

    fn begin(&mut self, place: usize) {
        let connection = &mut self.connections[place];
        connection.scanner = Scanner::default();
        connection.stage = Stage::Connecting;
        connection.began = self.clock.now();
        let source = self.job.source.map(IpAddr::from);
        let begun = connect(self.job.address, source).and_then(|mut stream| {
            let interest = Interest::READABLE | Interest::WRITABLE;
            self.registry.register(&mut stream, Token(place), interest)?;
            Ok(stream)
        });
        self.opening += 1;
        match begun {
            Ok(stream) => connection.stream = Some(stream),
            Err(error) => self.end(place, format!("cannot connect: {error}")),
        }
    }

    /// Handles the readiness of one subscriber's socket.
    pub(super) fn ready(&mut self, event: &Event) {
        let Token(place) = event.token();
        if let Err(reason) = self.advance(place, event.is_read_closed()) {
            self.end(place, reason);
        }
        self.open();
    }

    fn advance(&mut self, place: usize, is_ended: bool) -> Result<(), String> {
        let Some(connection) = self.connections.get_mut(place) else { return Ok(()) };
        let Some(stream) = &mut connection.stream else { return Ok(()) };
        if connection.stage == Stage::Connecting {
            if let Ok(Some(error)) | Err(error) = stream.take_error() {
                return Err(format!("cannot connect: {error}"));
            }
            match stream.peer_addr() {
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::NotConnected => return Ok(()),
                Err(error) => return Err(format!("cannot connect: {error}")),
            }
            let mut heads = self.job.heads(place);
            let request = match self.job.streams {
                None => heads.next().map(String::into_bytes).unwrap_or_default(),
                Some(_) => {
                    let mut http2 = Http2::new(heads, self.job.first_update);
                    let request = std::mem::take(&mut http2.out);
                    connection.awaited = http2.streams();
                    connection.http2 = Some(Box::new(http2));
                    request
                }
            };
            // The send buffer of a new socket has room for any head, and for those of a thousand streams.
            stream.write_all(&request).map_err(|error| format!("cannot send the request: {error}"))?;
            connection.stage = Stage::Asked;
            return Ok(());
        }
        loop {
            let read = match stream.read(&mut self.buffer) {
                Ok(0) => return Err("the server ended the stream".into()),
                Ok(read) => read,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(format!("the connection broke: {error}")),
            };
            // One time for all bytes of a read, because they were available at this time.
            let now = self.clock.now();
            let (order, report) = (&mut connection.order, &mut self.report);
            let mut found = |order: &mut Order, Update { mark, id }: Update<'_>| {
                order.came(mark.number, &mut report.tally);
                report.latencies.record(now.saturating_sub(mark.due));
                if mark.number == 0 && self.job.wants_id {
                    report.id = Some(String::from_utf8_lossy(id).into_owned());
                }
            };
            if let Some(http2) = &mut connection.http2 {
                http2.feed(&self.buffer[..read], &self.sought, &mut found)?;
                let out = std::mem::take(&mut http2.out);
                stream.write_all(&out).map_err(|error| format!("cannot answer: {error}"))?;
            } else {
                connection
                    .scanner
                    .feed(&self.buffer[..read], &self.sought, &mut |update| found(order, update))?;
            }
            if connection.scanner.is_over() {
                return Err("the server ended the stream".into());
            }
            // A short read means that the socket is empty, and the next byte wakes us again. An end that arrived
            // together with the data does not: another read finds it. On Windows only an attempt shows it.
            if read < self.buffer.len() && !is_ended && !cfg!(windows) {
                break;
            }
        }
        if let Some(http2) = &mut connection.http2 {
            let begun = http2.take_begun();
            let latency = self.clock.now().saturating_sub(connection.began);
            (0..begun).for_each(|_| self.report.connect_latencies.record(latency));
            self.report.connected += u64::from(begun);
            self.live += begun;
            connection.awaited -= begun;
            if connection.stage == Stage::Asked && connection.awaited == 0 {
                connection.stage = Stage::Live;
                self.opening -= 1;
            }
        } else if connection.stage == Stage::Asked && connection.scanner.is_live() {
            connection.stage = Stage::Live;
            let latency = self.clock.now().saturating_sub(connection.began);
            self.report.connect_latencies.record(latency);
            self.report.connected += 1;
            self.opening -= 1;
            if self.job.churns {
                connection.stream = None;
                self.begin(place);
            } else {
                self.live += 1;
            }
        }
        Ok(())
    }

    fn end(&mut self, place: usize, reason: String) {
        let streams = self.job.heads(place).count() as u32;
        let connection = &mut self.connections[place];
        connection.stream = None;
        if connection.stage != Stage::Live {
            self.opening -= 1;
            // Before its request it waited for no update.
            self.failed += if connection.http2.is_some() { connection.awaited } else { streams };
        }
        self.report.disconnected += u64::from(streams);
        self.report.reason.get_or_insert(reason);
    }
}

/// Starts a connection whose end does not block its port for a minute.
fn connect(address: SocketAddr, source: Option<IpAddr>) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    socket.set_linger(Some(Duration::ZERO))?;
    socket.set_tcp_nodelay(true)?;
    if let Some(source) = source {
        socket.bind(&SocketAddr::new(source, 0).into())?;
    }
    match socket.connect(&address.into()) {
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::WouldBlock || in_progress(&error) => {}
        Err(error) => return Err(error),
    }
    Ok(TcpStream::from_std(socket.into()))
}

/// Whether a connection is still opening. The standard library has no error kind for this yet.
fn in_progress(error: &io::Error) -> bool {
    // Linux, macOS; Windows says `WouldBlock`.
    matches!(error.raw_os_error(), Some(115 | 36)) && cfg!(unix)
}

/// A poll with room for the events of a busy server between two calls.
pub(super) fn poll() -> io::Result<(Poll, Events)> {
    Ok((Poll::new()?, Events::with_capacity(1024)))
}

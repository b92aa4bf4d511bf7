//! The reference server: a hub that does nothing but `write`.
//!
//! Its events have the same bytes as a hub's. It has one thread and one epoll. A topic is the wire bytes of its events,
//! a subscriber is a position in them, and a delivery is one `write` of everything after that position.

mod request;
mod topic;

use std::{
    collections::HashMap,
    io::{ErrorKind, Read, Write},
};

use anyhow::Context;
use mio::{
    Interest, Poll, Token,
    net::{TcpListener, TcpStream},
};
use socket2::{Domain, Socket, Type};

use self::{
    request::{Input, Request},
    topic::Topic,
};
use crate::cli::BenchServer;

/// The kernel's limit (somaxconn), so that many clients can connect at once.
const BACKLOG: i32 = 4096;

const LISTENER: Token = Token(usize::MAX);

const BUFFER_BYTES: usize = 256 << 10;

const HEAD: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\
    cache-control: no-cache, no-transform\r\ntransfer-encoding: chunked\r\n\r\ne\r\n:\nretry: 2000\n\r\n";

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\n{}\n";

pub(super) fn run(flags: &BenchServer) -> anyhow::Result<()> {
    // If the limit cannot be raised, the connections that are not accepted show it.
    let _ = rlimit::increase_nofile_limit(u64::MAX);
    let (mut poll, mut events) = super::readers::poll().context("cannot wait for sockets")?;
    let mut listener = listen(flags).with_context(|| format!("cannot listen on {}", flags.listen))?;
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
    eprintln!("The reference server listens on http://{}", listener.local_addr()?);
    let mut server = Server {
        connections: Vec::new(),
        free: Vec::new(),
        topics: Vec::new(),
        names: HashMap::new(),
        dirty: Vec::new(),
        buffer: vec![0; BUFFER_BYTES],
    };
    loop {
        match poll.poll(&mut events, None) {
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            polled => polled.context("cannot wait for sockets")?,
        }
        for event in &events {
            match event.token() {
                LISTENER => server.accept(&listener, &poll)?,
                Token(place) => server.ready(place),
            }
        }
        server.deliver();
    }
}

fn listen(flags: &BenchServer) -> std::io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(flags.listen), Type::STREAM, None)?;
    socket.set_reuse_address(cfg!(unix))?;
    socket.set_nonblocking(true)?;
    socket.bind(&flags.listen.into())?;
    socket.listen(BACKLOG)?;
    Ok(TcpListener::from_std(socket.into()))
}

struct Server {
    connections: Vec<Option<Connection>>,
    free: Vec<usize>,
    topics: Vec<Topic>,
    names: HashMap<String, usize>,
    /// Topics with events that have not been written yet.
    dirty: Vec<usize>,
    buffer: Vec<u8>,
}

struct Connection {
    stream: TcpStream,
    role: Role,
}

enum Role {
    /// A publisher's connection. It holds answers that the publisher has not read yet.
    Client {
        input: Input,
        answers: Vec<u8>,
    },
    Subscriber {
        topic: usize,
        place: u64,
    },
}

impl Server {
    fn accept(&mut self, listener: &TcpListener, poll: &Poll) -> anyhow::Result<()> {
        loop {
            let mut stream = match listener.accept() {
                Ok((stream, _)) => stream,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::ConnectionAborted => continue,
                Err(error) => return Err(error).context("cannot accept connections"),
            };
            let place = self.free.pop().unwrap_or(self.connections.len());
            let interest = Interest::READABLE | Interest::WRITABLE;
            // If the connection is already gone, there is nothing to do.
            if stream.set_nodelay(true).is_err()
                || poll.registry().register(&mut stream, Token(place), interest).is_err()
            {
                self.free.extend((place < self.connections.len()).then_some(place));
                continue;
            }
            let role = Role::Client { input: Input::default(), answers: Vec::new() };
            if place == self.connections.len() {
                self.connections.push(None);
            }
            self.connections[place] = Some(Connection { stream, role });
        }
    }

    fn ready(&mut self, place: usize) {
        if self.read(place).is_none() {
            self.close(place);
        }
    }

    /// Reads from a connection. `None` if it is over.
    fn read(&mut self, place: usize) -> Option<()> {
        loop {
            let connection = self.connections.get_mut(place)?.as_mut()?;
            let read = match connection.stream.read(&mut self.buffer) {
                Ok(0) => return None,
                Ok(read) => read,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(_) => return None,
            };
            if let Role::Client { input, .. } = &mut connection.role {
                input.push(&self.buffer[..read]);
                self.serve(place)?;
            }
        }
        let connection = self.connections.get_mut(place)?.as_mut()?;
        match &mut connection.role {
            Role::Client { answers, .. } => write_answers(&mut connection.stream, answers),
            // The socket may now accept bytes that it did not accept before.
            Role::Subscriber { topic, place } => self.topics[*topic].write(&mut connection.stream, place),
        }
    }

    /// Executes all complete requests.
    fn serve(&mut self, place: usize) -> Option<()> {
        loop {
            let connection = self.connections.get_mut(place)?.as_mut()?;
            let Role::Client { input, answers } = &mut connection.role else { return Some(()) };
            match input.next().ok()? {
                None => return Some(()),
                Some(Request::Answer) => answers.extend_from_slice(ANSWER),
                Some(Request::Publish { path, data }) => {
                    let topic = find(&mut self.topics, &mut self.names, path);
                    self.topics[topic].append(data);
                    if !self.topics[topic].is_dirty {
                        self.topics[topic].is_dirty = true;
                        self.dirty.push(topic);
                    }
                }
                Some(Request::Subscribe { path, after }) => {
                    let topic = find(&mut self.topics, &mut self.names, path);
                    let mut start = self.topics[topic].place_after(after);
                    connection.stream.write_all(HEAD).ok()?;
                    self.topics[topic].write(&mut connection.stream, &mut start)?;
                    self.topics[topic].subscribers.push(place);
                    connection.role = Role::Subscriber { topic, place: start };
                }
            }
        }
    }

    /// Writes the new events to all subscribers, in the order of their connection.
    fn deliver(&mut self) {
        for topic in std::mem::take(&mut self.dirty) {
            self.topics[topic].is_dirty = false;
            let mut gone = Vec::new();
            for place in &self.topics[topic].subscribers {
                let Some(Some(connection)) = self.connections.get_mut(*place) else { continue };
                let Role::Subscriber { place: cursor, .. } = &mut connection.role else { continue };
                if self.topics[topic].write(&mut connection.stream, cursor).is_none() {
                    gone.push(*place);
                }
            }
            gone.into_iter().for_each(|place| self.close(place));
        }
    }

    fn close(&mut self, place: usize) {
        let Some(connection) = self.connections.get_mut(place).and_then(Option::take) else { return };
        if let Role::Subscriber { topic, .. } = connection.role {
            // In this order, because sockets are then written in the order of their memory.
            self.topics[topic].subscribers.retain(|subscriber| *subscriber != place);
        }
        self.free.push(place);
    }
}

fn find(topics: &mut Vec<Topic>, names: &mut HashMap<String, usize>, path: &str) -> usize {
    if let Some(topic) = names.get(path) {
        return *topic;
    }
    topics.push(Topic::default());
    names.insert(path.to_owned(), topics.len() - 1);
    topics.len() - 1
}

/// Writes as much as the socket accepts. `None` if the connection is over.
fn write_answers(stream: &mut TcpStream, answers: &mut Vec<u8>) -> Option<()> {
    while !answers.is_empty() {
        match stream.write(answers) {
            Ok(written) => drop(answers.drain(..written)),
            Err(error) if error.kind() == ErrorKind::WouldBlock => break,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(_) => return None,
        }
    }
    Some(())
}

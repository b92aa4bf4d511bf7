//! Measures readers that stop reading, together with steady ones.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use anyhow::{Context, bail};
use serde_json::{Value, json};
use socket2::{Domain, Socket, Type};

use super::{Scenario, beside::Steady, meter::Meter, outcome::Outcome, target::Target};
use crate::cli::{BenchStall, BenchTarget};

/// The time limit for a server to begin a stream.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

impl Scenario for BenchStall {
    const NAME: &'static str = "stall";

    fn flags(&self) -> &BenchTarget {
        &self.target
    }

    fn settings(&self) -> Value {
        json!({
            "subscribers": self.subscribers, "stalled": self.stalled, "events": self.events, "rate": self.rate,
            "bytes": self.target.bytes,
        })
    }

    fn steps(&self) -> u64 {
        2 * u64::from(self.events)
    }

    fn check(&self, _: &Target) -> anyhow::Result<()> {
        Ok(())
    }

    fn measure(&self, target: &Target, meter: &mut Meter) -> anyhow::Result<Outcome> {
        let steady = Steady {
            subscribers: self.subscribers,
            events: self.events,
            rate: self.rate,
            flags: &self.target,
        };
        let (mut outcome, grown) = steady.measure(target, meter, |run, publish| {
            let job = target.job(run, self.stalled, None);
            let _stalled: Vec<_> = (0..self.stalled as usize)
                .flat_map(|place| job.heads(place))
                .map(|head| stall(job.address, &head).context("cannot start a reader that stops reading"))
                .collect::<anyhow::Result<_>>()?;
            let memory = target.processes.memory();
            publish()?;
            let after = target.processes.memory();
            Ok(memory.zip(after).map(|(before, after)| after.saturating_sub(before) as f64))
        })?;
        outcome.measure("user_bytes_per_stalled", grown.map(|grown| grown / f64::from(self.stalled)));
        Ok(outcome)
    }
}

/// Opens a stream, and reads only its beginning.
///
/// The socket's buffers are made small, so that the server soon cannot write. An ordinary connection over loopback has
/// room for megabytes, nearly all of it on the server's side, which depends on the segments that the reader accepts.
fn stall(address: SocketAddr, head: &str) -> anyhow::Result<TcpStream> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    socket.set_recv_buffer_size(4096)?;
    #[cfg(unix)]
    socket.set_tcp_mss(536)?;
    socket.connect(&address.into())?;
    let mut stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(ANSWER_TIMEOUT))?;
    stream.write_all(head.as_bytes())?;
    let mut status = [0; "HTTP/1.1 200".len()];
    stream.read_exact(&mut status)?;
    if !status.ends_with(b" 200") {
        bail!("the answer is {}", String::from_utf8_lossy(&status));
    }
    Ok(stream)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::{io::ErrorKind, net::TcpListener, thread};

    use super::*;

    /// The number of bytes that a server can write to the reader that `open` makes before it has to wait.
    fn room_of<R: Send + 'static>(open: impl FnOnce(SocketAddr) -> R + Send + 'static) -> usize {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("it listens");
        let server = thread::spawn(move || listener.accept().expect("it connects").0);
        let opened = thread::spawn(move || open(address));
        let mut server = server.join().expect("no panic");
        server.write_all(b"HTTP/1.1 200 OK\r\n\r\n").expect("it reads the head");
        let _reader = opened.join().expect("no panic");
        server.set_nonblocking(true).expect("a socket");
        let mut taken = 0;
        loop {
            match server.write(&[b'x'; 250]) {
                Ok(written) => taken += written,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return taken,
                Err(error) => panic!("it cannot write: {error}"),
            }
        }
    }

    /// Not a number of bytes: Linux remembers of earlier connections how often segments overtook each other, and gives later
    /// ones several times the room.
    #[test]
    fn its_server_soon_cannot_write() {
        let stalled = room_of(|address| stall(address, "GET / HTTP/1.1\r\n\r\n").expect("it is live"));
        let ordinary = room_of(|address| TcpStream::connect(address).expect("it connects"));
        assert!(2 * stalled < ordinary, "{stalled} bytes, beside {ordinary} of an ordinary reader");
    }
}

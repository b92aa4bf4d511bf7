//! A server on a raw socket: no HTTP library is between the prepared bytes and the wire.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::thread;
use crate::workloads::Workload;

/// How a response begins. The bound has to know its length.
pub(crate) const HEAD: &str =
    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";

const WRITE_BYTES: usize = 64 * 1024;

/// Answers every request with the workload, one connection at a time, on a core of its own.
pub(crate) fn start(workload: Arc<Workload>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("a bound address");
    std::thread::spawn(move || {
        thread::pin(thread::SERVER);
        let whole = workload.chunks.concat();
        for client in listener.incoming().flatten() {
            // A client that has seen the last event hangs up as it likes.
            let _ = answer(client, &workload, &whole);
        }
    });
    address
}

fn answer(mut client: TcpStream, workload: &Workload, whole: &str) -> std::io::Result<()> {
    client.set_nodelay(true)?;
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        let mut piece = [0; 4096];
        match client.read(&mut piece)? {
            0 => return Ok(()),
            read => request.extend_from_slice(&piece[..read]),
        }
    }
    client.write_all(HEAD.as_bytes())?;
    match workload.every {
        None => whole.as_bytes().chunks(WRITE_BYTES).try_for_each(|bytes| client.write_all(bytes))?,
        Some(every) => send_paced(&mut client, &workload.chunks, every)?,
    }
    // The client closes first; what it has not read yet is not lost by a reset.
    while client.read(&mut [0; 16])? > 0 {}
    Ok(())
}

fn send_paced(client: &mut TcpStream, chunks: &[String], every: Duration) -> std::io::Result<()> {
    let mut due = Instant::now();
    for chunk in chunks {
        due += every;
        // Sleeping is not exact to microseconds, and this core is the server's own.
        while Instant::now() < due {
            std::hint::spin_loop();
        }
        client.write_all(chunk.as_bytes())?;
    }
    Ok(())
}

//! Listening sockets.

use std::net::SocketAddr;

use tokio::net::{TcpListener, TcpSocket};

use crate::exit::Hint;

/// How many connections may wait to be accepted: many clients reconnect at once after a restart.
const BACKLOG: u32 = 4096;

/// Listens on an address. It works again at once after another program has released the address.
pub(crate) fn bind(address: SocketAddr) -> anyhow::Result<TcpListener> {
    let listen = || -> std::io::Result<TcpListener> {
        let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        // A hub that restarts gets its port back at once, although connections of the old one linger. Windows does this
        // anyway. There the option would let two hubs share a port.
        socket.set_reuseaddr(cfg!(unix))?;
        socket.bind(address)?;
        socket.listen(BACKLOG)
    };
    listen().map_err(|error| {
        let in_use = error.kind() == std::io::ErrorKind::AddrInUse;
        let error = anyhow::Error::new(error).context(format!("cannot listen on {address}"));
        if in_use {
            error.context(Hint(
                "another program uses the port; choose another one with --listen 127.0.0.1:PORT".into(),
            ))
        } else {
            error
        }
    })
}

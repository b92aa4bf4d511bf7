//! One connection: which HTTP it speaks.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use tokio::{io::AsyncReadExt, net::TcpStream, time::timeout};

use super::{
    http1::{self, HEAD_TIMEOUT, Leaving},
    http2,
    socket::Socket,
    take_over::TakeOver,
};
use crate::Hub;

/// What a client that knows that it may speak HTTP/2 sends first. No request of HTTP/1.1 begins like this.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Room for what comes first: most often a whole request of HTTP/1.1.
const FIRST_BYTES: usize = 1 << 10;

/// Serves the requests of a new connection until it ends, or until `Some` subscription leaves it with its socket.
pub(super) async fn serve_connection(hub: Hub, mut socket: TcpStream) -> Option<Leaving> {
    // An event is small and must go out now, not when there is more to fill a segment.
    if let Err(error) = socket.set_nodelay(true) {
        tracing::debug!(%error, "a connection was gone before it began");
        return None;
    }
    let shutdown = hub.shared().shutdown_begun();
    let read = tokio::select! {
        first = timeout(HEAD_TIMEOUT, first_bytes(&mut socket)) => first.ok()?.ok()?,
        () = shutdown => return None,
    };
    if read.starts_with(PREFACE) {
        let socket = Socket::new(hub.clone(), Arc::new(socket), read, TakeOver::default());
        http2::serve(hub, socket).await;
        return None;
    }
    http1::serve(hub, socket, read).await
}

/// Reads until it is clear which HTTP this is: as long as what came could still become the preface of HTTP/2.
async fn first_bytes(socket: &mut TcpStream) -> std::io::Result<Bytes> {
    let mut read = BytesMut::with_capacity(FIRST_BYTES);
    while socket.read_buf(&mut read).await? > 0 && read.len() < PREFACE.len() && PREFACE.starts_with(&read) {}
    Ok(read.freeze())
}

#[cfg(test)]
mod tests {
    use tokio::{io::AsyncWriteExt, net::TcpListener};

    use super::*;

    async fn read_first(pieces: &[&[u8]]) -> Bytes {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (mut server, _) = listener.accept().await.unwrap();
        let reading = tokio::spawn(async move { first_bytes(&mut server).await.unwrap() });
        for piece in pieces {
            client.write_all(piece).await.unwrap();
            tokio::task::yield_now().await;
        }
        if !PREFACE.starts_with(&pieces.concat()) {
            return reading.await.unwrap();
        }
        client.shutdown().await.unwrap();
        reading.await.unwrap()
    }

    #[tokio::test]
    async fn the_preface_is_known_however_it_is_cut() {
        let pieces: Vec<&[u8]> = PREFACE.chunks(1).collect();
        for pieces in [&[PREFACE][..], &pieces] {
            assert_eq!(read_first(pieces).await, PREFACE);
        }
    }

    #[tokio::test]
    async fn a_first_byte_that_tells_is_enough() {
        for first in [&b"G"[..], b"PO", b"PRI * HTTP/2.1", b"\r"] {
            assert_eq!(read_first(&[first]).await, first);
        }
    }

    #[tokio::test]
    async fn who_sends_half_a_preface_and_leaves_is_not_waited_for() {
        for first in [&b""[..], b"P", &PREFACE[..23]] {
            assert_eq!(read_first(&[first]).await, first);
        }
    }
}

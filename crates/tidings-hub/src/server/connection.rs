//! The beginning of a connection: which HTTP it speaks.

use std::{future::Future, io, pin::Pin, sync::Arc};

use bytes::{Bytes, BytesMut};
use tokio::{io::AsyncReadExt, net::TcpStream, time::timeout};

use super::{
    encryption::Encryption,
    http1::{self, HEAD_TIMEOUT, HandedOver},
    http2,
    socket::{Socket, Unread},
};
use crate::{Hub, http::hand_over::HandOver, peer::Peer};

/// The first bytes of a client that speaks HTTP/2. No request of HTTP/1.1 begins with them.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Room for the first bytes, which usually are a whole request of HTTP/1.1.
const FIRST_BYTES: usize = 1 << 10;

/// Serves the requests of a new connection until it ends, or until `Some` subscription leaves it with its socket.
#[expect(
    clippy::manual_async_fn,
    reason = "the future of an `async fn` has room for each argument twice, and many connections wait for their first request"
)]
pub(super) fn serve_connection(
    hub: Hub,
    socket: TcpStream,
    peer: Peer,
    encryption: Encryption,
) -> impl Future<Output = Option<HandedOver>> + Send {
    async move {
        // An event is small and must go out now, not when there is more to fill a segment.
        if let Err(error) = socket.set_nodelay(true) {
            tracing::debug!(%error, "a connection was gone before it began");
            return None;
        }
        let shutdown = hub.engine().shutdown_begun();
        let begun = tokio::select! {
            begun = timeout(HEAD_TIMEOUT, begin(&hub, socket, encryption)) => begun,
            () = shutdown => return None,
        };
        match begun {
            Ok(Ok(begun)) => serve(hub, begun, peer).await,
            Ok(Err(error)) => {
                tracing::debug!(%error, "a connection ended before its first request");
                None
            }
            Err(_) => None,
        }
    }
}

/// Boxed, because a connection without a request yet needs a tenth of the memory.
fn serve(hub: Hub, begun: Begun, peer: Peer) -> Pin<Box<dyn Future<Output = Option<HandedOver>> + Send>> {
    match begun {
        Begun::Http1 { socket, read } => Box::pin(http1::serve(hub, socket, peer, read)),
        Begun::Http2 { socket, unread } => Box::pin(async move {
            http2::serve(hub, *socket, peer, unread).await;
            None
        }),
        #[cfg(feature = "tls")]
        Begun::Encrypted { stream, unread, is_http2 } => Box::pin(async move {
            match is_http2 {
                false => http1::serve_encrypted(hub, *stream, peer, unread).await,
                true => http2::serve(hub, *stream, peer, unread).await,
            }
            None
        }),
    }
}

/// A connection whose protocol is known.
enum Begun {
    Http1 {
        socket: TcpStream,
        read: Bytes,
    },
    Http2 {
        socket: Box<Socket>,
        unread: Unread,
    },
    #[cfg(feature = "tls")]
    Encrypted {
        stream: Box<tokio_rustls::server::TlsStream<Socket>>,
        unread: Unread,
        is_http2: bool,
    },
}

async fn begin(hub: &Hub, mut socket: TcpStream, encryption: Encryption) -> io::Result<Begun> {
    match encryption {
        Encryption::None => {
            let read = first_bytes(&mut socket).await?;
            Ok(match read.starts_with(PREFACE) {
                true => {
                    let (socket, unread) = over(hub, socket, read);
                    Begun::Http2 { socket: Box::new(socket), unread }
                }
                false => Begun::Http1 { socket, read },
            })
        }
        #[cfg(feature = "tls")]
        Encryption::Tls(tls) => Box::pin(begin_encrypted(hub, socket, tls)).await,
    }
}

#[cfg(feature = "tls")]
async fn begin_encrypted(hub: &Hub, socket: TcpStream, tls: crate::Tls) -> io::Result<Begun> {
    // The first byte of every TLS session: a record that is a handshake.
    const HANDSHAKE: u8 = 22;
    let mut first = [HANDSHAKE];
    socket.peek(&mut first).await?;
    if first != [HANDSHAKE] {
        return Err(refuse_plain(socket).await);
    }
    let (socket, unread) = over(hub, socket, Bytes::new());
    let (stream, is_http2) = tls.accept(socket).await?;
    Ok(Begun::Encrypted { stream: Box::new(stream), unread, is_http2 })
}

/// A socket that watches its client, for answers that stay on it.
fn over(hub: &Hub, socket: TcpStream, read: Bytes) -> (Socket, Unread) {
    let unread = Unread::default();
    (Socket::new(hub.clone(), Arc::new(socket), read, HandOver::default(), unread.clone()), unread)
}

/// Answers a client that speaks `http` to a port for `https`.
#[cfg(feature = "tls")]
async fn refuse_plain(mut socket: TcpStream) -> io::Error {
    use tokio::io::AsyncWriteExt;
    const BODY: &str = "{\"type\":\"about:blank\",\"title\":\"Bad Request\",\"status\":400,\
                        \"detail\":\"this port speaks TLS only; the URL begins with https://\"}";
    let answer = format!(
        "HTTP/1.1 400 Bad Request\r\ncontent-type: application/problem+json\r\ncontent-length: {}\r\n\
         connection: close\r\n\r\n{BODY}",
        BODY.len()
    );
    // Its bytes are read first: to close a socket with unread bytes resets it, and the answer would be lost.
    let _ = first_bytes(&mut socket).await;
    let _ = socket.write_all(answer.as_bytes()).await;
    io::Error::new(io::ErrorKind::InvalidData, "a request came without TLS")
}

/// Reads until it is clear which HTTP this is: as long as the bytes could still become the preface of HTTP/2.
async fn first_bytes(socket: &mut TcpStream) -> io::Result<Bytes> {
    // Many clients may connect at once and ask later. Until then they have no buffer.
    socket.readable().await?;
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
    async fn a_connection_that_has_not_asked_for_anything_needs_at_most_768_bytes() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let socket = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let peer = Peer::new(([127, 0, 0, 1], 1).into());
        let size = size_of_val(&serve_connection(Hub::default(), socket, peer, Encryption::None));
        assert!(size <= 768, "{size} bytes");
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
    async fn a_client_that_sends_half_a_preface_and_leaves_is_not_waited_for() {
        for first in [&b""[..], b"P", &PREFACE[..23]] {
            assert_eq!(read_first(&[first]).await, first);
        }
    }
}

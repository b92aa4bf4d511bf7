//! Inserts a header that HTTP/2 forbids into the frames of a server that never sends it.

use bytes::{Buf, BytesMut};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream},
    net::TcpStream,
};

/// `connection: keep-alive` as a literal field that no table stores, so that it is valid after any other field.
/// Source: RFC 7541, "Literal Header Field without Indexing".
const FIELD: &[u8] = b"\x00\x0aconnection\x0akeep-alive";

/// Source: RFC 9113, "Frame Format".
const FRAME_HEADER_BYTES: usize = 9;

/// Source: RFC 9113, "HEADERS".
const HEADERS: u8 = 1;

/// Source: RFC 9113, "HEADERS".
const END_HEADERS: u8 = 4;

/// Passes bytes between a client and a server, and adds the field to each HTTP/2 response head. HTTP/1.1 is passed
/// unchanged, because there the header is allowed.
pub(super) async fn relay(server: DuplexStream, client: TcpStream) {
    let (mut from_server, mut to_server) = tokio::io::split(server);
    let (mut from_client, mut to_client) = client.into_split();
    let requests = async {
        let _ = tokio::io::copy(&mut from_client, &mut to_server).await;
        let _ = to_server.shutdown().await;
    };
    let answers = async {
        let mut frames = Frames::default();
        while from_server.read_buf(&mut frames.unread).await.is_ok_and(|read| read > 0) {
            while let Some(bytes) = frames.next() {
                if to_client.write_all(&bytes).await.is_err() {
                    return;
                }
            }
        }
        let _ = to_client.shutdown().await;
    };
    // When the responses have ended, the connection has ended too.
    tokio::select! {
        () = answers => {}
        () = async { requests.await; std::future::pending().await } => {}
    }
}

#[derive(Debug, Default)]
struct Frames {
    unread: BytesMut,
    is_http1: Option<bool>,
}

impl Frames {
    /// The next bytes to send: a whole HTTP/2 frame, or all available bytes of HTTP/1.1.
    fn next(&mut self) -> Option<BytesMut> {
        let first = *self.unread.first()?;
        // HTTP/2 begins with a frame of settings, whose length is less than a mebibyte.
        if *self.is_http1.get_or_insert(first == b'H') {
            return Some(self.unread.split());
        }
        let mut header = self.unread.get(..FRAME_HEADER_BYTES)?;
        let length = usize::try_from(header.get_uint(3)).expect("three bytes fit");
        let [frame_type, flags] = [header.get_u8(), header.get_u8()];
        if self.unread.len() < FRAME_HEADER_BYTES + length {
            return None;
        }
        let mut frame = self.unread.split_to(FRAME_HEADER_BYTES + length);
        if frame_type == HEADERS && flags & END_HEADERS != 0 {
            // This server pads no frame, so the fields extend to its end.
            frame.extend_from_slice(FIELD);
            let length = u32::try_from(length + FIELD.len()).expect("a frame is below 16 MiB");
            frame[..3].copy_from_slice(&length.to_be_bytes()[1..]);
        }
        Some(frame)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn relayed(bytes: &[u8], at_a_time: usize) -> Vec<u8> {
        let mut frames = Frames::default();
        let mut sent = Vec::new();
        for piece in bytes.chunks(at_a_time) {
            frames.unread.extend_from_slice(piece);
            while let Some(bytes) = frames.next() {
                sent.extend(bytes);
            }
        }
        sent
    }

    #[test]
    fn only_the_head_of_a_response_is_changed() {
        let settings = b"\0\0\0\x04\0\0\0\0\0";
        let head = b"\0\0\x01\x01\x04\0\0\0\x01\x88";
        let data = b"\0\0\x02\0\0\0\0\0\x01hi";
        let changed = [&b"\0\0\x18\x01\x04\0\0\0\x01\x88"[..], FIELD].concat();
        let input = [&settings[..], head, data].concat();
        let expected = [&settings[..], &changed, data].concat();
        for at_a_time in [1, 2, 1000] {
            assert_eq!(relayed(&input, at_a_time), expected, "by {at_a_time}");
        }
    }

    #[test]
    fn http1_passes_as_it_is() {
        let input = b"HTTP/1.1 200 OK\r\n\r\n\0\0\x01\x01\x04";
        assert_eq!(relayed(input, 3), input);
    }
}

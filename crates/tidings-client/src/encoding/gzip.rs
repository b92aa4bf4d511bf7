//! Decompresses a body as it arrives.

use std::{
    io::Write,
    mem,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Buf, Bytes};
use flate2::write::MultiGzDecoder;
use http_body::{Body, Frame};

use crate::{body::ResponseBody, error::TransportError};

/// How many bytes are decompressed at a time. They become at most about a thousand times as many, so this bounds the
/// memory that a hostile server can occupy here.
const BITE_BYTES: usize = 512;

/// A body that decompresses another one. All events of a piece are yielded before the next piece is awaited, so that no
/// event waits for the one after it.
pub(super) struct Gunzip {
    body: ResponseBody,
    decoder: MultiGzDecoder<Vec<u8>>,
    compressed: Bytes,
}

impl Gunzip {
    pub(super) fn new(body: ResponseBody) -> Self {
        Self { body, decoder: MultiGzDecoder::new(Vec::new()), compressed: Bytes::new() }
    }

    fn bite(&mut self) -> std::io::Result<Bytes> {
        let bite = self.compressed.len().min(BITE_BYTES);
        self.decoder.write_all(&self.compressed[..bite])?;
        self.decoder.flush()?;
        self.compressed.advance(bite);
        Ok(mem::take(self.decoder.get_mut()).into())
    }
}

impl Body for Gunzip {
    type Data = Bytes;
    type Error = TransportError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, TransportError>>> {
        loop {
            while !self.compressed.is_empty() {
                let plain = match self.bite() {
                    Ok(plain) => plain,
                    Err(error) => return Poll::Ready(Some(Err(TransportError::broken(error)))),
                };
                if !plain.is_empty() {
                    return Poll::Ready(Some(Ok(Frame::data(plain))));
                }
            }
            match ready!(self.body.poll_chunk(cx)) {
                Some(Ok(chunk)) => self.compressed = chunk,
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                // The trailer may be missing: servers often drop a compressor instead of finishing it.
                None => return Poll::Ready(None),
            }
        }
    }
}

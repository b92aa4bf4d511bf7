//! Compresses without flushing: output appears only when the compressor has enough input.

use std::io::Write;

use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};
use http::{HeaderMap, header::ACCEPT_ENCODING};

use super::stage::Stage;

#[derive(Debug)]
pub(super) struct Gzip(GzEncoder<Vec<u8>>);

impl Gzip {
    pub(super) fn new() -> Gzip {
        Gzip(GzEncoder::new(Vec::new(), Compression::default()))
    }
}

/// Whether a client accepts gzip. A weight of 0 is ignored, as in real compressors.
pub(super) fn is_accepted(headers: &HeaderMap) -> bool {
    let mut accepted = headers.get_all(ACCEPT_ENCODING).iter();
    accepted.any(|value| value.as_bytes().windows(4).any(|word| word.eq_ignore_ascii_case(b"gzip")))
}

impl Stage for Gzip {
    fn push(&mut self, bytes: Bytes, pieces: &mut Vec<Bytes>) {
        self.0.write_all(&bytes).expect("a Vec takes everything");
        pieces.push(std::mem::take(self.0.get_mut()).into());
    }

    fn finish(&mut self, pieces: &mut Vec<Bytes>) {
        self.0.try_finish().expect("a Vec takes everything");
        pieces.push(std::mem::take(self.0.get_mut()).into());
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::{super::stage::pass, *};

    #[test]
    fn nothing_but_the_header_comes_before_the_end() {
        let mut stages: Vec<Box<dyn Stage>> = vec![Box::new(Gzip::new())];
        let mut early: Vec<u8> = pass(&mut stages, Some(Bytes::from_static(b"data: a\n\n"))).concat();
        assert_eq!(flate2::read::GzDecoder::new(&early[..]).read(&mut [0; 10]).ok(), None, "{early:?}");
        early.extend(pass(&mut stages, None).concat());
        let mut text = String::new();
        flate2::read::GzDecoder::new(&early[..]).read_to_string(&mut text).unwrap();
        assert_eq!(text, "data: a\n\n");
    }
}

//! A buffer that passes its bytes on when it is full, as in proxies.

use bytes::{Bytes, BytesMut};

use super::stage::Stage;

/// The maximum for holding everything: a longer stream arrives in pieces of this size.
pub(super) const ALL: usize = 64 << 20;

#[derive(Debug)]
pub(super) struct Hold {
    size: usize,
    held: BytesMut,
}

impl Hold {
    pub(super) fn new(size: usize) -> Hold {
        Hold { size: size.clamp(1, ALL), held: BytesMut::new() }
    }
}

impl Stage for Hold {
    fn push(&mut self, bytes: Bytes, pieces: &mut Vec<Bytes>) {
        self.held.extend_from_slice(&bytes);
        let full = self.held.len() / self.size * self.size;
        pieces.push(self.held.split_to(full).freeze());
    }

    fn finish(&mut self, pieces: &mut Vec<Bytes>) {
        pieces.push(self.held.split().freeze());
    }
}

#[cfg(test)]
mod tests {
    use super::{super::stage::tests::run, *};

    #[test]
    fn bytes_wait_until_the_buffer_is_full() {
        assert_eq!(run(Hold::new(4), &["ab", "cde", "fghijk"]), ["", "abcd", "efgh", "ijk"]);
        assert_eq!(run(Hold::new(ALL), &["ab", "cde"]), ["", "", "abcde"]);
    }
}

//! A buffer that passes on what it has when it is full, as proxies have.

use bytes::{Bytes, BytesMut};

use super::stage::Stage;

/// What is kept back at most, to hold everything: a stream that is longer comes in pieces of this size.
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

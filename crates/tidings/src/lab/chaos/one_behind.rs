//! Delays each event until the next one, like a compressor that flushes before it writes.

use bytes::Bytes;

use super::{blocks::Blocks, stage::Stage};

#[derive(Debug, Default)]
pub(super) struct OneBehind {
    blocks: Blocks,
    held: Bytes,
}

impl Stage for OneBehind {
    fn push(&mut self, bytes: Bytes, pieces: &mut Vec<Bytes>) {
        for block in self.blocks.push(&bytes) {
            pieces.push(std::mem::replace(&mut self.held, block));
        }
    }

    fn finish(&mut self, pieces: &mut Vec<Bytes>) {
        pieces.push(std::mem::take(&mut self.held));
        pieces.push(self.blocks.rest());
    }
}

#[cfg(test)]
mod tests {
    use super::{super::stage::tests::run, *};

    #[test]
    fn each_event_comes_with_the_next() {
        let input = ["data: a\n\n", "data: b\n\ndata: c\n\n", ":\n"];
        assert_eq!(run(OneBehind::default(), &input), ["", "data: a\n\n|data: b\n\n", "", "data: c\n\n|:\n"]);
    }
}

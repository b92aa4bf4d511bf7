//! Ends lines with CR and LF, and packets between the two.

use bytes::{Bytes, BytesMut};

use super::stage::Stage;

#[derive(Debug, Default)]
pub(super) struct CrlfSplit {
    after_cr: bool,
}

impl Stage for CrlfSplit {
    fn push(&mut self, bytes: Bytes, pieces: &mut Vec<Bytes>) {
        let mut piece = BytesMut::new();
        for &byte in &bytes {
            match byte {
                // The second half of a line end that was already CRLF.
                b'\n' if self.after_cr => {}
                b'\r' | b'\n' => {
                    piece.extend_from_slice(b"\r");
                    pieces.push(piece.split().freeze());
                    piece.extend_from_slice(b"\n");
                }
                byte => piece.extend_from_slice(&[byte]),
            }
            self.after_cr = byte == b'\r';
        }
        pieces.push(piece.freeze());
    }
}

#[cfg(test)]
mod tests {
    use super::{super::stage::tests::run, *};

    #[test]
    fn each_line_end_is_cut_in_two() {
        assert_eq!(run(CrlfSplit::default(), &["a\n\nb", "\nc"]), ["a\r|\n\r|\nb", "\r|\nc", ""]);
    }

    #[test]
    fn other_line_ends_become_the_same() {
        assert_eq!(run(CrlfSplit::default(), &["a\r", "\nb\rc"]), ["a\r|\n", "b\r|\nc", ""]);
    }
}

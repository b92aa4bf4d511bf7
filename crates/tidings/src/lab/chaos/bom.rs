//! Adds a byte order mark before the stream.

use bytes::Bytes;

use super::stage::Stage;

#[derive(Debug, Default)]
pub(super) struct Bom {
    sent: bool,
}

impl Stage for Bom {
    fn push(&mut self, bytes: Bytes, pieces: &mut Vec<Bytes>) {
        if std::mem::replace(&mut self.sent, true) {
            pieces.push(bytes);
        } else {
            pieces.push(["\u{feff}".as_bytes(), &bytes].concat().into());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::stage::tests::run, *};

    #[test]
    fn the_mark_comes_once() {
        assert_eq!(run(Bom::default(), &["a", "b"]), ["\u{feff}a", "b", ""]);
    }
}

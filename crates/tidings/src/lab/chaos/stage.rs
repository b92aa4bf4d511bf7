//! A change to the bytes of a stream on their way.

use bytes::Bytes;

/// One change. Several are applied one after the other.
pub(super) trait Stage: Send {
    /// Takes the next bytes, and returns the bytes to pass on. Each returned piece is sent in its own write.
    fn push(&mut self, bytes: Bytes, pieces: &mut Vec<Bytes>);

    /// Returns the remaining bytes when the stream has ended.
    fn finish(&mut self, _pieces: &mut Vec<Bytes>) {}
}

/// Sends bytes through all stages, and finishes the stages at the end of the stream.
pub(super) fn pass(stages: &mut [Box<dyn Stage>], bytes: Option<Bytes>) -> Vec<Bytes> {
    let ended = bytes.is_none();
    let mut pieces: Vec<Bytes> = bytes.into_iter().collect();
    for stage in stages {
        let mut next = Vec::new();
        for piece in pieces {
            stage.push(piece, &mut next);
        }
        if ended {
            stage.finish(&mut next);
        }
        pieces = next;
    }
    pieces.retain(|piece| !piece.is_empty());
    pieces
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// The output of a stage for each push and for the end, as text: pieces are joined by `|`.
    pub(in super::super) fn run(stage: impl Stage + 'static, input: &[&str]) -> Vec<String> {
        let mut stages: Vec<Box<dyn Stage>> = vec![Box::new(stage)];
        let input = input.iter().map(|text| Some(Bytes::copy_from_slice(text.as_bytes())));
        let text = |pieces: Vec<Bytes>| {
            let pieces: Vec<_> = pieces.iter().map(|piece| String::from_utf8_lossy(piece)).collect();
            pieces.join("|")
        };
        input.chain([None]).map(|bytes| text(pass(&mut stages, bytes))).collect()
    }
}

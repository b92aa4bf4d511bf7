//! A cache that takes a stream for a document: the second client gets the bytes of the first one.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Instant,
};

use bytes::{Bytes, BytesMut};
use http::HeaderMap;

use super::stage::Stage;

/// How many URLs are recorded. Others are passed on.
const MOST_URLS: usize = 64;

/// How many bytes of a stream are recorded.
const MOST_BYTES: usize = 1 << 20;

#[derive(Debug, Default)]
pub(super) struct Recordings(Mutex<HashMap<String, Arc<Recording>>>);

#[derive(Debug)]
pub(super) struct Recording {
    pub(super) headers: HeaderMap,
    pub(super) began: Instant,
    bytes: Mutex<BytesMut>,
}

impl Recordings {
    pub(super) fn find(&self, url: &str) -> Option<Arc<Recording>> {
        self.0.lock().expect("nobody panics with it").get(url).map(Arc::clone)
    }

    /// Begins to record a stream, unless another request was faster.
    pub(super) fn begin(&self, url: &str, headers: &HeaderMap) -> Option<Recorder> {
        let mut recordings = self.0.lock().expect("nobody panics with it");
        if recordings.len() >= MOST_URLS || recordings.contains_key(url) {
            return None;
        }
        let recording =
            Arc::new(Recording { headers: headers.clone(), began: Instant::now(), bytes: Mutex::default() });
        recordings.insert(url.to_owned(), Arc::clone(&recording));
        Some(Recorder(recording))
    }
}

impl Recording {
    /// The bytes recorded so far.
    pub(super) fn bytes(&self) -> Bytes {
        self.bytes.lock().expect("nobody panics with it").clone().freeze()
    }
}

/// Records the bytes that pass, without changing them.
#[derive(Debug)]
pub(super) struct Recorder(Arc<Recording>);

impl Stage for Recorder {
    fn push(&mut self, bytes: Bytes, pieces: &mut Vec<Bytes>) {
        let mut recorded = self.0.bytes.lock().expect("nobody panics with it");
        let room = MOST_BYTES - recorded.len();
        recorded.extend_from_slice(&bytes[..bytes.len().min(room)]);
        pieces.push(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_stream_of_a_url_is_recorded_and_no_other() {
        let recordings = Recordings::default();
        let mut first = recordings.begin("/a", &HeaderMap::new()).unwrap();
        assert!(recordings.begin("/a", &HeaderMap::new()).is_none());
        first.push(Bytes::from_static(b"data: a\n\n"), &mut Vec::new());
        assert_eq!(recordings.find("/a").unwrap().bytes(), "data: a\n\n");
        assert!(recordings.find("/b").is_none());
    }

    #[test]
    fn a_recording_has_a_bound() {
        let recordings = Recordings::default();
        let mut recorder = recordings.begin("/a", &HeaderMap::new()).unwrap();
        for _ in 0..3 {
            recorder.push(vec![b'x'; MOST_BYTES / 2 + 1].into(), &mut Vec::new());
        }
        assert_eq!(recordings.find("/a").unwrap().bytes().len(), MOST_BYTES);
        for number in 0..2 * MOST_URLS {
            recordings.begin(&number.to_string(), &HeaderMap::new());
        }
        assert_eq!(recordings.0.lock().unwrap().len(), MOST_URLS);
    }
}

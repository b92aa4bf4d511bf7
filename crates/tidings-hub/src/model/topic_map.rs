//! Tables by topic.

use std::{
    collections::HashMap,
    hash::{BuildHasherDefault, Hasher},
};

use super::topic::Topic;

/// A table whose keys bring their hash: an update looks into several of them.
pub(crate) type TopicMap<V> = HashMap<Topic, V, BuildHasherDefault<KeptHash>>;

/// The hash that a topic was made with, which has the keys of this process in it already.
#[derive(Debug, Default)]
pub(crate) struct KeptHash(u64);

impl Hasher for KeptHash {
    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }

    fn write(&mut self, bytes: &[u8]) {
        debug_assert!(false, "a topic is hashed as one number, not as {bytes:?}");
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

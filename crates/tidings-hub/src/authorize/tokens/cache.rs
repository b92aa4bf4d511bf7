//! Tokens that were verified: clients that reconnect show the same token again and again.

use std::{
    collections::{HashMap, VecDeque},
    fmt,
    sync::{Mutex, MutexGuard, PoisonError},
    time::SystemTime,
};

use ring::digest::{SHA256, digest};

use super::{Accepted, Credential};

/// The most tokens, and the most bytes that all of them have.
const MAX_TOKENS: usize = 10_000;
const MAX_BYTES: usize = 16 << 20;

/// The SHA-256 of a token. The token itself is not kept.
type Hash = [u8; 32];

/// Verified tokens with their rights, each until its end. If there is no room, the token that was verified first is dropped.
#[derive(Default)]
pub(super) struct Cache(Mutex<Entries>);

#[derive(Default)]
struct Entries {
    by_hash: HashMap<Hash, Entry>,
    /// In the order in which they were verified. It may have numbers whose entries are gone, and has at most as many as there is room
    /// for entries.
    order: VecDeque<(u64, Hash)>,
    bytes: usize,
    next_number: u64,
}

struct Entry {
    number: u64,
    bytes: usize,
    accepted: Accepted,
    /// Of which keys it was verified: a key that its issuer takes back verifies nothing any more.
    keys: u64,
}

impl Cache {
    /// The rights of the token, if it was verified and has not ended. `keys` says whether the keys are still those of that time.
    pub(super) fn find(
        &self,
        token: &str,
        now: SystemTime,
        keys: impl Fn(&Accepted) -> u64,
    ) -> Option<Accepted> {
        let hash = hash(token);
        let mut entries = self.entries();
        let entry = entries.by_hash.get(&hash)?;
        let is_over = entry.accepted.credential.expires.is_some_and(|end| end <= now);
        if is_over || keys(&entry.accepted) != entry.keys {
            entries.remove(&hash);
            return None;
        }
        Some(entry.accepted.clone())
    }

    /// Remembers what a token allows.
    pub(super) fn insert(&self, token: &str, accepted: &Accepted, keys: u64) {
        let (hash, bytes) = (hash(token), token.len());
        let mut entries = self.entries();
        entries.remove(&hash);
        while entries.order.len() >= MAX_TOKENS || entries.bytes + bytes > MAX_BYTES {
            let Some((number, oldest)) = entries.order.pop_front() else { break };
            if entries.by_hash.get(&oldest).is_some_and(|entry| entry.number == number) {
                entries.remove(&oldest);
            }
        }
        let number = entries.next_number;
        entries.next_number += 1;
        entries.bytes += bytes;
        entries.order.push_back((number, hash));
        entries.by_hash.insert(hash, Entry { number, bytes, accepted: accepted.clone(), keys });
    }

    /// Drops the tokens of the credentials that `is_hit`. Looks at all of them.
    pub(super) fn forget(&self, is_hit: impl Fn(&Credential) -> bool) {
        let mut entries = self.entries();
        let mut bytes = 0;
        entries.by_hash.retain(|_, entry| {
            let stays = !is_hit(&entry.accepted.credential);
            bytes += if stays { entry.bytes } else { 0 };
            stays
        });
        entries.bytes = bytes;
    }

    fn entries(&self) -> MutexGuard<'_, Entries> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entries {
    fn remove(&mut self, hash: &Hash) {
        if let Some(entry) = self.by_hash.remove(hash) {
            self.bytes -= entry.bytes;
        }
    }
}

fn hash(token: &str) -> Hash {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest(&SHA256, token.as_bytes()).as_ref());
    hash
}

/// How many there are.
impl fmt::Debug for Cache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cache").field("tokens", &self.entries().by_hash.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::Arc,
        time::{Duration, SystemTime},
    };

    use super::*;
    use crate::{
        Matchers,
        authorize::{CredentialKind, Limits, Rights},
    };

    fn now() -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_000)
    }

    fn accepted(name: &str, expires: Option<SystemTime>) -> Accepted {
        let credential = Credential {
            name: name.into(),
            kind: CredentialKind::Token,
            subject: None,
            issuer: None,
            token_id: None,
            issued_at: None,
            expires,
            claims: serde_json::Map::new(),
            keys: 0,
        };
        Accepted {
            credential: Arc::new(credential),
            publish: Matchers::none(),
            read: Matchers::all(),
            rights: Rights::default(),
            limits: Limits::default(),
            payload: None,
        }
    }

    fn found(cache: &Cache, token: &str, at: SystemTime) -> Option<String> {
        cache.find(token, at, |_| 7).map(|accepted| accepted.credential.name.to_string())
    }

    #[test]
    fn a_token_is_remembered_until_it_ends() {
        let (cache, end) = (Cache::default(), now() + Duration::from_secs(60));
        cache.insert("one", &accepted("1", Some(end)), 7);
        cache.insert("two", &accepted("2", None), 7);
        assert_eq!(found(&cache, "one", now()).as_deref(), Some("1"));
        assert_eq!(found(&cache, "one ", now()), None);
        assert_eq!(found(&cache, "one", end), None);
        assert_eq!(found(&cache, "one", now()), None, "it is dropped");
        assert_eq!(found(&cache, "two", end + Duration::from_secs(1 << 30)).as_deref(), Some("2"));
    }

    #[test]
    fn a_token_is_forgotten_when_its_keys_change_or_its_credential_is_hit() {
        let cache = Cache::default();
        for name in ["one", "two", "three"] {
            cache.insert(name, &accepted(name, None), 7);
        }
        assert!(cache.find("one", now(), |_| 8).is_none());
        cache.forget(|credential| &*credential.name == "two");
        assert_eq!(
            ["one", "two", "three"].map(|name| found(&cache, name, now()).is_some()),
            [false, false, true]
        );
        assert_eq!(cache.entries().bytes, "three".len());
    }

    #[test]
    fn there_is_room_for_so_many_tokens_and_bytes_and_the_first_ones_go() {
        let cache = Cache::default();
        let insert = |number: usize, bytes: usize| {
            cache.insert(&format!("{number:0bytes$}"), &accepted("", None), 7);
            let entries = cache.entries();
            assert!(entries.by_hash.len() <= MAX_TOKENS && entries.order.len() <= MAX_TOKENS);
            assert!(entries.bytes <= MAX_BYTES, "{}", entries.bytes);
        };
        for number in 0..MAX_TOKENS + 10 {
            insert(number, 100);
            // One that is inserted again and again takes the room of one.
            insert(0, 100);
        }
        assert!(found(&cache, &format!("{:0100}", MAX_TOKENS + 9), now()).is_some());
        assert!(found(&cache, &format!("{:0100}", 1), now()).is_none());
        for number in 0..2_000 {
            insert(number, 16_384);
        }
        assert!(cache.entries().by_hash.len() <= MAX_BYTES / 16_384);
    }
}

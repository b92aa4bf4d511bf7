//! Keys for backends that make no tokens: what the access file has of a key allows its holder something.

use std::{
    collections::HashMap,
    fmt, io,
    sync::Arc,
    time::{Duration, SystemTime},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use ring::digest;
use serde_json::Map;

use super::{Accepted, Credential, CredentialKind, Limits, Refusal, Rights, Subject, Template};
use crate::{Matchers, TopicFilter};

/// The beginning of every API key.
const BEGINNING: &str = "tdk_";
const ID_CHARS: usize = 8;
const SECRET_CHARS: usize = 32;
const BASE62: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// The issuer of the subjects of API keys: their names are apart from those in tokens.
pub(super) const API_KEY_ISSUER: &str = "api-key";

/// SHA-256 of a secret. The secret has 190 random bits: a slow hash would make nothing safer.
type Hash = [u8; 32];

/// A new API key: `tdk_`, an ID of 8 characters, `_`, and a secret of 32.
///
/// ```
/// let key = tidings_hub::NewApiKey::random()?;
/// assert!(key.text().starts_with(&format!("tdk_{}_", key.id())));
/// assert_eq!(key.sha256().len(), 64);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone)]
pub struct NewApiKey(String);

impl NewApiKey {
    /// Makes one from the randomness of the operating system.
    ///
    /// # Errors
    /// When the operating system has no randomness.
    pub fn random() -> io::Result<NewApiKey> {
        let (id, secret) = (random_text(ID_CHARS)?, random_text(SECRET_CHARS)?);
        Ok(NewApiKey(format!("{BEGINNING}{id}_{secret}")))
    }

    /// The whole key, which a backend sends as `Authorization: Bearer tdk_…`. It is a secret.
    pub fn text(&self) -> &str {
        &self.0
    }

    /// The ID, by which logs and the access file name the key.
    pub fn id(&self) -> &str {
        &self.0[BEGINNING.len()..BEGINNING.len() + ID_CHARS]
    }

    /// SHA-256 of the secret, in 64 hexadecimal digits: all that the access file has of it.
    pub fn sha256(&self) -> String {
        let hash = hash(&self.0[BEGINNING.len() + ID_CHARS + 1..]);
        hash.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// Without the secret.
impl fmt::Debug for NewApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewApiKey").field("id", &self.id()).finish_non_exhaustive()
    }
}

/// An API key as the access file has it.
#[derive(Debug, Clone)]
pub(crate) struct ApiKey {
    pub(crate) id: Box<str>,
    pub(crate) sha256: Hash,
    /// In them, `{sub}` stands for the ID.
    pub(crate) publish: Vec<Template>,
    /// With private updates.
    pub(crate) read: Vec<Template>,
    pub(crate) rights: Rights,
    pub(crate) limits: Limits,
    /// `None` if it holds for ever.
    pub(crate) expires: Option<SystemTime>,
}

/// Whether a text can be the ID of a key.
pub(crate) fn is_api_key_id(text: &str) -> bool {
    is_base62(text, ID_CHARS)
}

/// Reads SHA-256 from 64 hexadecimal digits.
pub(crate) fn read_sha256(text: &str) -> Option<Hash> {
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    let mut hash = [0; 32];
    for (byte, digits) in hash.iter_mut().zip(text.as_bytes().chunks(2)) {
        // A sign would be taken for a digit.
        let digits = std::str::from_utf8(digits).ok().filter(|digits| !digits.starts_with('+'))?;
        *byte = u8::from_str_radix(digits, 16).ok()?;
    }
    Some(hash)
}

/// All API keys of a hub.
#[derive(Debug, Clone, Default)]
pub(crate) struct ApiKeys(HashMap<Box<str>, Known>);

#[derive(Debug, Clone)]
struct Known {
    sha256: Hash,
    accepted: Accepted,
}

impl ApiKeys {
    /// Adds a key, in place of one with the same ID. Requests with the same key share its credential.
    pub(crate) fn insert(&mut self, key: ApiKey) {
        let credential = Arc::new(Credential {
            name: key.id.clone(),
            kind: CredentialKind::ApiKey,
            subject: Some(Subject::new(API_KEY_ISSUER, key.id.clone())),
            issuer: None,
            token_id: None,
            issued_at: None,
            expires: key.expires,
            claims: Map::new(),
            keys: fingerprint(&key.sha256),
        });
        let fill = |templates: &[Template]| -> Matchers {
            let filled = templates.iter().filter_map(|template| template.fill(Some(&credential)));
            filled.collect::<Vec<TopicFilter>>().into_iter().collect()
        };
        let accepted = Accepted {
            publish: fill(&key.publish),
            read: fill(&key.read),
            rights: key.rights,
            limits: key.limits,
            payload: None,
            credential,
        };
        self.0.insert(key.id, Known { sha256: key.sha256, accepted });
    }

    /// The rights of the key of an ID.
    pub(crate) fn of(&self, id: &str) -> Option<&Accepted> {
        self.0.get(id).map(|known| &known.accepted)
    }

    /// The credential and the rights that a key has now which was accepted before. `None` if it is gone, or has another secret.
    pub(crate) fn again(&self, credential: &Credential) -> Option<Accepted> {
        let known = self.of(&credential.name)?;
        (known.credential.keys == credential.keys).then(|| known.clone())
    }

    /// The credential of a key, and what it allows.
    ///
    /// # Errors
    /// `api-key-wrong` for a text that is none of the keys, which tells nothing and takes as long for an unknown ID as for a wrong
    /// secret; `token-expired` for a key whose time is over.
    pub(crate) fn accept(&self, text: &str, now: SystemTime) -> Result<Accepted, Refusal> {
        let Some((id, secret)) = parts(text) else {
            return Err(Refusal::before(
                "api-key-wrong",
                format!(
                    "an API key is {BEGINNING}, {ID_CHARS} letters and digits, an underscore, and {SECRET_CHARS} more"
                ),
            ));
        };
        let known = self.0.get(id);
        let is_equal = constant_time_equal(&hash(secret), &known.map_or([0; 32], |known| known.sha256));
        let known = match known {
            Some(known) if is_equal => known,
            // The ID is not repeated: what is sent as one may be half of a secret.
            Some(_) => return Err(Refusal::before("api-key-wrong", "the secret of the API key is wrong")),
            None => {
                return Err(Refusal::before("api-key-wrong", "no API key of this ID is in the access file"));
            }
        };
        let ago = known.accepted.credential.expires.and_then(|expires| now.duration_since(expires).ok());
        match ago {
            None => Ok(known.accepted.clone()),
            Some(ago) => Err(expired(id, now - ago, ago)),
        }
    }
}

/// Tells the secret from others that the key of the same ID may have had.
fn fingerprint(sha256: &Hash) -> u64 {
    u64::from_be_bytes(std::array::from_fn(|place| sha256[place])).max(1)
}

fn expired(id: &str, expired: SystemTime, ago: Duration) -> Refusal {
    let detail = format!(
        "the API key {id} expired at {}, {} s ago; ask the operator of the hub for a new one (tidings token key --api)",
        humantime::format_rfc3339_seconds(expired),
        ago.as_secs()
    );
    Refusal::after("token-expired", detail)
}

/// Whether a credential of a request is meant as an API key.
pub(crate) fn looks_like_api_key(text: &str) -> bool {
    text.starts_with(BEGINNING)
}

/// The API key in what follows `Basic` in a header `Authorization`: the user is its ID, and the password the whole key. It is
/// for webhooks, which know nothing else.
///
/// # Errors
/// `api-key-wrong` if it is not base64, or user and password do not belong together.
pub(crate) fn basic_api_key(encoded: &str) -> Result<String, Refusal> {
    let wrong = |detail| Refusal::before("api-key-wrong", detail);
    let decoded = STANDARD.decode(encoded).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    let decoded = decoded.ok_or_else(|| wrong("after Basic comes no base64 of a text"))?;
    let (user, password) =
        decoded.split_once(':').ok_or_else(|| wrong("Basic has no colon between user and password"))?;
    match parts(password) {
        Some((id, _)) if id == user => Ok(password.to_owned()),
        _ => Err(wrong("with Basic, the user is the ID of an API key, and the password is the whole key")),
    }
}

/// The ID of a key that is given whole.
pub(crate) fn id_of_api_key(key: &str) -> Option<&str> {
    parts(key).map(|(id, _)| id)
}

/// The ID and the secret in the text of a key.
fn parts(text: &str) -> Option<(&str, &str)> {
    let (id, secret) = text.strip_prefix(BEGINNING)?.split_once('_')?;
    (is_api_key_id(id) && is_base62(secret, SECRET_CHARS)).then_some((id, secret))
}

fn is_base62(text: &str, chars: usize) -> bool {
    text.len() == chars && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

fn hash(secret: &str) -> Hash {
    let digest = digest::digest(&digest::SHA256, secret.as_bytes());
    digest.as_ref().try_into().expect("SHA-256 has 32 bytes")
}

/// Looks at each byte, wherever the first difference is.
fn constant_time_equal(one: &Hash, other: &Hash) -> bool {
    one.iter().zip(other).fold(0, |difference, (one, other)| difference | (one ^ other)) == 0
}

/// So many characters, each of them equally probable.
fn random_text(chars: usize) -> io::Result<String> {
    let mut text = String::with_capacity(chars);
    let mut bytes = [0; 64];
    while text.len() < chars {
        getrandom::fill(&mut bytes).map_err(|error| io::Error::other(error.to_string()))?;
        // 248 is four times 62: beyond it, some characters would come more often.
        let fair = bytes.iter().filter(|byte| **byte < 248).map(|byte| BASE62[usize::from(byte % 62)]);
        text.extend(fair.take(chars - text.len()).map(char::from));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;
    use crate::authorize::Right;

    const NOW: SystemTime = UNIX_EPOCH;

    fn later(seconds: u64) -> SystemTime {
        NOW + Duration::from_secs(seconds)
    }

    fn entry(key: &NewApiKey) -> ApiKey {
        ApiKey {
            id: key.id().into(),
            sha256: read_sha256(&key.sha256()).unwrap(),
            publish: vec!["orders/*".parse().unwrap(), "keys/{sub}/*".parse().unwrap()],
            read: vec!["{iss}/x".parse().unwrap(), "news".parse().unwrap()],
            rights: [Right::Metrics].into_iter().collect(),
            limits: Limits::default(),
            expires: Some(later(60)),
        }
    }

    #[test]
    fn a_new_key_has_an_id_and_a_secret_and_is_accepted_by_what_the_file_has_of_it() {
        let key = NewApiKey::random().unwrap();
        assert_eq!((key.text().len(), parts(key.text()).map(|(id, _)| id)), (45, Some(key.id())));
        assert!(looks_like_api_key(key.text()) && !key.sha256().contains(&key.text()[13..]));
        assert!(!format!("{key:?}").contains(&key.text()[13..]));
        let mut keys = ApiKeys::default();
        keys.insert(entry(&key));
        let accepted = keys.accept(key.text(), NOW).unwrap();
        assert_eq!(accepted.publish, Matchers::parse(["orders/*", &format!("keys/{}/*", key.id())]).unwrap());
        assert_eq!(accepted.read, Matchers::parse(["news"]).unwrap());
        assert!(accepted.rights.has(Right::Metrics) && !accepted.rights.has(Right::Admin));
        let credential = &accepted.credential;
        assert_eq!((&*credential.name, credential.kind), (key.id(), CredentialKind::ApiKey));
        assert_eq!(credential.subject, Some(Subject::new("api-key", key.id())));
        assert_eq!(credential.expires, Some(later(60)));
        assert!(Arc::ptr_eq(credential, &keys.accept(key.text(), NOW).unwrap().credential));
    }

    #[test]
    fn new_keys_have_all_characters_and_are_never_the_same() {
        let keys: Vec<_> = (0..100).map(|_| NewApiKey::random().unwrap().text().to_owned()).collect();
        let seen: std::collections::HashSet<char> = keys.iter().flat_map(|key| key.chars()).collect();
        assert_eq!(seen.len(), 63, "the base62 characters and the underscore");
        assert_eq!(keys.iter().collect::<std::collections::HashSet<_>>().len(), 100);
    }

    #[test]
    fn a_key_that_is_unknown_or_wrong_is_refused_and_an_expired_one_is_told_so() {
        let (key, other) = (NewApiKey::random().unwrap(), NewApiKey::random().unwrap());
        let mut keys = ApiKeys::default();
        keys.insert(entry(&key));
        let swapped = format!("tdk_{}_{}", key.id(), &other.text()[13..]);
        let malformed = [
            "",
            "tdk_",
            "tdk_12345678_",
            &key.text()[1..],
            &key.text()[..44],
            &format!("{}x", key.text()),
            &key.text().replace("tdk_", "TDK_"),
            &format!("{} ", key.text()),
            &format!("tdk_{}-{}", key.id(), &key.text()[13..]),
            "tdk_ää34_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
        ];
        for text in [other.text(), &swapped].into_iter().chain(malformed) {
            let refusal = keys.accept(text, NOW).unwrap_err();
            assert_eq!((refusal.rule, refusal.is_signed), ("api-key-wrong", false), "{text:?}");
            assert!(!refusal.detail.contains(&key.text()[13..]), "{refusal:?}");
        }
        assert!(keys.accept(key.text(), later(59)).is_ok());
        let refusal = keys.accept(key.text(), later(101)).unwrap_err();
        assert_eq!((refusal.rule, refusal.is_signed), ("token-expired", true));
        assert!(refusal.detail.contains("1970-01-01T00:01:00Z, 41 s ago"), "{}", refusal.detail);
        assert!(refusal.detail.contains(key.id()) && refusal.detail.contains("ask the operator"));
    }

    #[test]
    fn a_key_goes_on_after_a_change_of_the_file_while_its_secret_is_the_same() {
        let (key, other) = (NewApiKey::random().unwrap(), NewApiKey::random().unwrap());
        let keys = |entries: &[ApiKey]| {
            let mut keys = ApiKeys::default();
            entries.iter().cloned().for_each(|entry| keys.insert(entry));
            keys
        };
        let before = keys(&[entry(&key)]);
        let changed = keys(&[ApiKey { read: Vec::new(), ..entry(&key) }, entry(&other)]);
        assert!(
            changed
                .again(&before.of(key.id()).unwrap().credential)
                .is_some_and(|accepted| accepted.read.is_none())
        );
        let replaced = keys(&[ApiKey { id: key.id().into(), ..entry(&other) }]);
        assert!(replaced.again(&before.of(key.id()).unwrap().credential).is_none());
        assert!(keys(&[]).again(&before.of(key.id()).unwrap().credential).is_none());
    }

    #[test]
    fn with_basic_the_user_is_the_id_and_the_password_the_whole_key() {
        let (key, other) = (NewApiKey::random().unwrap(), NewApiKey::random().unwrap());
        let encode = |text: &str| STANDARD.encode(text);
        let taken = basic_api_key(&encode(&format!("{}:{}", key.id(), key.text())));
        assert_eq!(taken, Ok(key.text().to_owned()));
        for text in [
            format!("{}:{}", other.id(), key.text()),
            format!(":{}", key.text()),
            format!("{}:{}", key.id(), &key.text()[13..]),
            key.text().to_owned(),
            format!("{}:{}:", key.id(), key.text()),
        ] {
            assert_eq!(basic_api_key(&encode(&text)).unwrap_err().rule, "api-key-wrong", "{text}");
        }
        assert_eq!(basic_api_key("%").unwrap_err().rule, "api-key-wrong");
        assert_eq!(basic_api_key(&STANDARD.encode([0xff])).unwrap_err().rule, "api-key-wrong");
    }

    #[test]
    fn a_hash_is_64_hexadecimal_digits() {
        let key = NewApiKey::random().unwrap();
        assert_eq!(read_sha256(&key.sha256()), Some(hash(&key.text()[13..])));
        assert_eq!(read_sha256(&key.sha256().to_uppercase()), Some(hash(&key.text()[13..])));
        let long = "0".repeat(65);
        for text in ["", &long[..63], &long, &format!("+{}", &long[..63]), &"ä".repeat(32), &"g".repeat(64)]
        {
            assert_eq!(read_sha256(text), None, "{text}");
        }
        assert!(constant_time_equal(&[7; 32], &[7; 32]));
        for place in 0..32 {
            let mut other = [7; 32];
            other[place] ^= 0x80;
            assert!(!constant_time_equal(&[7; 32], &other));
        }
    }
}

//! The tokens of streams: what each allows, and why only the gateway can make one.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::hmac;

use super::{settings::Secret, stream::StreamId};

/// The rights of the holder of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Scope {
    Read,
    /// Read, and stop.
    Stop,
}

/// Why a token opens nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum InvalidToken {
    #[error("the token is not one of this stream")]
    Forged,
    #[error("the token has expired")]
    Expired,
    #[error(
        "the token only allows reading; to stop the stream, send the token of the header Tidings-Stop-Token"
    )]
    TooLittle,
}

/// Makes tokens and checks them: scope, expiry in seconds since 1970, and an HMAC-SHA-256 over both and the stream's ID.
///
/// The token does not contain the stream. So the token of another stream is not valid for this one.
pub(crate) struct Tokens {
    key: hmac::Key,
    lifetime: Duration,
}

const SCOPE: usize = 1;
const EXPIRY: usize = 8;
const TAG: usize = 32;

impl Tokens {
    pub(crate) fn new(secret: &Secret, lifetime: Duration) -> Tokens {
        Tokens { key: hmac::Key::new(hmac::HMAC_SHA256, secret.expose().as_bytes()), lifetime }
    }

    /// A token that is valid from now on for the lifetime of tokens.
    pub(crate) fn issue(&self, stream: &StreamId, scope: Scope) -> String {
        let expiry = seconds(SystemTime::now()).saturating_add(self.lifetime.as_secs());
        self.sign(stream, scope, expiry)
    }

    /// # Errors
    /// When `token` does not allow `wanted` with this stream now.
    pub(crate) fn check(&self, token: &str, stream: &StreamId, wanted: Scope) -> Result<(), InvalidToken> {
        let mut bytes = [0; SCOPE + EXPIRY + TAG];
        if token.len() != URL_SAFE_NO_PAD.encode(bytes).len()
            || URL_SAFE_NO_PAD.decode_slice(token, &mut bytes) != Ok(bytes.len())
        {
            return Err(InvalidToken::Forged);
        }
        let (said, tag) = bytes.split_at(SCOPE + EXPIRY);
        // In constant time, and before anything that the token says is looked at.
        hmac::verify(&self.key, &statement(stream, said), tag).map_err(|_| InvalidToken::Forged)?;
        let expiry = said[SCOPE..].iter().fold(0, |number: u64, byte| number << 8 | u64::from(*byte));
        if expiry <= seconds(SystemTime::now()) {
            return Err(InvalidToken::Expired);
        }
        let scope = if said[0] == Scope::Stop as u8 { Scope::Stop } else { Scope::Read };
        if scope < wanted { Err(InvalidToken::TooLittle) } else { Ok(()) }
    }

    /// The ID of a stream that follows from a name and the key.
    pub(crate) fn derive(&self, name: &[&[u8]]) -> StreamId {
        let mut context = hmac::Context::with_key(&self.key);
        context.update(b"tidings stream id\n");
        for part in name {
            // With their lengths, so that no two names are the same bytes.
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part);
        }
        let tag = context.sign();
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&tag.as_ref()[..16]);
        StreamId::from_bytes(bytes)
    }

    fn sign(&self, stream: &StreamId, scope: Scope, expiry: u64) -> String {
        let mut bytes = vec![scope as u8];
        bytes.extend(expiry.to_be_bytes());
        let tag = hmac::sign(&self.key, &statement(stream, &bytes));
        bytes.extend(tag.as_ref());
        URL_SAFE_NO_PAD.encode(bytes)
    }
}

fn statement(stream: &StreamId, said: &[u8]) -> Vec<u8> {
    [b"tidings stream token\n", &stream.as_bytes()[..], said].concat()
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

impl std::fmt::Debug for Tokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tokens").field("lifetime", &self.lifetime).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: [u8; 16] = [1; 16];
    const B: [u8; 16] = [2; 16];

    fn tokens() -> Tokens {
        Tokens::new(&Secret::new("a secret"), Duration::from_secs(60))
    }

    #[test]
    fn a_token_opens_its_own_stream_and_no_other() {
        let (tokens, a, b) = (tokens(), StreamId::from_bytes(A), StreamId::from_bytes(B));
        let read = tokens.issue(&a, Scope::Read);
        assert_eq!(tokens.check(&read, &a, Scope::Read), Ok(()));
        assert_eq!(tokens.check(&read, &b, Scope::Read), Err(InvalidToken::Forged));
        assert_eq!(tokens.check(&read, &a, Scope::Stop), Err(InvalidToken::TooLittle));
        let stop = tokens.issue(&a, Scope::Stop);
        assert_eq!(tokens.check(&stop, &a, Scope::Read), Ok(()));
        assert_eq!(tokens.check(&stop, &a, Scope::Stop), Ok(()));
        let others = Tokens::new(&Secret::new("another"), Duration::from_secs(60));
        assert_eq!(others.check(&stop, &a, Scope::Read), Err(InvalidToken::Forged));
    }

    #[test]
    fn a_token_with_any_character_changed_opens_nothing() {
        let (tokens, a) = (tokens(), StreamId::from_bytes(A));
        let token = tokens.issue(&a, Scope::Read);
        for at in 0..token.len() {
            let mut changed = token.clone().into_bytes();
            changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(changed).unwrap();
            assert_eq!(tokens.check(&changed, &a, Scope::Read), Err(InvalidToken::Forged), "{at}");
        }
        assert_eq!(tokens.check("", &a, Scope::Read), Err(InvalidToken::Forged));
    }

    #[test]
    fn a_token_ends_with_its_lifetime() {
        let tokens = Tokens::new(&Secret::new("a secret"), Duration::ZERO);
        let a = StreamId::from_bytes(A);
        assert_eq!(tokens.check(&tokens.issue(&a, Scope::Stop), &a, Scope::Read), Err(InvalidToken::Expired));
    }

    #[test]
    fn derived_ids_differ_with_each_part() {
        let tokens = tokens();
        assert_eq!(tokens.derive(&[b"a", b"b"]), tokens.derive(&[b"a", b"b"]));
        assert_ne!(tokens.derive(&[b"a", b"b"]), tokens.derive(&[b"ab", b""]));
        assert_ne!(tokens.derive(&[b"a"]), tokens.derive(&[b"b"]));
    }
}

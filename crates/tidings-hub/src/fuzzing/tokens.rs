//! Tokens, and the keys that verify them.

use std::time::{Duration, SystemTime};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::hmac;

use crate::{Issuer, TokenExplanation, TokenKeys, Tokens};

const SECRET: &[u8] = b"a secret that no input has: 3q2-7w";
const ED25519: &[u8] =
    br#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo","kid":"one"}"#;

/// 2026-01-02T03:04:05Z.
const NOW: Duration = Duration::from_secs(1_767_323_045);

/// Judging a token never panics, is always the same, and tells no secret. A token that was not signed is not accepted.
///
/// Input: one byte of flags. With an odd one, the rest is a token. With an even one, the rest is a header and a set of claims, separated
/// by 0xFF, which is in no UTF-8 text, and they are signed.
pub fn tokens(input: &[u8]) {
    let (flags, rest) = input.split_first().unwrap_or((&0, &[]));
    let is_signed = flags & 1 == 0;
    let token = match is_signed {
        true => {
            let mut parts = rest.splitn(2, |byte| *byte == 0xFF);
            let mut part = || URL_SAFE_NO_PAD.encode(parts.next().unwrap_or_default());
            let signed = format!("{}.{}", part(), part());
            let signature = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, SECRET), signed.as_bytes());
            format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
        }
        false => String::from_utf8_lossy(rest).into_owned(),
    };
    let tokens = judges();
    let explanation = judge(&tokens, &token);
    // A fuzzer that watches comparisons finds the secret, and writes it into claims, which are shown.
    let has_secret = |text: &[u8]| text.windows(SECRET.len()).any(|window| window == SECRET);
    if is_signed && !has_secret(rest) {
        let shown = format!("{explanation:?}");
        assert!(!has_secret(shown.as_bytes()), "{shown}");
    }
    if !is_signed {
        assert!(explanation.grant.is_none(), "nobody has signed {token}");
        return;
    }
    // The same token with another signature says the same, and is refused.
    if let Some((signed, signature)) = token.rsplit_once('.') {
        let other = if signature.starts_with('A') { 'B' } else { 'A' };
        let forged = judge(&tokens, &format!("{signed}.{other}{}", &signature[1..]));
        assert!(forged.grant.is_none(), "a signature that nobody made is accepted");
    }
}

/// Reading keys never panics, and tells no secret. A token that is not signed is accepted by no keys.
///
/// Input: the text of a file of keys.
pub fn keys(input: &[u8]) {
    for keys in
        [TokenKeys::parse(input), TokenKeys::parse_for(input, "PS512"), TokenKeys::parse_for(input, "HS512")]
    {
        let Ok(keys) = keys else { continue };
        assert!(keys.count() > 0, "no key is no keys");
        assert!(keys.has_public() || keys.has_secret());
        let tokens = Tokens::new(keys);
        for algorithm in ["HS256", "RS256", "PS512", "ES256", "ES384", "EdDSA"] {
            let header = URL_SAFE_NO_PAD.encode(format!(r#"{{"alg":"{algorithm}"}}"#));
            for signature in ["", "AAAA", &"A".repeat(86), &"A".repeat(128), &"_".repeat(342)] {
                let explanation = judge(&tokens, &format!("{header}.e30.{signature}"));
                assert!(explanation.grant.is_none());
            }
        }
    }
}

/// A nameless issuer with a secret, and a named one with a public key.
fn judges() -> Tokens {
    let keys = |text| TokenKeys::parse(text).expect("the key is a constant");
    Tokens::new(keys(SECRET))
        .with_issuer(Issuer::named("https://app.example", keys(ED25519)))
        .expect("there are two issuers")
        .with_audience("https://hub.example")
}

fn judge(tokens: &Tokens, token: &str) -> TokenExplanation {
    let now = SystemTime::UNIX_EPOCH + NOW;
    let (first, again) = (tokens.explain(token, now), tokens.explain(token, now));
    assert_eq!(first.checks, again.checks);
    assert_eq!(first.grant.is_some(), first.checks.iter().all(|check| check.refused_by.is_none()));
    for check in &first.checks {
        assert!(!check.detail.is_empty() && check.detail.len() < 4_096, "{check:?}");
        let rule = check.refused_by.unwrap_or("ok");
        assert!(rule.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-'), "{check:?}");
    }
    first
}

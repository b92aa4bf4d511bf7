//! One issuer: its keys, and what it has to write into its tokens.

#[cfg(feature = "jwks")]
use std::sync::Arc;
use std::time::Duration;

#[cfg(feature = "jwks")]
use super::jwks::PublishedKeys;
use super::{
    Refusal,
    algorithm::{Algorithm, listed},
    jws::Unverified,
    key::{Key, TokenKeys},
    shown::quoted,
};

/// The longest that clocks may differ.
const MAX_LEEWAY: Duration = Duration::from_secs(300);

/// How many keys of an algorithm are tried for a token that names none.
const MAX_TRIED: usize = 4;

/// An issuer of tokens: its keys, and the demands on its tokens.
///
/// ```
/// use std::time::Duration;
///
/// use tidings_hub::{Issuer, TokenKeys};
///
/// let keys = TokenKeys::parse(br#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#)?;
/// let issuer = Issuer::named("https://app.example", keys).with_leeway(Duration::from_secs(10))?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct Issuer {
    name: Option<Box<str>>,
    keys: Keys,
    pub(super) leeway: Duration,
    types: Option<Vec<Box<str>>>,
    pub(super) demands_expiry: bool,
    pub(super) max_life: Option<Duration>,
    in_query: bool,
}

/// The keys of an issuer.
#[derive(Debug, Clone)]
enum Keys {
    Given(TokenKeys),
    #[cfg(feature = "jwks")]
    Published(Arc<PublishedKeys>),
}

/// A demand on tokens that is out of bounds.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{problem}")]
pub struct InvalidIssuer {
    problem: String,
}

impl InvalidIssuer {
    pub(super) fn new(problem: impl Into<String>) -> InvalidIssuer {
        InvalidIssuer { problem: problem.into() }
    }
}

impl Issuer {
    /// The issuer of tokens whose `iss` is no other issuer's, and of those without `iss`.
    pub fn nameless(keys: impl Into<TokenKeys>) -> Issuer {
        Issuer::of(None, Keys::Given(keys.into()))
    }

    fn of(name: Option<Box<str>>, keys: Keys) -> Issuer {
        Issuer {
            name,
            keys,
            leeway: Duration::ZERO,
            types: None,
            demands_expiry: true,
            max_life: None,
            in_query: false,
        }
    }

    /// The issuer of tokens whose `iss` is exactly this name, such as `https://app.example`. Its keys verify no other tokens.
    pub fn named(name: impl Into<Box<str>>, keys: impl Into<TokenKeys>) -> Issuer {
        Issuer::of(Some(name.into()), Keys::Given(keys.into()))
    }

    /// The issuer of tokens whose `iss` is exactly this name, and whose keys are a JSON Web Key Set at a URL, such as
    /// `https://app.example/.well-known/jwks.json`.
    ///
    /// The hub fetches the set when it starts, and again after the time that `Cache-Control` says: 5 minutes to 24 hours, an hour if
    /// the answer does not say it. A token that names an unknown key makes the hub fetch it earlier, at most once a minute. If a
    /// fetch fails, the last set serves for 24 hours. While there is no set, requests with its tokens are answered 503.
    ///
    /// # Errors
    /// [`InvalidIssuer`] for a URL that is neither `https` nor `http` on this machine.
    #[cfg(feature = "jwks")]
    pub fn with_keys_at(name: impl Into<Box<str>>, url: &str) -> Result<Issuer, InvalidIssuer> {
        Ok(Issuer::of(Some(name.into()), Keys::Published(Arc::new(PublishedKeys::parse(url)?))))
    }

    /// Lets the clock of the issuer differ by so much, for `exp`, `nbf` and `iat` alike. Default: nothing.
    ///
    /// # Errors
    /// [`InvalidIssuer`] for more than 5 minutes.
    pub fn with_leeway(self, leeway: Duration) -> Result<Issuer, InvalidIssuer> {
        match leeway > MAX_LEEWAY {
            true => Err(InvalidIssuer::new(format!(
                "a leeway is at most 5 minutes, not {} s; set the clocks of the issuer and the hub",
                leeway.as_secs()
            ))),
            false => Ok(Issuer { leeway, ..self }),
        }
    }

    /// Takes tokens of these types (`typ`) alone, such as `JWT`; an empty text stands for a token without a type.
    ///
    /// By default tokens are of type `JWT`, `at+jwt`, or have none. If the keys are a JSON Web Key Set, the default is `at+jwt`
    /// alone: otherwise an ID token of an identity provider, which says who somebody is, would open the hub.
    #[must_use]
    pub fn with_types<T: AsRef<str>>(self, types: impl IntoIterator<Item = T>) -> Issuer {
        let types = types.into_iter().map(|name| plain_type(name.as_ref()).into()).collect();
        Issuer { types: Some(types), ..self }
    }

    /// Also takes tokens that do not say when they end (no `exp`), as some older backends make them.
    #[must_use]
    pub fn with_endless_tokens(self) -> Issuer {
        Issuer { demands_expiry: false, ..self }
    }

    /// Limits how long its tokens hold, if that is shorter than the limit of the hub.
    #[must_use]
    pub fn with_max_life(self, max_life: Duration) -> Issuer {
        Issuer { max_life: Some(max_life), ..self }
    }

    /// Also takes its tokens from the query of a URL (`?token=…`), where logs and histories keep them.
    #[must_use]
    pub fn with_tokens_in_query(self) -> Issuer {
        Issuer { in_query: true, ..self }
    }

    /// Its name; `None` for the nameless one.
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// Whether its tokens may stand in the query of a URL.
    pub(crate) fn takes_query(&self) -> bool {
        self.in_query
    }

    /// For people: its name, or that it has none.
    pub(super) fn shown(&self) -> &str {
        self.name().unwrap_or("the issuer without a name")
    }

    /// Whether a token has to name the hub, because its key may sign for others, too.
    pub(super) fn demands_audience(&self) -> bool {
        match &self.keys {
            Keys::Given(keys) => keys.has_public(),
            #[cfg(feature = "jwks")]
            Keys::Published(_) => true,
        }
    }

    /// Whether its keys are a set of public keys, as identity providers publish them.
    fn has_public_set(&self) -> bool {
        match &self.keys {
            Keys::Given(keys) => keys.is_set() && keys.has_public(),
            #[cfg(feature = "jwks")]
            Keys::Published(_) => true,
        }
    }

    /// The keys that count now.
    fn keys(&self) -> Result<TokenKeys, Refusal> {
        match &self.keys {
            Keys::Given(keys) => Ok(keys.clone()),
            #[cfg(feature = "jwks")]
            Keys::Published(keys) => keys.current(),
        }
    }

    /// How often its keys have changed.
    pub(super) fn keys_version(&self) -> u64 {
        match &self.keys {
            Keys::Given(_) => 0,
            #[cfg(feature = "jwks")]
            Keys::Published(keys) => keys.version(),
        }
    }

    /// Fetches its keys because one is missing, if they are at a URL. Returns whether it is worth looking again.
    pub(super) async fn ask_for_keys(&self) -> bool {
        match &self.keys {
            Keys::Given(_) => false,
            #[cfg(feature = "jwks")]
            Keys::Published(keys) => keys.ask_again().await,
        }
    }

    /// Begins to fetch its keys, if they are at a URL.
    pub(super) fn start(&self) {
        match &self.keys {
            Keys::Given(_) => {}
            #[cfg(feature = "jwks")]
            Keys::Published(keys) => keys.start(),
        }
    }

    /// Goes on with the keys of an earlier issuer, if they are at the same URL: they are there already.
    pub(super) fn take_over(&mut self, earlier: &Issuer) {
        match (&mut self.keys, &earlier.keys) {
            #[cfg(feature = "jwks")]
            (Keys::Published(own), Keys::Published(earlier)) if own.url() == earlier.url() => {
                *own = earlier.clone();
            }
            _ => {}
        }
    }

    /// A number for its keys: issuers with the same number verify the same tokens. Keys at a URL change by themselves, and count as the
    /// same.
    pub(super) fn fingerprint(&self) -> u64 {
        match &self.keys {
            Keys::Given(keys) => keys.fingerprint(),
            #[cfg(feature = "jwks")]
            Keys::Published(keys) => super::key::fingerprint([keys.url().as_bytes()]),
        }
    }

    /// How old its keys are; `None` if they are at no URL, or have not come yet.
    pub(super) fn keys_age(&self) -> Option<Duration> {
        match &self.keys {
            Keys::Given(_) => None,
            #[cfg(feature = "jwks")]
            Keys::Published(keys) => keys.age(),
        }
    }

    /// Whether a token may be of this type; `None` for a token without one.
    ///
    /// # Errors
    /// The types that it may have.
    pub(super) fn takes_type(&self, given: Option<&str>) -> Result<(), String> {
        let given = given.map(plain_type).unwrap_or_default();
        let defaults: &[&str] = match self.has_public_set() {
            true => &["at+jwt"],
            false => &["jwt", "at+jwt", ""],
        };
        let (is_taken, types) = match &self.types {
            Some(own) => {
                (own.iter().any(|one| **one == given), own.iter().map(|one| &**one).collect::<Vec<_>>())
            }
            None => (defaults.contains(&&*given), defaults.to_vec()),
        };
        match is_taken {
            true => Ok(()),
            false => {
                let named = types.iter().map(|one| if one.is_empty() { "none" } else { one });
                Err(named.collect::<Vec<_>>().join(" or "))
            }
        }
    }

    /// Looks at the signature of a token of this issuer, with the key that the token names.
    pub(super) fn has_signed(&self, token: &Unverified<'_>, algorithm: Algorithm) -> Result<(), Refusal> {
        let keys = self.keys()?;
        let fitting = self.fitting(&keys, token.key_id()?, algorithm)?;
        match fitting.iter().any(|key| key.has_signed(algorithm, token.signed, &token.signature)) {
            true => Ok(()),
            false => {
                let detail = format!("the signature was not made with the key of {}", self.shown());
                Err(Refusal::before("signature-wrong", detail))
            }
        }
    }

    /// The keys that may have signed a token with this `kid` and algorithm.
    fn fitting<'k>(
        &self,
        keys: &'k TokenKeys,
        id: Option<&str>,
        algorithm: Algorithm,
    ) -> Result<Vec<&'k Key>, Refusal> {
        let shown = self.shown();
        let named = |key: &&Key| id.is_none() || key.id.as_deref() == id;
        let named: Vec<_> = keys.iter().filter(named).collect();
        if let (Some(id), []) = (id, &named[..]) {
            let detail = match keys.iter().any(|key| key.id.is_some()) {
                true => format!("kid is {}, and {shown} has no key of that name", quoted(id)),
                false => format!("kid is {}, and the key of {shown} has no name; leave kid out", quoted(id)),
            };
            return Err(Refusal::before("key-unknown", detail));
        }
        let fitting: Vec<_> =
            named.iter().filter(|key| key.algorithms.contains(&algorithm)).copied().collect();
        match fitting.len() {
            0 => {
                let mut known: Vec<_> = named.iter().flat_map(|key| key.algorithms.iter().copied()).collect();
                known.sort_by_key(|algorithm| algorithm.as_str());
                known.dedup();
                let detail = format!(
                    "alg is {}, and the key of {shown} is for {}",
                    algorithm.as_str(),
                    listed(&known)
                );
                Err(Refusal::before("algorithm-not-of-key", detail))
            }
            count if count > MAX_TRIED => {
                let detail = format!(
                    "the token has no usable kid, and {shown} has {count} keys for {}; name one of them by kid",
                    algorithm.as_str()
                );
                Err(Refusal::before("key-unknown", detail))
            }
            _ => Ok(fitting),
        }
    }
}

/// A type without `application/`, which may be left out (RFC 7515, section 4.1.9), in lower case.
fn plain_type(text: &str) -> String {
    let text = text.to_ascii_lowercase();
    text.strip_prefix("application/").unwrap_or(&text).to_owned()
}

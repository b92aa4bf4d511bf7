//! The tokens that a hub accepts, and the steps in which one is judged.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, SystemTime},
};

use super::{
    Accepted, Credential, Grant, Refusal,
    algorithm::Algorithm,
    cache::Cache,
    claims::{self, Demands},
    issuer::{InvalidIssuer, Issuer},
    jws::{self, Unverified},
    key::TokenKeys,
    report::{Report, TokenCheck},
    shown::{quoted, shown},
};

/// The longest that a token may hold, unless the hub says otherwise: 30 days.
pub const MAX_TOKEN_LIFE: Duration = Duration::from_secs(30 * 86_400);

/// How a token is judged, for people.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct TokenExplanation {
    /// Each step, in order. The first refusal is the verdict.
    pub checks: Vec<TokenCheck>,
    /// The grant of its bearer; `None` if it is refused.
    pub grant: Option<Grant>,
}

/// The tokens that a hub accepts: those of the issuers that it trusts.
///
/// A token is a JSON Web Token, in the header `Authorization: Bearer …`. Any JWT library makes one. Its claims are `exp`, which it
/// must have, and `tidings`, such as `{"publish": ["orders/*"], "read": ["users/alice/*"]}`; `sub` says whose it is. Its
/// bearer receives the private updates of the topics under `read`, too.
///
/// A token is verified with the keys of its own issuer alone.
///
/// ```
/// use tidings_hub::{Issuer, TokenKey, TokenKeys, Tokens};
///
/// let backend = TokenKey::parse(b"3q2-7wAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")?;
/// let app = TokenKeys::parse(br#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#)?;
/// let tokens = Tokens::new(backend)
///     .with_issuer(Issuer::named("https://app.example", app))?
///     .with_audience("https://hub.example");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct Tokens {
    nameless: Option<Issuer>,
    named: HashMap<Box<str>, Issuer>,
    /// The names of this hub in `aud`.
    audience: Vec<String>,
    max_life: Duration,
    verified: Arc<Cache>,
}

impl Default for Tokens {
    /// Those of nobody: each token is refused.
    fn default() -> Tokens {
        let (nameless, named, audience) = (None, HashMap::new(), Vec::new());
        Tokens { nameless, named, audience, max_life: MAX_TOKEN_LIFE, verified: Arc::default() }
    }
}

impl Tokens {
    /// Takes tokens that were made with these keys, with and without the name of an issuer.
    pub fn new(keys: impl Into<TokenKeys>) -> Tokens {
        Tokens { nameless: Some(Issuer::nameless(keys)), ..Tokens::default() }
    }

    /// Also takes the tokens of this issuer.
    ///
    /// # Errors
    /// [`InvalidIssuer`] if there is one of that name, or a second one without a name.
    pub fn with_issuer(mut self, issuer: Issuer) -> Result<Tokens, InvalidIssuer> {
        let earlier = match issuer.name() {
            Some(name) => self.named.insert(name.into(), issuer),
            None => self.nameless.replace(issuer),
        };
        match earlier.as_ref().map(Issuer::name) {
            None => Ok(self),
            Some(Some(name)) => {
                Err(InvalidIssuer::new(format!("two issuers are named {name:?}; give one of them all keys")))
            }
            Some(None) => Err(InvalidIssuer::new("two issuers have no name; name all but one")),
        }
    }

    /// Adds a name of this hub. A token that says whom it is for (`aud`) has to name one of them. A token that was signed with the
    /// private half of a public key has to say it.
    #[must_use]
    pub fn with_audience(mut self, name: impl Into<String>) -> Tokens {
        self.audience.push(name.into());
        self
    }

    /// Sets how long a token may hold: from `iat` to `exp`, or from now to `exp`. Default: [`MAX_TOKEN_LIFE`].
    #[must_use]
    pub fn with_max_life(self, max_life: Duration) -> Tokens {
        Tokens { max_life, ..self }
    }

    /// Whether nobody is trusted.
    pub fn is_empty(&self) -> bool {
        self.nameless.is_none() && self.named.is_empty()
    }

    /// How long a token can hold; `None` if some issuer makes tokens without an end.
    pub(crate) fn longest_life(&self) -> Option<Duration> {
        self.all().all(|issuer| issuer.demands_expiry).then_some(self.max_life)
    }

    /// How much the clock of some issuer may differ.
    pub(crate) fn largest_leeway(&self) -> Duration {
        self.all().map(|issuer| issuer.leeway).max().unwrap_or_default()
    }

    /// Whether a token of this credential's issuer may stand in the query of a URL.
    pub(crate) fn take_in_query(&self, credential: &Credential) -> bool {
        self.issuer_named(credential.issuer.as_deref()).is_some_and(Issuer::takes_query)
    }

    /// The rights that a token has by itself. Waits if the keys of its issuer have to be fetched first.
    pub(crate) async fn accept(&self, token: &str, now: SystemTime) -> Result<Accepted, Refusal> {
        if let Some(accepted) = self.remembered(token, now) {
            return Ok(accepted);
        }
        let mut judged = self.judge(token, now, &mut Report::verdict());
        if let Err(refusal) = &judged {
            if self.has_newer_keys(token, refusal).await {
                judged = self.judge(token, now, &mut Report::verdict());
            }
        }
        let (accepted, version) = judged?;
        self.verified.insert(token, &accepted, version);
        Ok(accepted)
    }

    /// Whether the token was verified before, and holds.
    pub(crate) fn remember(&self, token: &str, now: SystemTime) -> bool {
        self.remembered(token, now).is_some()
    }

    fn remembered(&self, token: &str, now: SystemTime) -> Option<Accepted> {
        let keys_of = |accepted: &Accepted| {
            self.issuer_named(accepted.credential.issuer.as_deref()).map_or(0, Issuer::keys_version)
        };
        self.verified.find(token, now, keys_of)
    }

    /// Drops what is remembered of the credentials that `is_hit`.
    pub(crate) fn forget(&self, is_hit: impl Fn(&Credential) -> bool) {
        self.verified.forget(is_hit);
    }

    /// Judges a token, and tells each step. The steps are those of the hub; an explanation goes on after a refusal.
    pub fn explain(&self, token: &str, now: SystemTime) -> TokenExplanation {
        self.explain_with(token, now, Grant::of)
    }

    /// The same, with the grant that a policy makes of an accepted token.
    pub(crate) fn explain_with(
        &self,
        token: &str,
        now: SystemTime,
        grant: impl FnOnce(Accepted) -> Grant,
    ) -> TokenExplanation {
        let mut report = Report::explanation();
        let judged = self.judge(token, now, &mut report);
        TokenExplanation {
            grant: judged.ok().map(|(accepted, _)| grant(accepted)),
            checks: report.into_checks(),
        }
    }

    /// The rights of the token, and the version of the keys that it was verified with.
    pub(super) fn judge(
        &self,
        token: &str,
        now: SystemTime,
        report: &mut Report,
    ) -> Result<(Accepted, u64), Refusal> {
        let text = token;
        let parsed =
            report.step("form", jws::parse(text), |_| format!("three parts, {} bytes", text.len()))?;
        let Some(token) = parsed else { return report.end(None) };
        let algorithm = report.step("alg", token.algorithm(), |algorithm| algorithm.as_str().to_owned())?;
        report.step("header", token.is_understood(), |()| "nothing in it changes the rest".to_owned())?;
        let issuer = report.step("iss", self.issuer_of(&token), |issuer| match token.issuer() {
            Some(name) => format!("{}, judged by the keys of {}", quoted(name), issuer.shown()),
            None => format!("none, judged by the keys of {}", issuer.shown()),
        })?;
        let Some(issuer) = issuer else { return report.end(None) };
        // Keys that change from here on make a new version.
        let version = issuer.keys_version();
        if let Some(algorithm) = algorithm {
            report.step("signature", issuer.has_signed(&token, algorithm), |()| {
                signed_by(&token, algorithm, issuer)
            })?;
        }
        let Unverified { header, claims, .. } = token;
        let claims = claims.map_err(|what| Refusal::after("claims-malformed", what));
        let Some(claims) = report.step("claims", claims, |_| "a JSON object".to_owned())? else {
            return report.end(None);
        };
        let demands = Demands { issuer, audience: &self.audience, max_life: self.max_life, now };
        let accepted = claims::read(&demands, text, &header, claims, report)?;
        report.end(accepted).map(|accepted| (accepted, version))
    }

    fn issuer_named(&self, name: Option<&str>) -> Option<&Issuer> {
        name.and_then(|name| self.named.get(name)).or(self.nameless.as_ref())
    }

    /// The issuer that may have made a token.
    fn issuer_of(&self, token: &Unverified<'_>) -> Result<&Issuer, Refusal> {
        let given = token.issuer();
        self.issuer_named(given).ok_or_else(|| {
            let mut names: Vec<_> = self.named.keys().take(4).map(|name| &**name).collect();
            names.sort_unstable();
            let trusted = match &names[..] {
                [] => "the hub trusts nobody".to_owned(),
                names => format!("the hub trusts {}", names.join(", ")),
            };
            Refusal::before(
                "issuer-unknown",
                match given {
                    Some(name) => format!("iss is {}, and {trusted}", quoted(name)),
                    None => format!("the token names no issuer (iss), and {trusted}"),
                },
            )
        })
    }

    fn all(&self) -> impl Iterator<Item = &Issuer> {
        self.nameless.iter().chain(self.named.values())
    }
}

fn signed_by(token: &Unverified<'_>, algorithm: Algorithm, issuer: &Issuer) -> String {
    match token.header.get("kid") {
        Some(kid) => format!("{} by the key {} of {}", algorithm.as_str(), shown(kid), issuer.shown()),
        None => format!("{} by a key of {}", algorithm.as_str(), issuer.shown()),
    }
}

/// Keys that issuers publish at a URL.
impl Tokens {
    /// Begins to fetch the keys. Without it, the first token of such an issuer does.
    pub(crate) fn start(&self) {
        self.all().for_each(Issuer::start);
    }

    /// Goes on with the keys that an earlier policy has fetched, if they are at the same URL.
    pub(crate) fn take_over(&mut self, earlier: &Tokens) {
        for (name, issuer) in &mut self.named {
            if let Some(earlier) = earlier.named.get(name) {
                issuer.take_over(earlier);
            }
        }
    }

    /// Whether the keys that a token was verified with are still trusted.
    pub(crate) fn still_trust(&self, credential: &Credential) -> bool {
        let issuer = self.issuer_named(credential.issuer.as_deref());
        issuer.is_some_and(|issuer| issuer.fingerprint() == credential.keys)
    }

    /// The issuers whose keys the hub has fetched, and how old these are.
    pub(crate) fn key_ages(&self) -> impl Iterator<Item = (&str, Duration)> {
        self.all().filter_map(|issuer| Some((issuer.name()?, issuer.keys_age()?)))
    }

    /// Whether the keys may have changed since the hub fetched them. Waits for a fetch if that may be why a token is refused.
    async fn has_newer_keys(&self, token: &str, refusal: &Refusal) -> bool {
        let is_about_keys = matches!(refusal.rule, "key-unknown" | "keys-unavailable");
        let parsed = if is_about_keys { jws::parse(token).ok() } else { None };
        match parsed.and_then(|token| self.issuer_of(&token).ok()) {
            Some(issuer) => issuer.ask_for_keys().await,
            None => false,
        }
    }
}

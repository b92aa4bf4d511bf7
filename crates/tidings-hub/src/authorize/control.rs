//! The hub's own rule with credentials: what a request has shown becomes a grant.

use std::{
    sync::{Arc, Mutex, PoisonError, RwLock},
    time::{Duration, SystemTime},
};

use http::{header, request::Parts};

use super::{
    Accepted, AccessEnd, ApiKeys, Credential, Denial, Grant, Refusal, Role, Rules, TokenExplanation, Tokens,
    allowed_by_roles, basic_api_key, grant::WeakGrant, looks_like_api_key,
};

/// Grants what the credential of a request allows.
///
/// A request shows at most one credential, which is judged alone. One that is refused is not taken for a request without any.
/// The holder of a credential also has the rights that everyone has.
///
/// ```
/// use std::{sync::Arc, time::Duration};
///
/// use tidings_hub::{Access, Control, Grant, Matchers, Policy, Settings, TokenKey, Tokens};
///
/// let key = TokenKey::parse(b"3q2-7wAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")?;
/// let backend = key.mint(&Matchers::parse(["orders/*"])?, &Matchers::none(), None, Duration::from_secs(3600));
/// // Everyone may read what is public.
/// let policy = Policy::new(Tokens::new(key)).with_anonymous(Grant::default().with_read(Matchers::all()));
/// let mut settings = Settings::default();
/// settings.access = Access::Control(Arc::new(Control::new(policy)));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Control {
    in_force: RwLock<Arc<InForce>>,
    /// The grants of which streams may be open.
    granted: Mutex<Granted>,
}

/// The credentials that a [`Control`] accepts, and their rights.
#[derive(Debug, Clone)]
pub struct Policy {
    tokens: Tokens,
    api_keys: ApiKeys,
    rules: Arc<Rules>,
    roles: Vec<Role>,
    anonymous: Grant,
}

/// A policy that is in force, and the grant of those that show nothing.
#[derive(Debug)]
struct InForce {
    policy: Policy,
    nobody: Grant,
}

/// Grants that were made, each for as long as somebody has it.
#[derive(Debug, Default)]
struct Granted {
    grants: Vec<WeakGrant>,
    /// At how many to look for those that nobody has any more.
    look_at: usize,
}

impl Policy {
    /// Accepts these tokens. A request without one may do nothing.
    pub fn new(tokens: Tokens) -> Policy {
        Policy {
            tokens,
            api_keys: ApiKeys::default(),
            rules: Arc::default(),
            roles: Vec::new(),
            anonymous: Grant::default(),
        }
    }

    /// Grants this to everybody.
    #[must_use]
    pub fn with_anonymous(self, anonymous: Grant) -> Policy {
        Policy { anonymous, ..self }
    }

    /// Accepts these API keys, too.
    #[must_use]
    pub(crate) fn with_api_keys(self, api_keys: ApiKeys) -> Policy {
        Policy { api_keys, ..self }
    }

    /// Allows more by topic.
    #[must_use]
    pub(crate) fn with_rules(self, rules: Rules) -> Policy {
        Policy { rules: Arc::new(rules), ..self }
    }

    /// Allows more to those whose tokens have some claims.
    #[must_use]
    pub(crate) fn with_roles(self, roles: Vec<Role>) -> Policy {
        Policy { roles, ..self }
    }

    /// Judges a token as a hub with this policy does, and tells each step.
    pub fn explain(&self, token: &str, now: SystemTime) -> TokenExplanation {
        self.tokens.explain_with(token, now, |accepted| self.of(accepted))
    }

    /// The credential in the value of an `Authorization` header.
    async fn accept(&self, authorization: &[u8], now: SystemTime) -> Result<Accepted, Refusal> {
        let text = std::str::from_utf8(authorization).ok();
        match text.and_then(|text| text.trim().split_once(' ')) {
            Some((scheme, text)) if scheme.eq_ignore_ascii_case("bearer") => match text.trim() {
                key if looks_like_api_key(key) => self.api_keys.accept(key, now),
                token => self.tokens.accept(token, now).await,
            },
            Some((scheme, text)) if scheme.eq_ignore_ascii_case("basic") => {
                self.api_keys.accept(&basic_api_key(text.trim())?, now)
            }
            _ => {
                Err(Refusal::before("token-malformed", "Authorization is not 'Bearer', a space, and a token"))
            }
        }
    }

    /// The grant of a request that shows this.
    fn of(&self, accepted: Accepted) -> Grant {
        let credential = accepted.credential.clone();
        let by_roles = allowed_by_roles(&self.roles, &credential);
        Grant::of(accepted)
            .and_by_roles(&by_roles)
            .and_all_of(&self.anonymous)
            .and_by_rules(&self.rules.view(Some(&credential)))
    }
}

impl InForce {
    fn new(policy: Policy) -> InForce {
        let nobody = policy.anonymous.clone().with_standing().and_by_rules(&policy.rules.view(None));
        InForce { policy, nobody }
    }
}

impl Control {
    /// A hub's rule, with the policy that it begins with.
    pub fn new(policy: Policy) -> Control {
        Control { in_force: RwLock::new(Arc::new(InForce::new(policy))), granted: Mutex::default() }
    }

    /// Begins to fetch the keys that issuers publish at a URL.
    pub(crate) fn start(&self) {
        self.in_force().policy.tokens.start();
    }

    /// The issuers whose keys were fetched from a URL, and how old these are.
    pub(crate) fn key_ages(&self) -> Vec<(String, Duration)> {
        self.in_force().policy.tokens.key_ages().map(|(issuer, age)| (issuer.to_owned(), age)).collect()
    }

    /// Puts another policy in force, and ends the grants that allow to read more than it does. Their streams end when the hub is told
    /// to look at its grants.
    pub(crate) fn replace(&self, mut policy: Policy) {
        policy.tokens.take_over(&self.in_force().policy.tokens);
        policy.tokens.start();
        let rule = Arc::new(InForce::new(policy));
        let old = std::mem::replace(
            &mut *self.in_force.write().unwrap_or_else(PoisonError::into_inner),
            rule.clone(),
        );
        if !rule.nobody.reads_as_much_as(&old.nobody) {
            old.nobody.end(AccessEnd::Rules);
        }
        let granted = self.granted.lock().unwrap_or_else(PoisonError::into_inner);
        for grant in granted.grants.iter().filter_map(WeakGrant::upgrade) {
            let now = grant.accepted().map(|accepted| rule.policy.of(accepted.clone()));
            if !now.is_some_and(|now| now.reads_as_much_as(&grant)) {
                grant.end(AccessEnd::Rules);
            }
        }
    }

    fn in_force(&self) -> Arc<InForce> {
        self.in_force.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Turns a request into its grant.
    ///
    /// # Errors
    /// The answer to a request whose credential is not accepted.
    pub(super) async fn authorize(&self, request: &Parts) -> Result<Grant, Denial> {
        let rule = self.in_force();
        let mut credentials = request.headers.get_all(header::AUTHORIZATION).iter();
        let accepted = match (credentials.next(), credentials.next()) {
            (None, _) => return Ok(rule.nobody.clone()),
            (Some(value), None) => rule.policy.accept(value.as_bytes(), SystemTime::now()).await,
            _ => Err(Refusal::before("token-malformed", "there are two Authorization headers")),
        };
        let grant = rule.policy.of(accepted.map_err(Refusal::into_denial)?);
        self.granted.lock().unwrap_or_else(PoisonError::into_inner).note(&grant);
        Ok(grant)
    }

    /// Ends the grants of the credentials that `is_hit`. Returns how many streams were open by them. The streams end when the hub is
    /// told to look at its grants.
    pub(crate) fn end(&self, reason: AccessEnd, is_hit: impl Fn(&Credential) -> bool) -> u32 {
        let granted = self.granted.lock().unwrap_or_else(PoisonError::into_inner);
        let grants = granted.grants.iter().filter_map(WeakGrant::upgrade);
        grants
            .filter(|grant| grant.credential().is_some_and(|credential| is_hit(credential)))
            .map(|grant| grant.end(reason))
            .sum()
    }
}

impl Granted {
    fn note(&mut self, grant: &Grant) {
        if self.grants.len() >= self.look_at {
            self.grants.retain(WeakGrant::is_held);
            self.look_at = 2 * self.grants.len() + 64;
        }
        self.grants.push(grant.downgrade());
    }
}

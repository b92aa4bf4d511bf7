//! The hub's own rule with credentials: what a request has shown becomes a grant.

use std::{
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock},
    time::{Duration, SystemTime},
};

use http::request::Parts;

use super::{
    Accepted, AccessEnd, ApiKeys, Audit, AuditEvent, Credential, CredentialKind, Denial, Grant, InvalidList,
    Limits, Meter, Network, Refusal, Revocations, RevokedList, Role, Rules, Tickets, TokenExplanation,
    Tokens, allowed_by_roles, basic_api_key,
    granted::Granted,
    looks_like_api_key,
    shown::{Shown, shown},
};
use crate::attachments::is_token;

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
    /// Tickets that other credentials have got, for URLs.
    pub(super) tickets: Tickets,
    /// Credentials that hold no longer.
    pub(super) revocations: Revocations,
    /// How much each client has used of its limits.
    pub(super) meter: Arc<Meter>,
    /// Where it is noted who did what.
    pub(super) audit: Option<Audit>,
    /// The cookie in which a token may come.
    pub(super) cookie: Option<Box<str>>,
    /// Proxies that are believed what they say of their clients.
    pub(super) proxies: Vec<Network>,
}

/// The credentials that a [`Control`] accepts, and their rights.
#[derive(Debug, Clone)]
pub struct Policy {
    tokens: Tokens,
    api_keys: ApiKeys,
    rules: Arc<Rules>,
    roles: Vec<Role>,
    limits: Limits,
    revoked: Arc<RevokedList>,
    anonymous: Grant,
}

/// A policy that is in force, and the grant of those that show nothing.
#[derive(Debug)]
pub(super) struct InForce {
    policy: Policy,
    nobody: Grant,
}

impl Policy {
    /// Accepts these tokens. A request without one may do nothing.
    pub fn new(tokens: Tokens) -> Policy {
        Policy {
            tokens,
            api_keys: ApiKeys::default(),
            rules: Arc::default(),
            roles: Vec::new(),
            limits: Limits::default(),
            revoked: Arc::default(),
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

    /// Limits each subject, beside what its credential says.
    #[must_use]
    pub(crate) fn with_limits(self, limits: Limits) -> Policy {
        Policy { limits, ..self }
    }

    /// Refuses these credentials.
    #[must_use]
    pub(crate) fn with_revoked(self, revoked: RevokedList) -> Policy {
        Policy { revoked: Arc::new(revoked), ..self }
    }

    /// The grant of a request that shows this.
    fn of(&self, accepted: Accepted) -> Grant {
        let accepted = Accepted { limits: accepted.limits.and(self.limits), ..accepted };
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

    pub(super) fn tokens(&self) -> &Tokens {
        &self.policy.tokens
    }

    /// # Errors
    /// For a token that is not accepted.
    pub(super) async fn accept_token(&self, token: &str) -> Result<Accepted, Refusal> {
        self.policy.tokens.accept(token, SystemTime::now()).await
    }

    /// Whether this takes more than a hash to judge: it is a token that is not remembered.
    pub(super) fn has_to_verify(&self, token: &str) -> bool {
        !looks_like_api_key(token) && !self.policy.tokens.remember(token, SystemTime::now())
    }

    fn accept_api_key(&self, key: &str) -> Result<Accepted, Refusal> {
        self.policy.api_keys.accept(key, SystemTime::now())
    }

    /// The rights that a credential has now, by itself; `None` if it is not accepted any more.
    pub(super) fn again(&self, accepted: &Accepted) -> Option<Accepted> {
        let credential = &accepted.credential;
        match credential.kind {
            CredentialKind::ApiKey => self.policy.api_keys.again(credential),
            CredentialKind::Token => {
                let is_trusted = self.policy.tokens.still_trust(credential);
                is_trusted.then(|| accepted.clone())
            }
            CredentialKind::Ticket => Some(accepted.clone()),
        }
    }

    /// # Errors
    /// For a grant of a credential that the policy revokes.
    pub(super) fn let_pass(&self, grant: &Grant) -> Result<(), Refusal> {
        grant.credentials().try_for_each(|credential| self.policy.revoked.let_pass(credential))
    }

    /// The grant of a request that shows this.
    pub(super) fn grant(&self, accepted: Accepted) -> Grant {
        self.policy.of(accepted)
    }
}

impl Control {
    /// A hub's rule, with the policy that it begins with.
    pub fn new(policy: Policy) -> Control {
        Control {
            in_force: RwLock::new(Arc::new(InForce::new(policy))),
            granted: Mutex::default(),
            tickets: Tickets::default(),
            revocations: Revocations::in_memory(),
            meter: Arc::default(),
            audit: None,
            cookie: None,
            proxies: Vec::new(),
        }
    }

    /// Keeps revocations in a file of this directory, so that they hold after a restart. Otherwise they end with the process.
    ///
    /// # Errors
    /// [`InvalidList`] if there is such a file, and it cannot be read. Without it the hub would accept credentials that were
    /// revoked.
    pub fn with_revocations_in(self, directory: &Path) -> Result<Control, InvalidList> {
        Ok(Control { revocations: Revocations::open(directory)?, ..self })
    }

    /// Notes in this file who did what.
    #[must_use]
    pub fn with_audit(self, audit: Audit) -> Control {
        Control { audit: Some(audit), ..self }
    }

    /// Also takes tokens in a cookie of this name. A page makes one with `POST /session`. A name that begins with `__Host-` is safe from
    /// other hosts of the same domain.
    ///
    /// # Errors
    /// For a text that cannot be the name of a cookie.
    pub fn with_cookie(self, name: &str) -> Result<Control, InvalidCookieName> {
        let is_name = !name.is_empty() && name.bytes().all(is_token);
        match is_name {
            true => Ok(Control { cookie: Some(name.into()), ..self }),
            false => Err(InvalidCookieName { name: name.to_owned() }),
        }
    }

    /// Believes these proxies what they say of their clients' addresses (`X-Forwarded-For`, `Forwarded`). Limits then count
    /// clients, and not proxies.
    #[must_use]
    pub fn with_trusted_proxies(self, proxies: Vec<Network>) -> Control {
        Control { proxies, ..self }
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
        self.note(|| AuditEvent::new("reloaded"));
        let earlier: Vec<_> = {
            let mut granted = self.granted();
            granted.begin_anew();
            // Its streams may outlast several policies.
            granted.note(&old.nobody);
            granted.all().collect()
        };
        for grant in earlier {
            if rule.let_pass(&grant).is_err() {
                grant.end(AccessEnd::Revoked);
                continue;
            }
            let now = match grant.accepted() {
                Some(accepted) => rule.again(accepted).map(|now| rule.grant(now)),
                None => Some(rule.nobody.clone()),
            };
            if !now.is_some_and(|now| now.allows_as_much_as(&grant)) {
                grant.end(AccessEnd::Rules);
            }
        }
    }

    pub(super) fn in_force(&self) -> Arc<InForce> {
        self.in_force.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Turns a request into its grant.
    ///
    /// # Errors
    /// The answer to a request whose credential is not accepted.
    pub(super) async fn authorize(&self, request: &Parts) -> Result<Grant, Denial> {
        let rule = self.in_force();
        let shown = match shown(request, self.cookie()) {
            Ok(None) => return Ok(rule.nobody.clone()),
            Ok(Some(shown)) => Ok(shown),
            Err(refusal) => Err(refusal),
        };
        let is_signed = |shown: &Shown<'_>| match shown {
            Shown::Bearer(token) | Shown::Cookie(token) => rule.has_to_verify(token),
            Shown::Basic(_) | Shown::Ticket(_) | Shown::Query(_) => false,
        };
        let attempt = self.may_try(request, || shown.as_ref().is_ok_and(is_signed))?;
        let granted = match shown {
            Ok(shown) => self.grant(&rule, shown).await,
            Err(refusal) => Err(refusal),
        };
        granted.map_err(|refusal| self.refused(attempt, refusal))
    }

    async fn grant(&self, rule: &InForce, shown: Shown<'_>) -> Result<Grant, Refusal> {
        let not_here = |detail: &str| Err(Refusal::after("credential-not-here", detail));
        let accepted = match shown {
            Shown::Bearer(key) if looks_like_api_key(key) => rule.accept_api_key(key)?,
            Shown::Basic(encoded) => rule.accept_api_key(&basic_api_key(encoded)?)?,
            Shown::Cookie(key) if looks_like_api_key(key) => {
                return not_here("an API key is not taken in a cookie; send it as Authorization: Bearer KEY");
            }
            Shown::Bearer(token) | Shown::Cookie(token) => rule.accept_token(token).await?,
            Shown::Ticket(ticket) => return self.note_grant(self.redeem(rule, &ticket)?),
            Shown::Query(token) if !looks_like_api_key(&token) => {
                let accepted = rule.accept_token(&token).await?;
                if !rule.policy.tokens.take_in_query(&accepted.credential) {
                    return not_here(
                        "a token of this issuer is not taken in the query; send it as Authorization: Bearer TOKEN, or get a ticket \
                         for the URL",
                    );
                }
                accepted
            }
            Shown::Query(_) => {
                return not_here(
                    "an API key is not taken in the query; send it as Authorization: Bearer KEY, or get a ticket for the URL",
                );
            }
        };
        self.share(rule, accepted)
    }

    /// The grant that all requests with this credential share.
    fn share(&self, rule: &InForce, accepted: Accepted) -> Result<Grant, Refusal> {
        let credential = accepted.credential.clone();
        let grant = {
            // One look at the policy and at the grants: a policy that comes after it finds this grant among them.
            let mut granted = self.granted();
            match granted.find(&credential) {
                Some(grant) => grant,
                None => {
                    let now = self.in_force();
                    let is_same = std::ptr::eq(&*now, rule);
                    let accepted = if is_same { Some(accepted) } else { now.again(&accepted) };
                    let grant = now.grant(accepted.ok_or_else(keys_replaced)?);
                    granted.share(&credential, &grant);
                    grant
                }
            }
        };
        // In this order: somebody who revokes its credential meanwhile finds it among those that were granted.
        self.is_not_revoked(&grant)?;
        Ok(grant)
    }

    /// Notes a grant that is for one request alone.
    fn note_grant(&self, grant: Grant) -> Result<Grant, Refusal> {
        self.granted().note(&grant);
        self.is_not_revoked(&grant)?;
        Ok(grant)
    }

    fn granted(&self) -> MutexGuard<'_, Granted> {
        self.granted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends the grants of the credentials that `is_hit`. Returns how many streams were open by them. The streams end when the hub is
    /// told to look at its grants.
    pub(crate) fn end(&self, reason: AccessEnd, is_hit: impl Fn(&Credential) -> bool) -> u32 {
        self.in_force().policy.tokens.forget(&is_hit);
        let granted = self.granted();
        let hit = granted
            .all()
            .filter(|grant| grant.credentials().any(|credential| is_hit(credential)))
            .map(|grant| grant.end(reason));
        hit.sum()
    }
}

fn keys_replaced() -> Refusal {
    Refusal::before(
        "key-unknown",
        "the keys of the hub were replaced while it looked at the credential; send it again",
    )
}

/// A text that cannot be the name of a cookie.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{name:?} is no name of a cookie; use letters, digits and hyphens, such as __Host-tidings")]
pub struct InvalidCookieName {
    /// The text.
    pub name: String,
}

//! Grants that were made, each for as long as somebody has it.

use std::{collections::HashMap, sync::Arc};

use super::{Credential, Grant, grant::WeakGrant};

/// At how many grants to look first for those that nobody has any more.
const FEW: usize = 64;

/// The grants of which streams may be open. Those that show the same credential share one, so that a thousand streams of a user
/// cost one grant.
#[derive(Debug, Default)]
pub(super) struct Granted {
    /// Under the policy in force, by the address of their credential. A grant that somebody has keeps it in its place.
    current: HashMap<usize, WeakGrant>,
    /// All others: those of tickets, and of earlier policies.
    others: Vec<WeakGrant>,
    /// At how many to look again.
    look_at: usize,
}

impl Granted {
    /// The grant of a credential that somebody has already.
    pub(super) fn find(&self, credential: &Arc<Credential>) -> Option<Grant> {
        let found = self.current.get(&address(credential))?.upgrade()?;
        found.is_open().then_some(found)
    }

    /// Adds a grant for everybody who shows this credential.
    pub(super) fn share(&mut self, credential: &Arc<Credential>, grant: &Grant) {
        self.clean_up();
        // One that was ended stays known until its streams are gone.
        let earlier = self.current.insert(address(credential), grant.downgrade());
        self.others.extend(earlier.filter(WeakGrant::is_held));
    }

    /// Adds a grant that is for one request alone.
    pub(super) fn note(&mut self, grant: &Grant) {
        self.clean_up();
        self.others.push(grant.downgrade());
    }

    /// All that somebody has.
    pub(super) fn all(&self) -> impl Iterator<Item = Grant> {
        self.current.values().chain(&self.others).filter_map(WeakGrant::upgrade)
    }

    /// From here on, grants are made by another policy.
    pub(super) fn begin_anew(&mut self) {
        self.others.extend(self.current.drain().map(|(_, grant)| grant).filter(WeakGrant::is_held));
    }

    fn clean_up(&mut self) {
        if self.current.len() + self.others.len() < self.look_at.max(FEW) {
            return;
        }
        self.current.retain(|_, grant| grant.is_held());
        self.others.retain(WeakGrant::is_held);
        self.look_at = 2 * (self.current.len() + self.others.len());
    }
}

fn address(credential: &Arc<Credential>) -> usize {
    Arc::as_ptr(credential).addr()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::authorize::{Accepted, AccessEnd, CredentialKind};

    fn accepted() -> Accepted {
        let credential = Credential {
            name: "k".into(),
            kind: CredentialKind::Token,
            subject: None,
            issuer: None,
            token_id: None,
            issued_at: None,
            expires: None,
            claims: serde_json::Map::new(),
            keys: 0,
        };
        Accepted {
            credential: Arc::new(credential),
            publish: Default::default(),
            read: Default::default(),
            rights: Default::default(),
            limits: Default::default(),
            payload: None,
        }
    }

    #[test]
    fn a_grant_is_shared_until_it_ends_or_the_policy_changes_and_is_known_while_somebody_has_it() {
        let mut granted = Granted::default();
        let accepted = accepted();
        let credential = accepted.credential.clone();
        assert!(granted.find(&credential).is_none());
        let first = Grant::of(accepted.clone());
        granted.share(&credential, &first);
        assert!(granted.find(&credential).is_some());
        first.end(AccessEnd::Revoked);
        assert!(granted.find(&credential).is_none(), "one that was ended is for nobody else");
        let second = Grant::of(accepted.clone());
        granted.share(&credential, &second);
        assert_eq!(granted.all().count(), 2);
        granted.begin_anew();
        assert!(granted.find(&credential).is_none(), "it is of the earlier policy");
        assert_eq!(granted.all().count(), 2);
        drop((first, second));
        assert_eq!(granted.all().count(), 0);
    }

    #[test]
    fn grants_that_nobody_has_are_forgotten() {
        let mut granted = Granted::default();
        let held: Vec<_> = (0..10)
            .map(|_| {
                let accepted = accepted();
                let (credential, grant) = (accepted.credential.clone(), Grant::of(accepted));
                granted.share(&credential, &grant);
                grant
            })
            .collect();
        for _ in 0..10_000 {
            let accepted = accepted();
            granted.share(&accepted.credential.clone(), &Grant::of(accepted));
        }
        assert_eq!(granted.all().count(), held.len());
        assert!(granted.current.len() + granted.others.len() <= FEW + 1);
    }
}

//! Credentials that the operator has revoked in the access file.

use std::{collections::HashMap, time::SystemTime};

use super::{Credential, CredentialKind, Refusal};

/// Which credentials are revoked.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum RevokedWhat {
    /// The token with this ID.
    Token(Box<str>),
    /// All of this subject; of one issuer, if it is named.
    Subject { name: Box<str>, issuer: Option<Box<str>> },
    /// All tokens of this issuer.
    Issuer(Box<str>),
    /// The API key with this ID.
    ApiKey(Box<str>),
}

/// Since when, and why, credentials are revoked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Revoked {
    /// Only what was issued before that; `None` for all.
    pub(crate) issued_before: Option<SystemTime>,
    pub(crate) reason: Option<Box<str>>,
}

/// All that the file revokes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct RevokedList(HashMap<RevokedWhat, Revoked>);

impl RevokedList {
    /// Adds an entry. Returns whether there was none for the same credentials.
    pub(crate) fn insert(&mut self, what: RevokedWhat, revoked: Revoked) -> bool {
        self.0.insert(what, revoked).is_none()
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Looks whether a credential still holds.
    ///
    /// # Errors
    /// `token-revoked` for one that an entry is for.
    pub(crate) fn let_pass(&self, credential: &Credential) -> Result<(), Refusal> {
        if self.0.is_empty() {
            return Ok(());
        }
        let hits = |what: RevokedWhat| self.0.get(&what).filter(|revoked| revoked.is_of_time(credential));
        let Some(revoked) = names(credential).into_iter().find_map(hits) else { return Ok(()) };
        let reason = revoked.reason.as_ref().map(|reason| format!(" ({reason})")).unwrap_or_default();
        let detail = format!("the credential {} was revoked{reason}; get a new one", credential.name);
        Err(Refusal::after("token-revoked", detail))
    }
}

impl Revoked {
    /// A credential that does not say when it was issued counts as older than everything.
    fn is_of_time(&self, credential: &Credential) -> bool {
        match (self.issued_before, credential.issued_at) {
            (Some(before), Some(issued)) => issued < before,
            _ => true,
        }
    }
}

/// All names under which a credential may be revoked.
fn names(credential: &Credential) -> Vec<RevokedWhat> {
    if credential.kind == CredentialKind::ApiKey {
        return vec![RevokedWhat::ApiKey(credential.name.clone())];
    }
    let (id, issuer) = (credential.token_id.clone(), credential.issuer.clone());
    let subjects = credential.subject.iter().flat_map(|subject| {
        let of = |issuer| RevokedWhat::Subject { name: subject.name().into(), issuer };
        [of(None), of(issuer.clone())]
    });
    let subjects: Vec<_> = subjects.collect();
    let token = id.map(RevokedWhat::Token);
    token.into_iter().chain(subjects).chain(issuer.map(RevokedWhat::Issuer)).collect()
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use serde_json::json;

    use super::*;
    use crate::authorize::rules::holder;

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[test]
    fn a_credential_is_revoked_by_each_of_its_names_if_it_was_issued_before() {
        let alice = Credential {
            issuer: Some("app".into()),
            token_id: Some("7f".into()),
            issued_at: Some(at(100)),
            ..holder("alice", json!({}))
        };
        let key = Credential {
            kind: CredentialKind::ApiKey,
            name: "Ab3dEf9h".into(),
            ..holder("Ab3dEf9h", json!({}))
        };
        let subject = |name: &str, issuer: Option<&str>| RevokedWhat::Subject {
            name: name.into(),
            issuer: issuer.map(Into::into),
        };
        for (what, hits_alice, hits_key) in [
            (RevokedWhat::Token("7f".into()), true, false),
            (RevokedWhat::Token("8f".into()), false, false),
            (subject("alice", None), true, false),
            (subject("alice", Some("app")), true, false),
            (subject("alice", Some("other")), false, false),
            (subject("Ab3dEf9h", None), false, false),
            (RevokedWhat::Issuer("app".into()), true, false),
            (RevokedWhat::ApiKey("Ab3dEf9h".into()), false, true),
            (RevokedWhat::ApiKey("7f".into()), false, false),
        ] {
            for (before, is_old) in [(None, true), (Some(at(101)), true), (Some(at(100)), false)] {
                let mut list = RevokedList::default();
                let entry = Revoked { issued_before: before, reason: Some("stolen".into()) };
                assert!(list.insert(what.clone(), entry.clone()) && !list.insert(what.clone(), entry));
                assert_eq!(list.let_pass(&alice).is_err(), hits_alice && is_old, "{what:?} {before:?}");
                // It does not say when it was issued.
                assert_eq!(list.let_pass(&key).is_err(), hits_key, "{what:?} {before:?}");
                if let Err(refusal) = list.let_pass(&alice) {
                    assert_eq!((refusal.rule, refusal.is_signed), ("token-revoked", true));
                    assert!(refusal.detail.contains("(stolen); get a new one"), "{}", refusal.detail);
                }
            }
        }
    }
}

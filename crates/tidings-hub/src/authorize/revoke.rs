//! Credentials that hold no longer: their streams end, and their tickets are void.

use http::request::Parts;

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use super::{
    AccessEnd, AuditEvent, Control, Credential, Exceeded, Grant, MAX_TOKEN_LIFE, NotRevoked, Refusal,
    Revocation, RevocationRequest, Revocations, Target, shown::of_cookie,
};

/// How much longer than the longest life a revocation is kept: clocks differ.
const MARGIN: Duration = Duration::from_secs(600);

/// A revocation that was made, and what it has ended.
#[derive(Debug)]
pub(crate) struct Revoked {
    pub(crate) revocation: Revocation,
    /// How many streams end.
    pub(crate) streams: u32,
    /// How many tickets are void.
    pub(crate) tickets: usize,
}

impl Control {
    /// The revocations in force.
    pub(crate) fn revocations(&self) -> &Revocations {
        &self.revocations
    }

    /// Revokes; returns when that is as durable as it will be. Streams end when the hub is told to look at its grants. It waits for
    /// the disk.
    ///
    /// # Errors
    /// [`NotRevoked`]; then nothing is revoked.
    pub(crate) fn revoke(&self, request: RevocationRequest) -> Result<Revoked, NotRevoked> {
        self.revoke_by(Revocations::revoke, request)
    }

    fn revoke_by(
        &self,
        revoke: fn(&Revocations, RevocationRequest) -> Result<Revocation, NotRevoked>,
        request: RevocationRequest,
    ) -> Result<Revoked, NotRevoked> {
        let mut request = request;
        request.until = match request.until {
            Some(end) => end.checked_add(self.largest_leeway()),
            None => self.no_credential_after(&request.target),
        };
        let revocation = revoke(&self.revocations, request)?;
        // A request from here on is told of the revocation, and all grants from before are found here.
        let streams = self.end(AccessEnd::Revoked, |credential| revocation.hits(credential));
        let tickets = self
            .tickets
            .forget(|credential| revocation.hits(credential), |name| revocation.is_of_ticket(name));
        self.note(|| AuditEvent {
            action: Some(revocation.target.to_string()),
            count: Some(streams.into()),
            ..AuditEvent::new("revoked")
        });
        Ok(Revoked { revocation, streams, tickets })
    }

    /// When all credentials that a revocation could hit have expired; `None` if one may hold for ever.
    fn no_credential_after(&self, target: &Target) -> Option<SystemTime> {
        let life = match target {
            target if target.may_hit_api_key() => None,
            // A ticket holds for as long as a token, at most.
            Target::Ticket(_) => Some(MAX_TOKEN_LIFE),
            _ => self.in_force().tokens().longest_life(),
        };
        SystemTime::now().checked_add(life?.max(MAX_TOKEN_LIFE) + MARGIN)
    }

    /// How much the clock of some issuer may differ.
    pub(crate) fn largest_leeway(&self) -> Duration {
        self.in_force().tokens().largest_leeway()
    }

    /// Ends the streams of a credential, forgets its tickets, and revokes the ID of its token, if it has one.
    ///
    /// # Errors
    /// [`NotRevoked`]; then its streams go on.
    pub(crate) fn log_out(&self, credential: &Credential) -> Result<(), NotRevoked> {
        let Some(id) = credential.token_id.clone() else {
            let is_it = |other: &Credential| other.kind == credential.kind && other.name == credential.name;
            self.end(AccessEnd::Revoked, is_it);
            self.tickets.forget(is_it, |_| false);
            return Ok(());
        };
        let issuer = Some(credential.issuer.clone().unwrap_or_default());
        let (target, until) = (Target::Token { id, issuer }, credential.expires);
        let reason = Some("logged out".into());
        let request = RevocationRequest { target, issued_before: None, until, reason };
        self.revoke_by(Revocations::log_out, request).map(drop)
    }

    /// Takes a revocation back; `None` if there is none of this ID.
    ///
    /// # Errors
    /// When that cannot be made durable; then it still holds.
    pub(crate) fn take_back(&self, id: &str) -> Result<Option<Revocation>, NotRevoked> {
        let taken_back = self.revocations.take_back(id)?;
        if let Some(revocation) = &taken_back {
            self.note(|| AuditEvent {
                action: Some(revocation.target.to_string()),
                ..AuditEvent::new("revocation-taken-back")
            });
        }
        Ok(taken_back)
    }

    /// # Errors
    /// For a grant of a credential that was revoked, by somebody or by the policy in force.
    pub(super) fn is_not_revoked(&self, grant: &Grant) -> Result<(), Refusal> {
        self.in_force().let_pass(grant)?;
        let hit = grant.credentials().find_map(|credential| self.revocations.hitting(credential));
        let Some(revocation) = hit else { return Ok(()) };
        let made = humantime::format_rfc3339_seconds(revocation.made);
        let reason = revocation.reason.map(|reason| format!(" ({reason})")).unwrap_or_default();
        let detail = format!("the credential was revoked at {made}{reason}; get a new one");
        Err(Refusal::after("token-revoked", detail))
    }

    /// The name of the cookie in which a token may come; `None` if cookies are off.
    pub(crate) fn cookie(&self) -> Option<&str> {
        self.cookie.as_deref()
    }

    /// The credential of a session by cookie, if it holds.
    ///
    /// # Errors
    /// When too many credentials from its network were refused.
    pub(crate) async fn credential_of_session(
        &self,
        request: &Parts,
    ) -> Result<Option<Arc<Credential>>, Exceeded> {
        let cookie = self.cookie().and_then(|name| of_cookie(&request.headers, name));
        let Some(token) = cookie else { return Ok(None) };
        let rule = self.in_force();
        let attempt = self.may_try(request, || rule.has_to_verify(token))?;
        match rule.accept_token(token).await {
            Ok(accepted) if self.revocations.hitting(&accepted.credential).is_some() => Ok(None),
            Ok(accepted) => Ok(Some(accepted.credential)),
            Err(refusal) => {
                self.refused(attempt, refusal);
                Ok(None)
            }
        }
    }
}

//! A ticket becomes a grant.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use super::{
    AuditEvent, Control, Credential, CredentialKind, Denial, Exceeded, Grant, NotValid, Redeemed, Refusal,
    TicketTerms, control::InForce,
};

/// A ticket that opened a request's grant.
#[derive(Debug)]
pub(crate) struct UsedTicket {
    /// The ticket, for revocations, limits and logs. The credential that got the ticket is another one.
    pub(crate) credential: Arc<Credential>,
    pub(super) redeemed: Redeemed,
}

impl UsedTicket {
    /// The terms under which it was made.
    pub(crate) fn terms(&self) -> &TicketTerms {
        &self.redeemed.terms
    }

    /// Whether it may open something else than a stream.
    ///
    /// # Errors
    /// For a ticket that comes back: it opens a stream again, and nothing else.
    pub(crate) fn may_open_all(&self) -> Result<(), Denial> {
        match self.redeemed.again {
            true => Err(not_valid().into_denial()),
            false => Ok(()),
        }
    }
}

impl Control {
    /// Takes a new ticket that may be used for so long.
    ///
    /// # Errors
    /// When there are too many tickets.
    pub(crate) fn put_ticket(
        &self,
        ticket: &str,
        terms: TicketTerms,
        holds: Duration,
    ) -> Result<(), Exceeded> {
        let event = AuditEvent { topic: Some(topics(&terms)), ..AuditEvent::new("ticket") };
        let event = event.of(&terms.of.credential);
        let event = terms.subject.iter().fold(event, AuditEvent::by);
        self.tickets.put(ticket, terms, holds)?;
        self.note(|| event);
        Ok(())
    }

    /// Uses a ticket. Its grant is for the ticket's topics, as far as the credential that got it allows them now.
    ///
    /// # Errors
    /// For each ticket that opens nothing the same refusal, so nobody learns whether there was such a ticket.
    pub(super) fn redeem(&self, rule: &InForce, ticket: &str) -> Result<Grant, Refusal> {
        let redeemed = self.tickets.redeem(ticket).map_err(|NotValid { name, used_before }| {
            if let Some(credential) = used_before {
                let again = AuditEvent::new("ticket-used-again").of(&credential);
                self.note(|| AuditEvent { action: Some(format!("ticket {name}")), ..again });
            }
            not_valid()
        })?;
        let terms = &redeemed.terms;
        let of = &terms.of.credential;
        let is_over = of.expires.into_iter().chain([terms.ends]).any(|end| end <= SystemTime::now());
        if is_over || self.revocations.hitting(of).is_some() {
            return Err(not_valid());
        }
        let credential = Arc::new(Credential {
            name: redeemed.name.clone(),
            kind: CredentialKind::Ticket,
            subject: terms.subject.clone(),
            issuer: of.issuer.clone(),
            token_id: None,
            issued_at: of.issued_at,
            expires: Some(terms.ends),
            claims: serde_json::Map::new(),
            keys: 0,
        });
        let grant = rule.grant(rule.again(&terms.of).ok_or_else(not_valid)?);
        Ok(grant.of_ticket(UsedTicket { credential, redeemed }))
    }
}

fn not_valid() -> Refusal {
    let detail = "the ticket does not hold: it was used, it is too old, or there never was such a ticket; get a new one for each \
                  attempt (POST /tickets)";
    Refusal::after("ticket-not-valid", detail)
}

/// The topics of a ticket, for people.
fn topics(terms: &TicketTerms) -> String {
    crate::Matchers::from(terms.asked.clone()).to_string()
}

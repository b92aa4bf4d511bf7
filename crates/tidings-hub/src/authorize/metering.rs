//! The limits of a request's client.

use std::net::IpAddr;

use http::request::Parts;

use super::{
    Audit, AuditEvent, Control, Denial, Exceeded, Grant, Held, Holder, Limits, Metered, Place, Refusal,
    client_address, is_of_this_machine,
};
use crate::Selector;

/// A client with limits on publishing.
#[derive(Debug)]
pub(crate) struct PublishMeter<'c> {
    control: &'c Control,
    client: Metered,
}

/// A credential that is being judged.
pub(super) struct Attempt {
    /// The network that its refusal counts for.
    network: Option<IpAddr>,
    /// The answer to a refused credential of a network that has sent too many.
    exceeded: Option<Exceeded>,
}

impl PublishMeter<'_> {
    /// Counts updates, and the bytes of their data.
    ///
    /// # Errors
    /// When the client has published too much in the last seconds.
    pub(crate) fn count(&self, updates: usize, bytes: usize) -> Result<(), Exceeded> {
        self.control.meter.publish(&self.client, updates as u64, bytes as u64)
    }
}

impl Control {
    /// Lets a client open a stream. `None` if there is nothing that it has to give back.
    ///
    /// # Errors
    /// When it has too many streams, or asks for too many topics.
    pub(crate) fn open_stream(
        &self,
        grant: &Grant,
        request: &Parts,
        selector: &Selector,
    ) -> Result<Option<Box<Held>>, Exceeded> {
        // First, because the stream takes the place of an earlier one of its ticket.
        let ticket = grant.ticket().and_then(|ticket| self.tickets.open_stream(&ticket.redeemed, grant));
        let mut place = self.take_place(grant, request, selector)?;
        if let Some(ticket) = &ticket {
            place = ticket.keep(place);
        }
        let ended = self.audit.as_ref().map(|audit| {
            let event = |name| {
                let topic = crate::Matchers::from(selector.clone()).to_string();
                let event = AuditEvent {
                    topic: Some(topic),
                    address: self.address(request),
                    ..AuditEvent::new(name)
                };
                grant.credential().into_iter().fold(event, |event, credential| event.of(credential))
            };
            audit.note(event("stream-opened"));
            (audit.clone(), Box::new(event("stream-ended")))
        });
        Ok(Held { place, ticket, ended }.boxed())
    }

    /// Takes the place of a stream, until it is dropped. `None` if streams are not limited.
    ///
    /// # Errors
    /// When the client has too many streams, or asks for too many topics.
    pub(crate) fn take_place(
        &self,
        grant: &Grant,
        request: &Parts,
        selector: &Selector,
    ) -> Result<Option<Place>, Exceeded> {
        let topics =
            selector.topics().len() + selector.prefixes().len() + usize::from(selector.is_everything());
        match self.client(grant, request) {
            Some(client) => self.meter.open_stream(&client, topics),
            None => Ok(None),
        }
    }

    /// The limits on publishing of a request's client; `None` if it has none.
    pub(crate) fn publish_meter(&self, grant: &Grant, request: &Parts) -> Option<PublishMeter<'_>> {
        let client = self.client(grant, request)?;
        let has_limits = client.limits.publishes.is_some() || client.limits.publish_bytes.is_some();
        has_limits.then_some(PublishMeter { control: self, client })
    }

    /// Notes publishes in the audit log, if that is asked for.
    pub(crate) fn note_published(&self, grant: &Grant, request: &Parts, updates: usize) {
        let Some(audit) = self.audit.as_ref().filter(|audit| audit.has_publishes()) else { return };
        let event = AuditEvent {
            action: Some(format!("{} {}", request.method, request.uri.path())),
            address: self.address(request),
            count: Some(updates as u64),
            ..AuditEvent::new("published")
        };
        audit.note(grant.credential().into_iter().fold(event, |event, credential| event.of(credential)));
    }

    /// Notes a request that was refused by a rule.
    pub(crate) fn note_refused(
        &self,
        grant: Option<&Grant>,
        request: &Parts,
        rule: &str,
        number: Option<&str>,
    ) {
        let event = || {
            let event = AuditEvent {
                rule: Some(rule.to_owned()),
                action: Some(format!("{} {}", request.method, request.uri.path())),
                address: self.address(request),
                request: number.map(str::to_owned),
                ..AuditEvent::new("refused")
            };
            let credential = grant.and_then(Grant::credential);
            credential.into_iter().fold(event, |event, credential| event.of(credential))
        };
        match &self.audit {
            Some(audit) if matches!(rule, "credential-missing" | "too-many-refusals") => {
                audit.note_few(rule, event);
            }
            _ => self.note(event),
        }
    }

    pub(super) fn note(&self, event: impl FnOnce() -> AuditEvent) {
        if let Some(audit) = &self.audit {
            audit.note(event());
        }
    }

    /// The audit log, if there is one.
    pub fn audit(&self) -> Option<&Audit> {
        self.audit.as_ref()
    }

    /// The network of a client whose refused credentials are counted. This machine's own are not: every client of a local
    /// proxy that is not trusted comes from there.
    fn counted_network(&self, request: &Parts) -> Option<IpAddr> {
        let peer = client_address(request, &self.proxies)?;
        (!is_of_this_machine(request, &self.proxies)).then(|| peer.network())
    }

    fn address(&self, request: &Parts) -> Option<IpAddr> {
        client_address(request, &self.proxies).map(|peer| peer.address().ip())
    }

    /// A client with limits. The subject of a credential counts, or the credential itself; without one, the network of the client.
    fn client(&self, grant: &Grant, request: &Parts) -> Option<Metered> {
        if let Some(credential) = grant.credential() {
            // Tickets without a subject count for the credential that got them: otherwise each would have limits of its own.
            let got_it = grant.ticket().map(|ticket| &ticket.terms().of.credential);
            let credential = got_it.filter(|_| credential.subject.is_none()).unwrap_or(credential);
            let limits = grant.limits();
            return (!limits.is_none()).then(|| Metered {
                holder: Holder::of(credential),
                limits,
                name: match &credential.subject {
                    Some(subject) => format!("{:?}", subject.name()),
                    None => format!("credential {}", credential.name),
                },
            });
        }
        let network = self.counted_network(request)?;
        Some(Metered {
            holder: Holder::network(network),
            limits: Limits::of_address(),
            name: format!(
                "{network} (without a credential; a proxy is named with tidings serve --trusted-proxy)"
            ),
        })
    }

    /// Asked before a credential is looked at. From a network of too many refused ones, credentials are still judged that cost little:
    /// otherwise one client could lock out the others of its network.
    ///
    /// # Errors
    /// When too many credentials from its network were refused, and `is_signed`: its signature would have to be verified.
    pub(super) fn may_try(
        &self,
        request: &Parts,
        is_signed: impl FnOnce() -> bool,
    ) -> Result<Attempt, Exceeded> {
        let network = self.counted_network(request);
        let exceeded = network.and_then(|network| self.meter.may_try(network).err());
        match (network, exceeded) {
            (Some(network), Some(exceeded)) if is_signed() && !self.meter.may_verify(network) => {
                Err(exceeded)
            }
            (network, exceeded) => Ok(Attempt { network, exceeded }),
        }
    }

    /// The answer to a credential that was refused. It counts if it was not proved to be genuine.
    pub(super) fn refused(&self, attempt: Attempt, refusal: Refusal) -> Denial {
        if refusal.is_signed || refusal.rule == "keys-unavailable" {
            return refusal.into_denial();
        }
        if let Some(network) = attempt.network {
            self.meter.note_refused(network);
        }
        attempt.exceeded.map_or_else(|| refusal.into_denial(), Denial::from)
    }
}

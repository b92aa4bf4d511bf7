//! Why a credential is not accepted, and what of that its sender is told.

use super::Denial;

/// A credential that is not accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) rule: &'static str,
    pub(crate) detail: String,
    /// Whether it was proved to be genuine: what it says may then be told to its bearer.
    pub(crate) is_signed: bool,
}

impl Refusal {
    /// One before the signature held.
    pub(crate) fn before(rule: &'static str, detail: impl Into<String>) -> Refusal {
        Refusal { rule, detail: detail.into(), is_signed: false }
    }

    /// One of a token whose signature held.
    pub(crate) fn after(rule: &'static str, detail: impl Into<String>) -> Refusal {
        Refusal { rule, detail: detail.into(), is_signed: true }
    }

    /// The answer. Somebody who tries signatures and headers learns nothing from it; the operator finds the reason by its number.
    pub(crate) fn into_denial(self) -> Denial {
        let Refusal { rule, detail, is_signed } = self;
        if is_signed {
            tracing::debug!(rule, reason = detail, "a credential is refused");
            return Denial::unauthenticated(detail).with_rule(rule);
        }
        let mut number = [0; 8];
        // Without randomness the number is a poor one, and nothing else.
        let _ = getrandom::fill(&mut number);
        let request = format!("{:016x}", u64::from_be_bytes(number));
        tracing::debug!(request, rule, reason = detail, "a credential is refused");
        if rule == "keys-unavailable" {
            // Its bearer can do nothing about it, and must not throw the token away.
            return Denial::unavailable("the keys of the token's issuer cannot be fetched at the moment")
                .with_rule(rule)
                .with_request(request);
        }
        Denial::unauthenticated(format!(
            "the credential was not accepted; the log of the hub (tidings serve -v) has the reason under request {request}"
        ))
        .with_rule("token-not-accepted")
        .with_request(request)
    }
}

//! Authorization: a request becomes a [`Grant`] once, and all other code asks the grant.

// Access files and published keys use parts that nothing else does. They are there without these features too, so that each feature has
// one place.
#![cfg_attr(
    not(all(feature = "access-file", feature = "jwks")),
    allow(dead_code, unused_imports, reason = "only the features use them")
)]

mod access;
#[cfg(feature = "access-file")]
mod access_file;
mod api_keys;
mod audit;
mod authorizer;
mod client_address;
mod control;
mod credential;
mod denial;
mod exceeded;
mod grant;
mod granted;
mod held;
mod holder;
mod host;
mod limits;
mod local;
mod meter;
mod metering;
mod open_stream;
mod rate;
mod reading;
mod recent;
mod redeem;
mod refusal;
mod revocation_list;
mod revocations;
mod revoke;
mod revoked;
mod rights;
mod roles;
mod rules;
mod shown;
mod tickets;
mod tokens;

#[cfg(feature = "access-file")]
pub use self::access_file::{AccessFile, GoverningRule, InvalidAccessFile, Way};
pub use self::{
    access::Access,
    api_keys::NewApiKey,
    audit::Audit,
    authorizer::{Authorizer, Authorizing},
    client_address::{InvalidNetwork, Network},
    control::InvalidCookieName,
    control::{Control, Policy},
    denial::Denial,
    grant::{Grant, Subject},
    revocation_list::InvalidList,
    rights::Right,
    tokens::{
        InvalidIssuer, InvalidTokenKey, Issuer, MAX_TOKEN_LIFE, NewToken, TokenCheck, TokenExplanation,
        TokenKey, TokenKeys, Tokens,
    },
};
pub(crate) use self::{
    api_keys::{
        ApiKey, ApiKeys, basic_api_key, id_of_api_key, is_api_key_id, looks_like_api_key, read_sha256,
    },
    audit::AuditEvent,
    client_address::{client_address, is_of_this_machine},
    credential::{Accepted, Credential, CredentialKind},
    denial::DenialKind,
    exceeded::{Exceeded, Quota},
    grant::NotReadable,
    held::Held,
    holder::Holder,
    host::{host_name, is_loopback_host},
    limits::{InvalidLimits, Limits},
    meter::{Meter, Metered, Place},
    metering::PublishMeter,
    open_stream::{AccessEnd, OpenStream, Standing, Term},
    reading::{Reach, Reading},
    redeem::UsedTicket,
    refusal::Refusal,
    revocation_list::revocation_target,
    revocations::{NotRevoked, Revocation, RevocationRequest, Revocations, Target},
    revoked::{Revoked, RevokedList, RevokedWhat},
    rights::Rights,
    roles::{Role, allowed_by_roles},
    rules::{Audience, InvalidRules, Rule, Rules, Template, View, claim},
    tickets::{
        NotValid, Redeemed, TICKET_PREFIX, TicketStream, TicketTerms, Tickets, new_ticket, ticket_name,
    },
};

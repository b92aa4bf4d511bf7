//! Somebody whose limits are counted.

use std::{
    hash::{BuildHasher, RandomState},
    net::IpAddr,
    sync::LazyLock,
};

use super::Credential;
use crate::Subject;

/// Somebody whose limits are counted: a subject, a credential without one, or the network of a client without a credential.
///
/// It is a number of 64 bits, so a table of 100,000 of them is small. Two are the same by accident once in 2⁶⁴ pairs, and
/// nobody can choose a name for that, because each process mixes them in its own way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Holder(u64);

static MIX: LazyLock<RandomState> = LazyLock::new(RandomState::new);

impl Holder {
    /// The subject of a credential, or the credential itself.
    pub(crate) fn of(credential: &Credential) -> Holder {
        match &credential.subject {
            Some(subject) => Holder::subject(subject),
            None => Holder(MIX.hash_one(("credential", credential.issuer.as_deref(), &*credential.name))),
        }
    }

    pub(crate) fn subject(subject: &Subject) -> Holder {
        Holder(MIX.hash_one(("subject", subject)))
    }

    /// The network of a client, as [`Peer::network`](crate::Peer::network) says it.
    pub(crate) fn network(network: IpAddr) -> Holder {
        Holder(MIX.hash_one(("network", network)))
    }
}

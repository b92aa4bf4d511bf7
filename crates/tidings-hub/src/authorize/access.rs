//! The rule of a hub, and the one place where it makes a grant of a request.

use std::{
    borrow::Cow,
    fmt,
    sync::{Arc, LazyLock},
};

use http::request::Parts;

use super::{Authorizer, Denial, Grant};
use crate::model::matchers::Matchers;

/// The rule that decides what a request may do.
#[derive(Clone, Default)]
#[non_exhaustive]
pub enum Access {
    /// Anyone who can reach the hub under a loopback name may publish and subscribe.
    ///
    /// Any web page can make a browser send requests to 127.0.0.1, and a foreign domain name can be pointed there (DNS
    /// rebinding). Therefore a request whose `Host` is neither a loopback address, nor `localhost`, nor listed as
    /// allowed, is answered 421.
    #[default]
    Loopback,
    /// Anyone may do what is granted here, under any `Host`.
    Anonymous(Grant),
    /// The application that embeds the hub decides for each request, under any `Host`.
    Authorizer(Arc<dyn Authorizer>),
}

/// The rights of every client at a hub that only this machine can reach.
static EVERYTHING_PUBLIC: LazyLock<Grant> =
    LazyLock::new(|| Grant::default().with_publish(Matchers::all()).with_read(Matchers::all()));

impl Access {
    /// Turns a request into its grant. Nothing else in the hub does.
    ///
    /// # Errors
    /// The [`Denial`] of the application's authorizer. The built-in rules grant something to every request, if only nothing.
    pub(crate) async fn authorize(&self, request: &Parts) -> Result<Cow<'_, Grant>, Denial> {
        match self {
            Access::Loopback => Ok(Cow::Borrowed(&EVERYTHING_PUBLIC)),
            Access::Anonymous(grant) => Ok(Cow::Borrowed(grant)),
            Access::Authorizer(authorizer) => {
                let grant = authorizer.authorize(request).await?;
                grant.holds()?;
                Ok(Cow::Owned(grant))
            }
        }
    }

    /// Whether a client that gets too little without a credential should send a token.
    pub(crate) fn asks_for_token(&self) -> bool {
        matches!(self, Access::Authorizer(authorizer) if authorizer.asks_for_token())
    }

    /// Whether somebody may be granted private updates.
    pub(crate) fn can_grant_private(&self) -> bool {
        match self {
            Access::Loopback => false,
            Access::Anonymous(grant) => !grant.private().is_none(),
            Access::Authorizer(_) => true,
        }
    }

    /// Whether only loopback names lead to the hub, and those that it is given.
    pub(crate) fn is_loopback(&self) -> bool {
        matches!(self, Access::Loopback)
    }

    /// Whether the answers to two equal requests may differ, because they come from different clients.
    pub(crate) fn is_personal(&self) -> bool {
        matches!(self, Access::Authorizer(_))
    }
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Access::Loopback => f.write_str("Loopback"),
            Access::Anonymous(grant) => f.debug_tuple("Anonymous").field(grant).finish(),
            Access::Authorizer(_) => f.debug_tuple("Authorizer").finish_non_exhaustive(),
        }
    }
}

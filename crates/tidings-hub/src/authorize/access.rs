//! The rule of a hub, and the one place where it makes a grant of a request.

use std::{
    borrow::Cow,
    fmt,
    sync::{Arc, LazyLock},
};

use http::{header, request::Parts};

use super::{
    Authorizer, Control, Denial, Grant, Right,
    local::{is_local, sign_of_elsewhere},
};
use crate::model::matchers::Matchers;

/// The rule that decides what a request may do.
#[derive(Clone, Default)]
#[non_exhaustive]
pub enum Access {
    /// Anyone who can reach the hub under a loopback name may publish and subscribe.
    ///
    /// Any web page can make a browser send requests to 127.0.0.1, and a foreign domain name can be pointed there (DNS
    /// rebinding). Therefore a request whose `Host` is neither a loopback address, nor `localhost`, nor listed as
    /// allowed, is answered 421. A request that came through a proxy (`Forwarded`, `X-Forwarded-For`, `X-Real-IP` or `Via`), or from
    /// another machine, is answered 403.
    #[default]
    Loopback,
    /// Anyone may do what is granted here, under any `Host`. A program on this machine that asks under a loopback name may do
    /// everything.
    Anonymous(Grant),
    /// A credential says what its holder may do, under any `Host`.
    Control(Arc<Control>),
    /// The application that embeds the hub decides for each request, under any `Host`.
    Authorizer(Arc<dyn Authorizer>),
}

/// The rights of every client at a hub that only this machine can reach.
static EVERYTHING_PUBLIC: LazyLock<Grant> = LazyLock::new(|| {
    let topics = Grant::default().with_publish(Matchers::all()).with_read(Matchers::all());
    Right::ALL.into_iter().fold(topics, Grant::with_right)
});

impl Access {
    /// Turns a request into its grant. Nothing else in the hub does.
    ///
    /// # Errors
    /// The [`Denial`] of a credential, or of the application's authorizer.
    pub(crate) async fn authorize(&self, request: &Parts) -> Result<Cow<'_, Grant>, Denial> {
        match self {
            Access::Loopback => match sign_of_elsewhere(request) {
                None => Ok(Cow::Borrowed(&EVERYTHING_PUBLIC)),
                Some(sign) => Err(not_local(&sign)),
            },
            Access::Anonymous(_) if is_local(request) => Ok(Cow::Borrowed(&EVERYTHING_PUBLIC)),
            Access::Anonymous(grant) => Ok(Cow::Borrowed(grant)),
            Access::Control(control) => Ok(Cow::Owned(control.authorize(request).await?)),
            Access::Authorizer(authorizer) => {
                let grant = authorizer.authorize(request).await?;
                grant.holds()?;
                Ok(Cow::Owned(grant))
            }
        }
    }

    /// Whether a client that gets too little without a credential should send a token.
    pub(crate) fn asks_for_token(&self) -> bool {
        match self {
            Access::Loopback | Access::Anonymous(_) => false,
            Access::Control(_) => true,
            Access::Authorizer(authorizer) => authorizer.asks_for_token(),
        }
    }

    /// Whether the request has a credential that a browser never adds by itself. The page that makes a browser send it knows it, and could
    /// send it from anywhere.
    pub(crate) fn is_shown_by_page(&self, request: &Parts) -> bool {
        matches!(self, Access::Control(_)) && request.headers.contains_key(header::AUTHORIZATION)
    }

    /// Whether somebody may be granted private updates.
    pub(crate) fn can_grant_private(&self) -> bool {
        match self {
            Access::Loopback => false,
            Access::Anonymous(grant) => !grant.private().is_none(),
            Access::Control(_) | Access::Authorizer(_) => true,
        }
    }

    /// Whether only loopback names lead to the hub, and those that it is given.
    pub(crate) fn is_loopback(&self) -> bool {
        matches!(self, Access::Loopback)
    }

    /// Whether the answers to two equal requests may differ, because they come from different clients.
    pub(crate) fn is_personal(&self) -> bool {
        matches!(self, Access::Control(_) | Access::Authorizer(_))
    }

    /// The hub's own rule with credentials, if it has one.
    pub(crate) fn control(&self) -> Option<&Arc<Control>> {
        match self {
            Access::Control(control) => Some(control),
            _ => None,
        }
    }
}

/// The answer to a request from elsewhere, for a hub of this machine alone.
fn not_local(sign: &str) -> Denial {
    Denial::forbidden(format!(
        "this hub is for programs on its own machine, and the request is not from one: {sign}; start the hub with --key-file FILE to \
         let holders of tokens in, or with --anonymous"
    ))
    .with_rule("not-local")
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Access::Loopback => f.write_str("Loopback"),
            Access::Anonymous(grant) => f.debug_tuple("Anonymous").field(grant).finish(),
            Access::Control(_) => f.debug_tuple("Control").finish_non_exhaustive(),
            Access::Authorizer(_) => f.debug_tuple("Authorizer").finish_non_exhaustive(),
        }
    }
}

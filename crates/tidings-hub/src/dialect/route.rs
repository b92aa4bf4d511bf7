//! The rows of the table of requests.

use http::Method;

use crate::{Grant, Right, Settings};

/// A path that is served, and what a request to it needs.
#[derive(Debug)]
pub(crate) struct Route {
    pub(crate) path: Path,
    pub(crate) methods: &'static [Method],
    pub(crate) need: Need,
    pub(crate) pages: Pages,
}

/// The paths of a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Path {
    /// This path alone.
    Exactly(&'static str),
    /// All paths that begin with this.
    Below(&'static str),
    /// The paths of the static files in the hub's settings.
    StaticFile,
}

/// The permission that a request needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Need {
    /// Nothing: the answer is no secret.
    Nothing,
    /// The grant allows to read some topic.
    Read,
    /// The grant allows to publish to some topic.
    Publish,
    /// The grant has this right.
    Right(Right),
    /// A credential, other than a ticket.
    Credential,
    /// A token that names what it opens. The route itself looks at it.
    Token,
}

impl Need {
    /// Whether a grant has what is needed.
    pub(crate) fn is_met_by(self, grant: &Grant) -> bool {
        match self {
            Need::Nothing | Need::Token => true,
            Need::Read => grant.reads_something(),
            Need::Publish => grant.publishes_something(),
            Need::Right(right) => grant.has(right),
            Need::Credential => grant.accepted().is_some() && grant.ticket().is_none(),
        }
    }
}

/// Which web pages may send a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pages {
    /// All pages, under every name of this machine: a load balancer asks by address, or by no name at all.
    UnderAnyHost,
    /// All pages. A browser keeps the answer from a page that is not listed.
    All,
    /// The hub's own pages, pages that are listed, and every link that a person follows.
    Readers,
    /// The hub's own pages, and pages that are listed.
    Publishers,
}

pub(crate) static GET: &[Method] = &[Method::GET, Method::HEAD];
pub(crate) static POST: &[Method] = &[Method::POST];

impl Route {
    pub(crate) const fn new(path: Path, methods: &'static [Method], need: Need, pages: Pages) -> Route {
        Route { path, methods, need, pages }
    }

    /// Whether it serves a path.
    pub(crate) fn is_at(&self, path: &str, settings: &Settings) -> bool {
        match self.path {
            Path::Exactly(own) => path == own,
            Path::Below(beginning) => path.starts_with(beginning),
            Path::StaticFile => settings.pages.contains_key(path),
        }
    }

    /// Whether it serves requests with this method to a path.
    pub(crate) fn takes(&self, method: &Method, path: &str, settings: &Settings) -> bool {
        self.methods.contains(method) && self.is_at(path, settings)
    }
}

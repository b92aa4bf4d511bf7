//! The HTTP interface.

mod accept;
mod body;
mod cross_site;
pub(crate) mod disconnect;
mod file_body;
pub(crate) mod hand_over;
mod page_body;
pub(crate) mod problem;
pub(crate) mod published_body;
mod range;
mod request_head;
mod routes;
pub(crate) mod service;

#[cfg(feature = "gateway")]
pub(crate) use self::{
    cross_site::Site,
    disconnect::{Departure, Disconnect},
    published_body::PublishedBody,
    request_head::has_no_coding,
    routes::subscribe::{deliver, ended, sign_verdict, subscribe},
    service::BoxError,
};
/// What `fuzzing` looks at without a request around it.
#[cfg(feature = "fuzzing")]
pub(crate) mod fuzzed {
    pub(crate) use super::range::{Wanted, wanted};
}

pub use body::HubBody;
pub(crate) use problem::Problem;
pub use service::HubService;

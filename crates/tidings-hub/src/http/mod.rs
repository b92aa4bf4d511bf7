//! The HTTP interface.

pub(crate) mod body;
pub(crate) mod cross_site;
pub(crate) mod disconnect;
mod file_body;
pub(crate) mod hand_over;
mod json;
mod json_body;
mod page_body;
mod perform;
pub(crate) mod problem;
pub(crate) mod published_body;
mod range;
pub(crate) mod request_head;
pub(crate) mod router;
pub(crate) mod routes;
pub(crate) mod service;
mod ticket_request;

/// Parts that `fuzzing` tests without a request around them.
#[cfg(feature = "fuzzing")]
pub(crate) mod fuzzed {
    pub(crate) use super::range::{Wanted, wanted};
}

pub use body::HubBody;
pub(crate) use problem::Problem;
pub use service::HubService;

//! The HTTP interface.

mod accept;
mod attach;
mod attachment;
mod body;
mod connection;
mod cross_site;
mod encryption;
mod file_body;
mod hang_up;
mod history;
mod http1;
mod http2;
mod last_chance;
mod list;
mod page_body;
mod patient_timer;
mod problem;
mod progress;
mod publish;
mod published_body;
mod range;
mod request_head;
mod serve;
mod service;
mod socket;
mod streams;
mod subscribe;
mod subscribers;
mod take_over;
mod write_behind;

#[cfg(feature = "gateway")]
pub(crate) use self::{
    cross_site::Site,
    hang_up::{Departure, HangUp},
    published_body::PublishedBody,
    request_head::has_no_coding,
    service::BoxError,
    subscribe::{deliver, ended, sign_verdict, subscribe},
};
/// What `fuzzing` looks at without a request around it.
#[cfg(feature = "fuzzing")]
pub(crate) mod fuzzed {
    pub(crate) use super::range::{Wanted, wanted};
}

pub use body::HubBody;
pub use cross_site::{InvalidOrigin, Origin};
pub(crate) use encryption::Encryption;
pub(crate) use list::{joined, split_unquoted};
pub(crate) use problem::Problem;
pub(crate) use serve::serve;
pub use service::HubService;

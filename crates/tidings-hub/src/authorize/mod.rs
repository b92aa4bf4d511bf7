//! Authorization: a request becomes a [`Grant`] once, and all other code asks the grant.

mod access;
mod authorizer;
mod denial;
mod grant;
mod host;
mod reading;

pub use self::{
    access::Access,
    authorizer::{Authorizer, Authorizing},
    denial::Denial,
    grant::{Grant, Subject},
};
pub(crate) use self::{
    grant::{NotReadable, Right},
    host::{host_name, is_loopback_host},
    reading::{Reach, Reading},
};

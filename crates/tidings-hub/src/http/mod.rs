//! The HTTP interface.

mod accept;
mod body;
mod cross_site;
mod history;
mod problem;
mod publish;
mod serve;
mod service;
mod subscribe;

pub use body::HubBody;
pub use cross_site::{InvalidOrigin, Origin};
pub(crate) use problem::Problem;
pub(crate) use serve::serve;
pub use service::HubService;

//! hub
mod authorize;
mod cursor;
mod delivery;
mod dialect;
mod error;
mod http;
mod hub;
mod json;
pub mod log;
mod metrics;
mod resume;
mod routing;
mod settings;
mod topic;
mod update;

pub use self::http::{HubBody, HubService, InvalidOrigin, Origin};
pub use authorize::{Access, Grant};
pub use cursor::{Cursor, Subscribe};
pub use delivery::Form;
pub use error::PublishError;
pub use hub::Hub;
pub use resume::{StartAt, Verdict};
pub use settings::{Asset, Settings};
pub use topic::{Interest, InvalidTopic, MAX_FILTERS, MAX_TOPIC_BYTES, Prefix, Topic, TopicFilter};
pub use update::{InvalidName, MAX_NAME_BYTES, RESERVED_TYPES, Update, UpdateId, UpdateType};

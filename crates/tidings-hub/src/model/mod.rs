//! The values of the hub: topics and patterns, updates, positions and IDs.

pub(crate) mod attachment_id;
pub(crate) mod gap;
pub(crate) mod matchers;
pub(crate) mod origin;
pub(crate) mod position;
pub(crate) mod topic;
pub(crate) mod topic_map;
pub(crate) mod update;

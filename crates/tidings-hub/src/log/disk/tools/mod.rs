//! Work on a log on disk beside a hub: checking, exporting, counting, a new epoch.

pub(super) mod check;
pub(super) mod epoch;
pub(super) mod scan;
pub(super) mod stat;
pub(super) mod view;

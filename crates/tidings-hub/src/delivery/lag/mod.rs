//! The lag of subscriptions, and those that ended last. For operators; it is determined on request.
//!
//! Nobody keeps a list of the rows of the [delivery loops](crate::delivery): each loop looks through its own when it is asked,
//! and tells [those furthest behind](furthest). [Bodies](bodies), which cost kilobytes anyway, are in a list. Asking often
//! costs no more than asking four times a second, since all requests meanwhile that may know the same get the same answer.

mod bodies;
mod ended;
mod furthest;
mod loops;

use std::time::Duration;

pub(crate) use bodies::{Bodies, Body};
pub(crate) use ended::{Ended, LastEnded};
pub(crate) use furthest::{Furthest, Lag, Seen};
pub(crate) use loops::Loops;

/// How old an answer may be for the next request.
pub(crate) const FRESH: Duration = Duration::from_millis(250);

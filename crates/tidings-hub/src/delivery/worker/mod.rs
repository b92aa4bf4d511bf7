//! The delivery loop: one task for each core owns the sockets of its subscribers and sends what follows their positions.
//!
//! A subscriber is a [row](row): a socket and a position. Rows of the same subscription are a [group](group), which [hears](bell) of
//! updates and for which each chunk is made once. [The task](work) is woken by its [inbox](inbox), by sockets that can be
//! written again or have hung up, and by a coarse clock for [heartbeats and timeouts](sweep). Pages from before the window are
//! [read](reads) beside all that. An operator can ask [which rows lag most](survey). A server has [several](workers).

mod bell;
mod deliver;
mod group;
mod inbox;
mod reads;
mod row;
mod slots;
mod survey;
mod sweep;
mod work;
mod workers;

pub(crate) use inbox::{Inbox, Join};
pub(crate) use workers::Workers;

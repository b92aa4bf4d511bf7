//! Evicting what is over the limits, in steps that no publish has to wait for.

mod choose;
mod past_damage;
mod remove;
mod step;
#[cfg(test)]
mod tests;

pub(super) use self::{
    past_damage::{is_damage, step_past_damage},
    step::{Evicted, step},
};

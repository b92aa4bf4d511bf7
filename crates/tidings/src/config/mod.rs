//! What can be chosen, and by whom.
//!
//! [`Settings`] has everything that an operator can choose for a hub, and owns the defaults. A [`Layer`] says some of it, in the
//! words of the flags: the environment does ([`Environment`]). What a layer says takes the place of what the layers below it
//! say, and the command line stands above all.

mod environment;
#[cfg(all(test, feature = "doctor", feature = "bench", feature = "chaos"))]
mod every_flag;
mod flag;
mod layer;
mod settings;

pub(crate) use self::{
    environment::Environment,
    layer::parse,
    settings::{Settings, defaults},
};

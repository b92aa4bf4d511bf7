//! Settings, their defaults, and the layers that change them.
//!
//! [`Settings`] has everything that an operator can choose for a hub, and owns the defaults. A layer has values for flags, as text.
//! The environment is such a layer ([`Environment`]). A layer replaces the values of the layers below it, and the command line is
//! above all layers.

mod environment;
#[cfg(all(test, feature = "doctor", feature = "bench", feature = "chaos"))]
mod every_flag;
mod flag;
mod layer;
mod policy;
mod settings;
mod token_key;

pub(crate) use self::{
    environment::Environment,
    layer::{Origins, parse},
    policy::policy,
    settings::{Settings, defaults},
    token_key::{read_token_key, read_token_keys},
};

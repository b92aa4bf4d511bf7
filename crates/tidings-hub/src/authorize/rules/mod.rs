//! Rules by topic: the clients that may read and publish, beside the rights that a credential has by itself.

mod rule;
mod stricter;
mod template;
mod tree;
mod view;

pub(crate) use self::{
    rule::{Audience, InvalidRules, Rule, Rules},
    template::{Template, claim},
    view::View,
};

#[cfg(test)]
pub(super) use self::tests::holder;
#[cfg(test)]
mod tests;

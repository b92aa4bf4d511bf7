//! Rules by topic: who may read and publish, beside what a credential says itself.

mod rule;
mod stricter;
mod template;
mod tree;
mod view;

pub(crate) use self::{
    rule::{Audience, InvalidRules, Rule, Rules},
    template::{InvalidTemplate, Template, claim},
    view::View,
};

#[cfg(test)]
pub(super) use self::tests::holder;
#[cfg(test)]
mod tests;

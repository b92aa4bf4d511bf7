//! The rules as one holder meets them.

use std::{collections::HashMap, sync::Arc};

use super::{Rules, rule::Action, stricter::Patterns};
use crate::{Matchers, Topic, TopicFilter, authorize::Credential};

/// The rules as the holder of one credential meets them, or a client without any. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct View(Arc<Filled>);

#[derive(Debug)]
struct Filled {
    rules: Arc<Rules>,
    is_holder: bool,
    /// The topics of the rules with placeholders, by the numbers of the rules.
    own: HashMap<usize, TopicFilter>,
    /// To read, and to publish: the topics of all rules that allow it. Some topics among them have a stricter rule of their own.
    allowed: [Matchers; 2],
    /// Whether none has.
    is_exact: [bool; 2],
}

impl View {
    pub(super) fn new(rules: Arc<Rules>, holder: Option<&Credential>) -> View {
        let is_holder = holder.is_some();
        let own: HashMap<_, _> = rules.filled(holder).collect();
        let allowed = [Action::Read, Action::Publish].map(|action| {
            let plain = rules.allowed(action, is_holder);
            let own = own.iter().filter(|(number, _)| rules.rule(**number).audience(action).has(is_holder));
            plain.union(&own.map(|(_, filter)| filter.clone()).collect())
        });
        let mut filled = Filled { rules, is_holder, own, allowed, is_exact: [false; 2] };
        filled.is_exact =
            [Action::Read, Action::Publish].map(|action| filled.allows_all(action, &TopicFilter::All));
        View(Arc::new(filled))
    }

    /// Whether the rule of a topic lets its public updates be read.
    pub(crate) fn reads(&self, topic: &Topic) -> bool {
        self.0.allows(Action::Read, topic)
    }

    /// Whether the rule of a topic lets updates of it be published.
    pub(crate) fn publishes(&self, topic: &Topic) -> bool {
        self.0.allows(Action::Publish, topic)
    }

    /// The topics of all rules that let something be read. It covers all topics that may be read; those with a stricter rule, too.
    pub(crate) fn readable(&self) -> &Matchers {
        &self.0.allowed[Action::Read as usize]
    }

    /// The topics of all rules that let something be published; those with a stricter rule, too.
    pub(crate) fn publishable(&self) -> &Matchers {
        &self.0.allowed[Action::Publish as usize]
    }

    /// Whether all topics of `filter` that [`View::readable`] covers may be read: none has a stricter rule.
    pub(crate) fn reads_all(&self, filter: &TopicFilter) -> bool {
        self.reads_exactly() || self.0.allows_all(Action::Read, filter)
    }

    /// Whether both are of the same rules for the same holder.
    pub(crate) fn is_same_as(&self, other: &View) -> bool {
        let (one, other) = (&*self.0, &*other.0);
        one.is_holder == other.is_holder && one.own == other.own && one.rules.all() == other.rules.all()
    }

    /// Whether all topics that [`View::readable`] covers may be read.
    pub(crate) fn reads_exactly(&self) -> bool {
        self.0.is_exact[Action::Read as usize]
    }

    /// Whether all topics that [`View::publishable`] covers may be published to.
    pub(crate) fn publishes_exactly(&self) -> bool {
        self.0.is_exact[Action::Publish as usize]
    }
}

impl Filled {
    fn allows(&self, action: Action, topic: &Topic) -> bool {
        let Some(number) = self.rules.governing(topic) else { return false };
        let rule = self.rules.rule(number);
        rule.audience(action).has(self.is_holder)
            && (!rule.topics.has_placeholders()
                || self.own.get(&number).is_some_and(|own| own.matches(topic)))
    }

    /// Whether no topic of `filter` within those that are allowed has a stricter rule.
    fn allows_all(&self, action: Action, filter: &TopicFilter) -> bool {
        let asked = self.allowed[action as usize].narrow(&[filter.clone()].into_iter().collect());
        if !asked.topics().iter().all(|topic| self.allows(action, topic)) {
            return false;
        }
        let patterns = asked.prefixes();
        if patterns.is_empty() && !asked.is_everything() {
            return true;
        }
        let strict = self
            .rules
            .all()
            .iter()
            .filter(|rule| !rule.audience(action).has(self.is_holder) || rule.topics.has_placeholders());
        Patterns::new(patterns, self.rules.tree(), self.own.values())
            .all(strict.map(|rule| &rule.topics), |topic| self.allows(action, topic))
    }
}

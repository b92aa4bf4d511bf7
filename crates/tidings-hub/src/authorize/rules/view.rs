//! The rules as one holder meets them.

use std::{collections::HashMap, sync::Arc};

use super::{Rules, Template, rule::Action, stricter::Patterns};
use crate::{Matchers, Selector, Topic, TopicFilter, authorize::Credential};

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
        filled.is_exact = [Action::Read, Action::Publish]
            .map(|action| filled.allows_all(action, &Selector::everything(), &Matchers::none()));
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

    /// Whether all topics of `asked` that [`View::readable`] covers may be read by a client that may also read `own`: none of the
    /// others has a stricter rule. It looks at the rules once, however many patterns are asked for.
    pub(crate) fn reads_all(&self, asked: &Selector, own: &Matchers) -> bool {
        self.reads_exactly() || self.0.allows_all(Action::Read, asked, own)
    }

    /// Whether some topic of `asked` may be read. Says yes as well where that takes too many steps to find out.
    pub(crate) fn reads_some(&self, asked: &Matchers) -> bool {
        let Filled { rules, is_holder, own, .. } = &*self.0;
        let (topics, heads) = topics_and_heads(asked.iter());
        if topics.iter().any(|topic| self.reads(topic)) {
            return true;
        }
        let allows = |number: usize| rules.rule(number).audience(Action::Read).has(*is_holder);
        let filled = own.iter().filter(|(number, _)| allows(**number));
        let filled: Vec<_> = filled.map(|(_, filter)| Template::from(filter.clone())).collect();
        let plain = rules.all().iter().map(|rule| &rule.topics).enumerate();
        let plain = plain.filter(|(number, topics)| !topics.has_placeholders() && allows(*number));
        let values = own.values().cloned().chain(asked.iter());
        !Patterns::new(heads, [rules.tree()].into_iter(), values)
            .all(plain.map(|(_, topics)| topics).chain(&filled), |topic| !self.reads(topic))
    }

    /// Whether a client with this view that may also read `own` may read all that one with the view `other` may that may also read
    /// `others`.
    pub(crate) fn reads_as_much_as(&self, own: &Matchers, other: &View, others: &Matchers) -> bool {
        self.allows_as_much_as(Action::Read, own, other, others)
    }

    /// The same for publishing.
    pub(crate) fn publishes_as_much_as(&self, own: &Matchers, other: &View, others: &Matchers) -> bool {
        self.allows_as_much_as(Action::Publish, own, other, others)
    }

    fn allows_as_much_as(&self, action: Action, own: &Matchers, other: &View, others: &Matchers) -> bool {
        // Each rule by itself: one that another covers may decide otherwise.
        let within: Vec<_> = others.iter().chain(other.0.allowing(action)).collect();
        own.include(&others.union(&other.0.allowed[action as usize]))
            || self.0.all_in(action, &within, own, Some(&other.0), |topic| {
                let allows =
                    |matchers: &Matchers, view: &View| matchers.covers(topic) || view.0.allows(action, topic);
                allows(own, self) || !allows(others, other)
            })
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

    /// The topics of each rule that allows something.
    fn allowing(&self, action: Action) -> impl Iterator<Item = TopicFilter> {
        let allowing = self.rules.all().iter().enumerate();
        let allowing = allowing.filter(move |(_, rule)| rule.audience(action).has(self.is_holder));
        allowing.filter_map(|(number, rule)| match rule.topics.has_placeholders() {
            true => self.own.get(&number).cloned(),
            false => rule.topics.fill(None),
        })
    }

    /// Whether no topic of `asked` within those that are allowed has a stricter rule, but for topics of `own`.
    fn allows_all(&self, action: Action, asked: &Selector, own: &Matchers) -> bool {
        let within = self.allowed[action as usize].narrow(asked);
        let within: Vec<_> = Matchers::from(within).iter().collect();
        self.all_in(action, &within, own, None, |topic| own.covers(topic) || self.allows(action, topic))
    }

    /// Whether something holds for all topics of `within`: something that depends on these rules, on `own`, and on another view
    /// alone, and that can fail only where these rules forbid.
    fn all_in(
        &self,
        action: Action,
        within: &[TopicFilter],
        own: &Matchers,
        other: Option<&Filled>,
        holds: impl Fn(&Topic) -> bool,
    ) -> bool {
        let (topics, patterns) = topics_and_heads(within.iter().cloned());
        if !topics.iter().all(&holds) {
            return false;
        }
        let others = other.into_iter().flat_map(|other| other.own.values().cloned());
        let values = self.own.values().cloned().chain(others).chain(own.iter()).chain(within.iter().cloned());
        let trees = [Some(self), other].into_iter().flatten().map(|filled| filled.rules.tree());
        let all = Template::from(TopicFilter::All);
        let strict = self
            .rules
            .all()
            .iter()
            .filter(|rule| !rule.audience(action).has(self.is_holder) || rule.topics.has_placeholders());
        // Where no rule is for a topic, all rules forbid it.
        let strict = strict.map(|rule| &rule.topics).chain([&all]);
        Patterns::new(patterns, trees, values).all(strict, holds)
    }
}

/// The topics, and the fixed parts of the patterns.
fn topics_and_heads(filters: impl Iterator<Item = TopicFilter>) -> (Vec<Topic>, Vec<String>) {
    let (mut topics, mut heads) = (Vec::new(), Vec::new());
    for filter in filters {
        match filter {
            TopicFilter::Exact(topic) => topics.push(topic),
            TopicFilter::Below(prefix) => heads.push(prefix.as_str().to_owned()),
            TopicFilter::All => heads.push(String::new()),
        }
    }
    (topics, heads)
}

/// Of no rules.
impl Default for View {
    fn default() -> View {
        View::new(Arc::default(), None)
    }
}

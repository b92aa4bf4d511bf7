//! The rules of a hub.

use std::{fmt, sync::Arc};

use super::{View, template::Template, tree::Tree};
use crate::{Matchers, Topic, TopicFilter, authorize::Credential};

/// The most rules of a hub.
pub(crate) const MAX_RULES: usize = 10_000;

/// The clients that a rule lets do something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Audience {
    /// Every client, also one without a credential.
    Anyone,
    /// Every client with a credential that the hub accepts.
    Token,
    /// Only a client whose credential names the topic.
    Granted,
}

impl Audience {
    /// All of them.
    pub(crate) const ALL: [Audience; 3] = [Audience::Anyone, Audience::Token, Audience::Granted];

    /// The word for it in an access file.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Audience::Anyone => "anyone",
            Audience::Token => "token",
            Audience::Granted => "granted",
        }
    }

    /// The audience of this word.
    pub(crate) fn parse(word: &str) -> Option<Audience> {
        Audience::ALL.into_iter().find(|audience| audience.as_str() == word)
    }

    /// Whether a client without a credential, or with one, belongs to it by that alone.
    pub(super) fn has(self, is_holder: bool) -> bool {
        match self {
            Audience::Anyone => true,
            Audience::Token => is_holder,
            Audience::Granted => false,
        }
    }
}

/// The word for it in an access file.
impl fmt::Display for Audience {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A rule that governs topics: it decides alone, unless a more specific rule governs the topic.
///
/// A rule with placeholders governs the topics with any segment in their place. It lets the holder of a credential do something only
/// where the segment is the value of the holder: nobody gets into the branch of somebody else by a rule for more topics.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rule {
    /// The topics that it governs.
    pub(crate) topics: Template,
    /// The clients that may read public updates.
    pub(crate) read: Audience,
    /// The clients that may publish.
    pub(crate) publish: Audience,
}

impl Rule {
    /// A rule for these topics that lets only clients do something whose credential names the topic.
    pub(crate) fn new(topics: Template) -> Rule {
        Rule { topics, read: Audience::Granted, publish: Audience::Granted }
    }

    /// Says which clients may read public updates.
    #[must_use]
    pub(crate) fn with_read(self, read: Audience) -> Rule {
        Rule { read, ..self }
    }

    /// Says which clients may publish.
    #[must_use]
    pub(crate) fn with_publish(self, publish: Audience) -> Rule {
        Rule { publish, ..self }
    }

    pub(super) fn audience(&self, action: Action) -> Audience {
        match action {
            Action::Read => self.read,
            Action::Publish => self.publish,
        }
    }
}

/// An action that a rule is asked about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    Read,
    Publish,
}

/// Why rules cannot be used together.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum InvalidRules {
    /// Two rules are for the same topics.
    #[error(
        "the rules {one} and {other} govern the same topics, and which of them holds would be a matter of chance; leave one out"
    )]
    Same {
        /// The topics of the rule that comes first.
        one: Template,
        /// The topics of the other rule.
        other: Template,
        /// The numbers of both, from 0, in the order in which they were given.
        numbers: [usize; 2],
    },
    /// More than [`MAX_RULES`].
    #[error("there are {count} rules; at most {MAX_RULES} are allowed")]
    TooMany {
        /// How many.
        count: usize,
    },
}

/// All rules of a hub. Where no rule governs a topic, only those get something whose credential names the topic.
#[derive(Debug, Default)]
pub(crate) struct Rules {
    rules: Vec<Rule>,
    tree: Tree,
    /// The numbers of those that have to be filled in.
    with_placeholders: Vec<usize>,
    /// What the others allow nobody in particular, and the holder of any credential: to read, and to publish.
    allowed: [[Matchers; 2]; 2],
}

impl Rules {
    /// Takes rules in any order: it does not matter.
    ///
    /// # Errors
    /// [`InvalidRules`] if two are for the same topics, or there are too many.
    pub(crate) fn new(rules: Vec<Rule>) -> Result<Rules, InvalidRules> {
        match rules.len() > MAX_RULES {
            true => Err(InvalidRules::TooMany { count: rules.len() }),
            false => Rules::of(rules),
        }
    }

    /// The same with a rule for the topics that none is for.
    #[must_use]
    pub(crate) fn with_default(&self, read: Audience, publish: Audience) -> Rules {
        let default = Rule::new(TopicFilter::All.into()).with_read(read).with_publish(publish);
        let all = self.rules.iter().cloned();
        // A rule for all topics that is there already stays.
        Rules::of(all.clone().chain([default]).collect())
            .or_else(|_| Rules::of(all.collect()))
            .unwrap_or_default()
    }

    fn of(rules: Vec<Rule>) -> Result<Rules, InvalidRules> {
        let mut tree = Tree::default();
        for (number, rule) in rules.iter().enumerate() {
            tree.insert(&rule.topics, number).map_err(|earlier| InvalidRules::Same {
                one: rules[earlier].topics.clone(),
                other: rule.topics.clone(),
                numbers: [earlier, number],
            })?;
        }
        let open = |(_, rule): &(usize, &Rule)| rule.topics.has_placeholders();
        let with_placeholders = rules.iter().enumerate().filter(open).map(|(number, _)| number).collect();
        let allowed = [false, true].map(|is_holder| {
            [Action::Read, Action::Publish].map(|action| {
                let allows = |rule: &&Rule| rule.audience(action).has(is_holder);
                let plain = rules.iter().filter(|rule| !rule.topics.has_placeholders()).filter(allows);
                plain.filter_map(|rule| rule.topics.fill(None)).collect()
            })
        });
        Ok(Rules { rules, tree, with_placeholders, allowed })
    }

    /// The rules as the holder of a credential meets them, or a client without any. To be made once for each credential: it takes
    /// a moment for each rule with placeholders.
    pub(crate) fn view(self: &Arc<Self>, holder: Option<&Credential>) -> View {
        View::new(self.clone(), holder)
    }

    /// The number of the rule that decides about a topic, from 0, in the order in which they were given.
    pub(crate) fn governing(&self, topic: &Topic) -> Option<usize> {
        self.tree.governing(topic.as_str())
    }

    /// The rule of a number.
    pub(crate) fn rule(&self, number: usize) -> &Rule {
        &self.rules[number]
    }

    pub(super) fn all(&self) -> &[Rule] {
        &self.rules
    }

    pub(super) fn tree(&self) -> &Tree {
        &self.tree
    }

    /// The topics of the rules with placeholders for the holder of a credential, with the numbers of the rules.
    pub(super) fn filled(&self, holder: Option<&Credential>) -> impl Iterator<Item = (usize, TopicFilter)> {
        let numbers = self.with_placeholders.iter().filter(move |_| holder.is_some());
        numbers.filter_map(move |number| Some((*number, self.rules[*number].topics.fill(holder)?)))
    }

    /// The topics that rules without placeholders allow.
    pub(super) fn allowed(&self, action: Action, is_holder: bool) -> &Matchers {
        &self.allowed[usize::from(is_holder)][action as usize]
    }
}

//! Whether patterns have a topic with a stricter rule, without a look at every topic.
//!
//! For one rule and one pattern, a single topic is enough, or a few: the most general that both have. Where they leave a segment
//! open, it has a text that no rule names and that is no value of the holder. A rule that governs this topic in place of the given
//! one governs everything else that both have, too. So if the given rule governs anything of the pattern, it governs this topic.
//! And if it forbids anything there, it forbids this topic, whose open segments are the holder's in no placeholder.
//!
//! What follows a star may have any number of segments, and the last may be empty, which no other star takes: each number up to the
//! depth of the deepest rule is tried, both ways.

use std::collections::HashSet;

use super::{
    template::{Segment, Template},
    tree::Tree,
};
use crate::{Topic, TopicFilter};

/// The most steps. Rules that need more have thousands of patterns and as many stricter rules, each below most of the others.
const MAX_STEPS: usize = 1 << 16;

/// Patterns in which something is looked for.
pub(super) struct Patterns {
    /// Their fixed parts in order, such as `news/`; an empty text alone is for all topics.
    heads: Vec<String>,
    /// The depth of the deepest rule.
    depth: usize,
    /// The text for an open segment.
    other: String,
    steps: usize,
}

impl Patterns {
    /// Those with these fixed parts. `values` have the texts in their segments that no open segment may have, beside those
    /// of the rules in `trees`.
    pub(super) fn new<'t>(
        mut heads: Vec<String>,
        trees: impl Iterator<Item = &'t Tree>,
        values: impl Iterator<Item = TopicFilter>,
    ) -> Patterns {
        heads.sort_unstable();
        heads.dedup();
        let mut named: HashSet<usize> = HashSet::new();
        let mut name = |segment: &str| {
            if segment.bytes().all(|byte| byte == b'-') {
                named.insert(segment.len());
            }
        };
        let mut depth = 0;
        for tree in trees {
            tree.literals().for_each(&mut name);
            depth = depth.max(tree.depth());
        }
        values.for_each(|value| value.to_string().split('/').for_each(&mut name));
        let length = (1..).find(|length| !named.contains(length)).unwrap_or(1);
        Patterns { heads, depth, other: "-".repeat(length), steps: 0 }
    }

    /// Whether `allows` holds for each topic that one of `rules` governs in one of the patterns. Says no as well after too many steps.
    pub(super) fn all<'r>(
        mut self,
        rules: impl Iterator<Item = &'r Template>,
        allows: impl Fn(&Topic) -> bool,
    ) -> bool {
        for rule in rules {
            for number in self.meeting(&literal_head(rule)) {
                if !self.all_of(rule, number, &allows) {
                    return false;
                }
            }
        }
        true
    }

    /// The numbers of the patterns that may have a topic that begins with `head`.
    fn meeting(&self, head: &str) -> Vec<usize> {
        let ends = [0].into_iter().chain(head.match_indices('/').map(|(slash, _)| slash + 1));
        let above = ends.filter(|end| *end < head.len()).map(|end| &head[..end]);
        let above = above.filter_map(|above| self.heads.binary_search_by(|own| (**own).cmp(above)).ok());
        let from = self.heads.partition_point(|pattern| &**pattern < head);
        let below = self.heads[from..].iter().take_while(|pattern| pattern.starts_with(head)).count();
        above.chain(from..from + below).collect()
    }

    /// The same for one rule and one pattern.
    fn all_of(&mut self, rule: &Template, number: usize, allows: &impl Fn(&Topic) -> bool) -> bool {
        self.steps += 1;
        let pattern = &*self.heads[number];
        let (segments, has_star) = match rule.segments() {
            [segments @ .., Segment::Star] => (segments, true),
            segments => (segments, false),
        };
        let Some(general) = general(segments, pattern, &self.other) else { return true };
        let is_allowed = |text: &str| {
            // The pattern takes something after its last slash. A text that is too long, or empty, is no topic.
            let is_of_pattern = text.len() > pattern.len() && text.starts_with(pattern);
            !is_of_pattern || Topic::parse(text).map_or(true, |topic| allows(&topic))
        };
        let mut text = general.join("/");
        if !has_star {
            // Only in an open segment may there be nothing.
            let open = matches!(segments.last(), Some(Segment::Placeholder(_)));
            let emptied = text.strip_suffix(&self.other).filter(|_| open);
            return is_allowed(&text) && emptied.is_none_or(is_allowed) && self.steps < MAX_STEPS;
        }
        for length in general.len()..=self.depth.max(general.len()) {
            if length > 0 {
                text.push('/');
            }
            let with_nothing = is_allowed(&text);
            text.push_str(&self.other);
            self.steps += 1;
            if !with_nothing || !is_allowed(&text) || self.steps >= MAX_STEPS {
                return false;
            }
        }
        true
    }
}

/// The segments that both a rule and a pattern fix, and `other` where neither does. `None` if they have no topic in common.
fn general<'a>(rule: &'a [Segment], pattern: &'a str, other: &'a str) -> Option<Vec<&'a str>> {
    // After the last slash of a pattern is its star.
    let mut fixed: Vec<&'a str> = pattern.split('/').collect();
    fixed.pop();
    let place = |place: usize| match (rule.get(place), fixed.get(place)) {
        (Some(Segment::Literal(literal)), Some(fixed)) => (**literal == **fixed).then_some(&**literal),
        (Some(Segment::Literal(literal)), None) => Some(&**literal),
        (_, Some(fixed)) => Some(*fixed),
        (_, None) => Some(other),
    };
    (0..rule.len().max(fixed.len())).map(place).collect()
}

/// The text that each topic of a rule begins with.
fn literal_head(rule: &Template) -> String {
    let mut head = String::new();
    for (place, segment) in rule.segments().iter().enumerate() {
        if place > 0 {
            head.push('/');
        }
        match segment {
            Segment::Literal(literal) => head.push_str(literal),
            _ => break,
        }
    }
    head
}

//! Which rule governs a topic: the most specific one of those whose topics it is among.

use std::collections::HashMap;

use super::template::{Segment, Template};

/// Rules by the segments of their topics.
///
/// A look-up visits each node at most once, since each has one parent. With `k` places where both a literal and a placeholder go on,
/// it visits at most `2^k` nodes of each depth: as long as the topic is deep, or the tree is large, whichever is less.
#[derive(Debug)]
pub(super) struct Tree {
    /// The first is the root.
    nodes: Vec<Node>,
    /// The depth of the deepest rule, in segments.
    depth: usize,
}

#[derive(Debug, Default)]
struct Node {
    literals: HashMap<Box<str>, usize>,
    /// For any one segment.
    placeholder: Option<usize>,
    /// The rule whose topics end here.
    end: Option<usize>,
    /// The rule of all that goes on from here.
    star: Option<usize>,
}

impl Default for Tree {
    fn default() -> Tree {
        Tree { nodes: vec![Node::default()], depth: 0 }
    }
}

impl Tree {
    /// Adds the rule of this number.
    ///
    /// # Errors
    /// The number of the rule that governs the same topics.
    pub(super) fn insert(&mut self, topics: &Template, rule: usize) -> Result<(), usize> {
        self.depth = self.depth.max(topics.segments().len());
        let mut place = 0;
        for segment in topics.segments() {
            let next = self.nodes.len();
            let node = &mut self.nodes[place];
            place = match segment {
                Segment::Literal(literal) => *node.literals.entry(literal.clone()).or_insert(next),
                Segment::Placeholder(_) => *node.placeholder.get_or_insert(next),
                Segment::Star => return take(&mut node.star, rule),
            };
            if place == next {
                self.nodes.push(Node::default());
            }
        }
        take(&mut self.nodes[place].end, rule)
    }

    /// The number of the rule that governs a topic.
    pub(super) fn governing(&self, topic: &str) -> Option<usize> {
        self.within(&self.nodes[0], Some(topic), &mut 0)
    }

    /// How many nodes a look-up visits.
    #[cfg(test)]
    pub(super) fn visits(&self, topic: &str) -> usize {
        let mut visits = 0;
        self.within(&self.nodes[0], Some(topic), &mut visits);
        visits
    }

    /// The most specific rule below a node, by what is left of the topic; `None` if nothing is left, not even a slash.
    fn within(&self, node: &Node, rest: Option<&str>, visits: &mut usize) -> Option<usize> {
        *visits += 1;
        let Some(rest) = rest else { return node.end };
        let (segment, after) = match rest.split_once('/') {
            Some((segment, after)) => (segment, Some(after)),
            None => (rest, None),
        };
        // A literal beats a placeholder, which beats the star.
        for next in [node.literals.get(segment).copied(), node.placeholder].into_iter().flatten() {
            if let Some(rule) = self.within(&self.nodes[next], after, visits) {
                return Some(rule);
            }
        }
        node.star.filter(|_| !rest.is_empty())
    }

    /// The number of segments of the rule that has the most.
    pub(super) fn depth(&self) -> usize {
        self.depth
    }

    /// All literals of all rules.
    pub(super) fn literals(&self) -> impl Iterator<Item = &str> {
        self.nodes.iter().flat_map(|node| node.literals.keys().map(|literal| &**literal))
    }
}

fn take(place: &mut Option<usize>, rule: usize) -> Result<(), usize> {
    match place.replace(rule) {
        None => Ok(()),
        Some(other) => Err(other),
    }
}

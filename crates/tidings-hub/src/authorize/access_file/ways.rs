//! The clients that may read a topic or publish to it, and the lines of the file that let them.

use super::AccessFile;
use crate::{
    Matchers, Topic,
    authorize::{Audience, Template},
};

/// A way in which an access file lets clients read or publish a topic.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Way {
    /// `read` or `publish`.
    pub action: &'static str,
    /// The line of the file, counted from 1.
    pub line: usize,
    /// The clients, for people.
    pub clients: String,
    /// The topics that the line names, as they are written.
    pub by: String,
}

impl AccessFile {
    /// All ways to a topic: by the rule that governs it, by API keys, and by roles. A token of an issuer may also name the topic
    /// itself.
    pub fn ways(&self, topic: &Topic) -> Vec<Way> {
        let mut ways = Vec::new();
        for action in ["read", "publish"] {
            self.by_rule(action, topic, &mut ways);
            self.by_key(action, topic, &mut ways);
            self.by_role(action, topic, &mut ways);
        }
        ways
    }

    fn by_rule(&self, action: &'static str, topic: &Topic, ways: &mut Vec<Way>) {
        let Some((line, rule)) = self.governing_rule(topic) else { return };
        let audience = if action == "read" { rule.read } else { rule.publish };
        let needs = rule.topics.needs(topic).map(|needs| shown(&needs));
        let clients = match (audience, needs) {
            (Audience::Granted, _) | (_, None) => return,
            (Audience::Anyone, Some(_)) => "everyone".to_owned(),
            (Audience::Token, Some(needs)) if needs.is_empty() => "every holder of a credential".to_owned(),
            (Audience::Token, Some(needs)) => format!("the holder of a credential with {needs}"),
        };
        ways.push(Way { action, line, clients, by: rule.topics.to_string() });
    }

    fn by_key(&self, action: &'static str, topic: &Topic, ways: &mut Vec<Way>) {
        for (line, id) in &self.key_lines {
            let Some(accepted) = self.api_keys.of(id) else { continue };
            let allowed = if action == "read" { &accepted.read } else { &accepted.publish };
            if let Some(by) = covering(allowed, topic) {
                ways.push(Way { action, line: *line, clients: format!("the API key {id}"), by });
            }
        }
    }

    fn by_role(&self, action: &'static str, topic: &Topic, ways: &mut Vec<Way>) {
        for (line, role) in self.role_lines.iter().zip(&self.roles) {
            let allowed: &[Template] = if action == "read" { &role.read } else { &role.publish };
            let Some((by, needs)) = allowed.iter().find_map(|topics| Some((topics, topics.needs(topic)?)))
            else {
                continue;
            };
            let mut clients =
                format!("the holder of a token whose claim {:?} has {:?}", role.claim, role.has);
            if !needs.is_empty() {
                clients = format!("{clients}, with {}", shown(&needs));
            }
            ways.push(Way { action, line: *line, clients, by: by.to_string() });
        }
    }
}

fn shown(needs: &[(String, &str)]) -> String {
    let needs: Vec<_> = needs.iter().map(|(placeholder, value)| format!("{placeholder} {value:?}")).collect();
    needs.join(" and ")
}

fn covering(allowed: &Matchers, topic: &Topic) -> Option<String> {
    allowed.iter().find(|filter| filter.matches(topic)).map(|filter| filter.to_string())
}

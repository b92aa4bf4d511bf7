//! `tidings access`: the rights that an access file gives.

use std::{
    fmt::{self, Write},
    time::SystemTime,
};

use serde_json::{Value, json};
use tidings_hub::{AccessFile, GoverningRule, TokenExplanation, Topic, Way};

use super::token::token_shown;
use crate::{
    cli::{Access, AccessCommand, CheckAccess},
    exit::UsageError,
};

pub(crate) fn run(access: Access) -> anyhow::Result<()> {
    let AccessCommand::Check(check) = access.command;
    let file = AccessFile::read(&check.file).map_err(|error| UsageError(error.to_string()))?;
    let topic = check.topic.as_deref().map(Topic::parse).transpose();
    let topic = topic.map_err(|error| UsageError(format!("--topic: {error}")))?;
    let token = check.token.as_deref().map(|token| token_shown(Some(token))).transpose()?;
    let mut text = if check.json { String::new() } else { as_text(&file, &check, topic.as_ref()) };
    let mut object = as_json(&file, &check, topic.as_ref());
    if let Some(token) = token {
        let verdict = Verdict::of(file.into_policy().explain(&token, SystemTime::now()), topic.as_ref());
        let _ = writeln!(text, "\n{verdict}");
        object["token"] = verdict.as_json();
    }
    match check.json {
        true => println!("{object:#}"),
        false => print!("{text}"),
    }
    Ok(())
}

/// The answer of a hub with the file to a token.
enum Verdict {
    Refused {
        rule: &'static str,
        detail: String,
    },
    /// Whether it may read the topic, and publish to it.
    Accepted(Option<(Topic, [bool; 2])>),
}

impl Verdict {
    fn of(explanation: TokenExplanation, topic: Option<&Topic>) -> Verdict {
        let refused =
            explanation.checks.into_iter().find_map(|check| Some((check.refused_by?, check.detail)));
        match (refused, explanation.grant) {
            (None, Some(grant)) => Verdict::Accepted(
                topic.map(|topic| (topic.clone(), [grant.reads(topic), grant.publishes(topic)])),
            ),
            (Some((rule, detail)), _) => Verdict::Refused { rule, detail },
            (None, None) => {
                Verdict::Refused { rule: "token-not-accepted", detail: "it could not be judged".into() }
            }
        }
    }

    fn as_json(&self) -> Value {
        match self {
            Verdict::Refused { rule, detail } => json!({ "accepted": false, "rule": rule, "detail": detail }),
            Verdict::Accepted(None) => json!({ "accepted": true }),
            Verdict::Accepted(Some((_, [read, publish]))) => {
                json!({ "accepted": true, "read": read, "publish": publish })
            }
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Verdict::Refused { rule, detail } => write!(f, "The token is refused, {rule}: {detail}"),
            Verdict::Accepted(None) => f.write_str("The token is accepted."),
            Verdict::Accepted(Some((topic, may))) => {
                let [read, publish] = may.map(|may| if may { "may" } else { "may not" });
                write!(f, "The token is accepted. It {read} read {topic}, and {publish} publish to it.")
            }
        }
    }
}

fn as_text(file: &AccessFile, check: &CheckAccess, topic: Option<&Topic>) -> String {
    let mut text = format!("{} can be used: {}\n", check.file.display(), file.summary());
    let Some(topic) = topic else { return text };
    match file.governing(topic) {
        Some(GoverningRule { line, topics, read, publish, .. }) => {
            let _ = writeln!(
                text,
                "\n{topic}\n  line {line} decides: topics = {topics:?}, read = {read:?}, publish = {publish:?}"
            );
        }
        None => {
            let _ = writeln!(text, "\n{topic}\n  no rule is for this topic: a credential has to name it");
        }
    }
    let ways = file.ways(topic);
    for (action, may) in [("read", "may read"), ("publish", "may publish")] {
        for Way { line, clients, by, .. } in ways.iter().filter(|way| way.action == action) {
            let _ = writeln!(text, "  line {line}: {clients} {may}, by {by:?}");
        }
    }
    let _ = writeln!(text, "  A token may read and publish what it names itself.");
    text
}

fn as_json(file: &AccessFile, check: &CheckAccess, topic: Option<&Topic>) -> Value {
    let mut object = json!({ "file": check.file.display().to_string(), "summary": file.summary() });
    if let Some(topic) = topic {
        let rule = file.governing(topic).map(|rule| {
            json!({ "line": rule.line, "topics": rule.topics, "read": rule.read, "publish": rule.publish })
        });
        let ways = file.ways(topic).into_iter();
        let ways = ways.map(
            |way| json!({ "action": way.action, "line": way.line, "clients": way.clients, "by": way.by }),
        );
        object["topic"] = topic.as_str().into();
        object["rule"] = rule.unwrap_or(Value::Null);
        object["ways"] = ways.collect();
    }
    object
}

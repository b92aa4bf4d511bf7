//! `tidings token explain`.

use std::{path::Path, time::SystemTime};

use serde_json::json;
use tidings_hub::{Grant, Policy, Right, Tokens, Topic};

use super::shown::{has_variable, token_shown};
use crate::{
    cli::{Action, Explain},
    config::read_token_keys,
    exit::{Exit, Hint, UsageError},
};

/// A line of the output.
struct Line {
    name: &'static str,
    refused_by: Option<&'static str>,
    detail: String,
}

pub(super) fn explain(explain: Explain) -> anyhow::Result<Exit> {
    let usage = |text: String| anyhow::Error::new(UsageError(text));
    let (token, topic) = arguments(&explain);
    let topic = topic.map(Topic::parse).transpose().map_err(|error| usage(error.to_string()))?;
    let Some(file) = &explain.key_file else {
        let hint = "name the key of the hub: --key-file hub.key; `tidings token inspect` needs none, and verifies nothing";
        return Err(usage("a token is verified with the key of its hub".into()).context(Hint(hint.into())));
    };
    let tokens = explain.audience.iter().fold(Tokens::new(read_token_keys(file)?), Tokens::with_audience);
    let token = token_shown(token)?;
    let explanation = Policy::new(tokens).explain(&token, SystemTime::now());
    let mut lines: Vec<_> = explanation
        .checks
        .into_iter()
        .map(|check| Line { name: check.name, refused_by: check.refused_by, detail: check.detail })
        .collect();
    if let (Some(grant), Some(topic)) = (&explanation.grant, &topic) {
        lines.push(of_topic(grant, topic, explain.action));
    }
    let is_allowed = lines.iter().all(|line| line.refused_by.is_none());
    match explain.json {
        true => print_json(&lines, is_allowed, explanation.grant.as_ref()),
        false => print_text(&lines, explanation.grant.as_ref()),
    }
    Ok(if is_allowed { Exit::Success } else { Exit::Failure })
}

/// The token and the topic. If the variable has the token, a single argument that looks like no token is the topic.
fn arguments(explain: &Explain) -> (Option<&str>, Option<&str>) {
    let is_token = |text: &str| text == "-" || text.split('.').count() == 3 || Path::new(text).is_file();
    match (explain.token.as_deref(), explain.topic.as_deref()) {
        (Some(topic), None) if has_variable() && !is_token(topic) => (None, Some(topic)),
        both => both,
    }
}

/// Whether the token allows what is to be done.
fn of_topic(grant: &Grant, topic: &Topic, action: Action) -> Line {
    let (name, rule, verb, topics, is_allowed) = match action {
        Action::Read => ("topic", "read-not-granted", "read", grant.read(), grant.reads(topic)),
        Action::Publish => {
            ("topic", "publish-not-granted", "publish to", grant.publish(), grant.publishes(topic))
        }
    };
    match is_allowed {
        true => Line { name, refused_by: None, detail: format!("the token may {verb} {topic}") },
        false => Line {
            name,
            refused_by: Some(rule),
            detail: format!("the token may {verb} {topics}, not {topic}"),
        },
    }
}

fn print_text(lines: &[Line], grant: Option<&Grant>) {
    for Line { name, refused_by, detail } in lines {
        let mark = if refused_by.is_some() { '✗' } else { '✓' };
        println!("{mark} {name:<16} {detail}");
    }
    println!();
    match lines.iter().find_map(|line| Some((line.refused_by?, line))) {
        Some((rule, line)) => println!("refused, {rule}: {}", line.detail),
        None => println!("accepted: {}", grant.map(allows).unwrap_or_default()),
    }
}

/// The rights of a token, in a sentence.
fn allows(grant: &Grant) -> String {
    let rights: Vec<_> =
        Right::ALL.into_iter().filter(|right| grant.has(*right)).map(Right::as_str).collect();
    let rights = match &rights[..] {
        [] => String::new(),
        rights => format!("; it has the rights {}", rights.join(", ")),
    };
    let end = grant.expires().map_or_else(
        || "it does not end".to_owned(),
        |end| format!("it ends at {}", humantime::format_rfc3339_seconds(end)),
    );
    format!("it may publish to {} and read {}{rights}; {end}", grant.publish(), grant.read())
}

fn print_json(lines: &[Line], is_allowed: bool, grant: Option<&Grant>) {
    let checks: Vec<_> = lines
        .iter()
        .map(|Line { name, refused_by, detail }| {
            json!({ "name": name, "passed": refused_by.is_none(), "rule": refused_by, "detail": detail })
        })
        .collect();
    let texts = |matchers: &tidings_hub::Matchers| {
        matchers.iter().map(|matcher| matcher.to_string()).collect::<Vec<_>>()
    };
    let rule = lines.iter().find_map(|line| line.refused_by);
    let mut text = json!({ "allowed": is_allowed, "rule": rule, "checks": checks });
    if let Some(grant) = grant {
        text["publish"] = texts(grant.publish()).into();
        text["read"] = texts(grant.read()).into();
        let end = grant.expires().map(|end| humantime::format_rfc3339_seconds(end).to_string());
        text["expires"] = end.into();
    }
    println!("{text:#}");
}

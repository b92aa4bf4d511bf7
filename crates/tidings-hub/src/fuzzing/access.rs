//! Reads access files, and asks their rules.

use std::sync::Arc;

use serde_json::json;

use crate::{
    Matchers, Subject, Topic, TopicFilter,
    authorize::{AccessFile, Credential, CredentialKind, Template},
};

/// The line that ends the access file in an input. After it, each line is a topic, a pattern or a template.
const END: &str = "\n---\n";

/// An access file is used, or refused with a line that it has. A rule that decides about a topic has the topic. All that may be read
/// is among what the rules name, and a pattern of which all may be read has no topic that may not. A template is filled with
/// one segment for each of its own.
///
/// Input: an access file, a line `---`, and lines.
pub fn access_files(input: &[u8]) {
    let input = String::from_utf8_lossy(input);
    let (text, rest) = input.split_once(END).unwrap_or((&input, ""));
    let lines: Vec<&str> = rest.split('\n').take(24).collect();
    let alice = holder("alice");
    for line in &lines {
        filled(line, &alice);
        if Topic::parse(line).is_ok() {
            filled("a/{sub}/{claim:x}/*", &holder(line));
        }
    }
    let file = match AccessFile::parse_with(text, |_| Ok(vec![b'x'; 64])) {
        Ok(file) => file,
        Err(error) => {
            let shown = error.to_string();
            // It repeats values of the file, and a value is cut.
            assert!(!shown.is_empty() && shown.len() < 8 << 10, "{shown}");
            let most = text.split('\n').count() + 1;
            assert!(error.line().is_none_or(|line| (1..=most).contains(&line)), "{shown}, of {most}");
            return;
        }
    };
    let topics: Vec<Topic> = lines.iter().filter_map(|line| Topic::parse(line).ok()).collect();
    let filters: Vec<TopicFilter> = lines.iter().filter_map(|line| TopicFilter::parse(line).ok()).collect();
    for topic in &topics {
        let ways = file.ways(topic);
        let governing = file.governing(topic);
        for way in &ways {
            assert!(way.line >= 1 && way.line <= text.split('\n').count(), "{way:?}");
        }
        if let Some(rule) = governing {
            let template: Template = rule.topics.parse().expect("a rule has topics that it was read with");
            assert!(template.governs(topic), "{topic} by {rule:?}");
        }
    }
    let rules = Arc::new(file.into_rules());
    for client in [None, Some(&alice)] {
        let view = rules.view(client);
        for topic in &topics {
            assert!(!view.reads(topic) || view.readable().covers(topic), "{topic}");
            assert!(!view.publishes(topic) || view.publishable().covers(topic), "{topic}");
            let is_strict = view.readable().covers(topic) && !view.reads(topic);
            for filter in filters.iter().filter(|filter| is_strict && filter.matches(topic)) {
                assert!(
                    !view.reads_all(&[filter.clone()].into_iter().collect(), &Matchers::none()),
                    "{topic} is stricter, within {filter}"
                );
            }
            assert!(!is_strict || !view.reads_exactly(), "{topic}");
        }
    }
}

/// Fills a text, if it is a template.
fn filled(text: &str, holder: &Credential) {
    let Ok(template) = text.parse::<Template>() else { return };
    assert_eq!(template.to_string(), text);
    let Some(filter) = template.fill(Some(holder)) else { return };
    let filter = filter.to_string();
    if !template.has_placeholders() {
        assert_eq!(filter, text);
    }
    // Names of claims may have slashes.
    if !text.contains("{claim:") {
        assert_eq!(filter.split('/').count(), text.split('/').count(), "{filter} of {text}");
    }
    assert_eq!(filter.contains('*'), text.ends_with('*') && filter.ends_with('*'), "{filter} of {text}");
}

fn holder(name: &str) -> Credential {
    let claims = json!({ "x": name, "tenant": "acme", "roles": ["staff"], "a": { "b": "c/d" }, "n": 7 });
    let serde_json::Value::Object(claims) = claims else { unreachable!("it is written as an object") };
    Credential {
        name: "00000000".into(),
        kind: CredentialKind::Token,
        subject: Some(Subject::new("https://app.example", name)),
        issuer: Some("https://app.example".into()),
        token_id: None,
        issued_at: None,
        expires: None,
        claims,
        keys: 0,
    }
}

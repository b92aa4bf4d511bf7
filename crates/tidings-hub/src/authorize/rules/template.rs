//! Topics as a rule names them, with places for what a credential says of its holder.

use std::{
    fmt,
    str::FromStr,
    sync::{
        LazyLock,
        atomic::{AtomicU64, Ordering},
    },
};

use serde_json::Value;
use tokio::time::Instant;

use crate::{InvalidTopic, Subject, Topic, TopicFilter, authorize::Credential};

/// The longest value that fills a placeholder, in bytes.
const MAX_VALUE_BYTES: usize = 256;

/// Topics that depend on the credential: a topic, `prefix/*` or `*`, in which segments may be placeholders.
///
/// `{sub}` stands for the subject of a credential, `{iss}` for its issuer, and `{claim:NAME}` for one of its claims. A placeholder
/// is a whole segment: `users/{sub}/*`, and not `users/user-{sub}`. The value of a placeholder is one segment as well, so
/// no value leads to another branch of topics. A name that begins with a slash is the path of a claim within others, such as
/// `{claim:/organization/id}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Template {
    /// The text, which is a filter too: one of topics whose names have the braces.
    filter: TopicFilter,
    segments: Box<[Segment]>,
}

/// The text between two slashes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Segment {
    Literal(Box<str>),
    Placeholder(Placeholder),
    /// All that follows. It is the last segment.
    Star,
}

/// Something that a credential says of its holder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Placeholder {
    Subject,
    Issuer,
    Claim(Box<str>),
}

/// Why a text is no template.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum InvalidTemplate {
    /// It would be no topic and no pattern either.
    #[error(transparent)]
    Topic(#[from] InvalidTopic),
    /// A segment has a brace, and is no placeholder.
    #[error(
        "topic {text:?} has the segment {segment:?}; a segment with a brace is {{sub}}, {{iss}} or {{claim:NAME}}"
    )]
    Placeholder {
        /// The whole text.
        text: String,
        /// The first such segment.
        segment: String,
    },
}

impl Template {
    /// Whether something has to be filled in.
    pub(crate) fn has_placeholders(&self) -> bool {
        self.segments.iter().any(|segment| matches!(segment, Segment::Placeholder(_)))
    }

    /// The topics for the holder of a credential, or for nobody. `None` if a value is missing, or is not usable as a segment.
    pub(crate) fn fill(&self, holder: Option<&Credential>) -> Option<TopicFilter> {
        if !self.has_placeholders() {
            return Some(self.filter.clone());
        }
        let mut text = String::new();
        for (number, segment) in self.segments.iter().enumerate() {
            if number > 0 {
                text.push('/');
            }
            match segment {
                Segment::Literal(literal) => text.push_str(literal),
                Segment::Placeholder(placeholder) => text.push_str(placeholder.value(holder?)?),
                Segment::Star => text.push('*'),
            }
        }
        // Together the values may be too long for a topic.
        TopicFilter::parse(&text).ok()
    }

    /// Whether a topic is among these, with any segments for the placeholders.
    #[cfg(any(test, feature = "fuzzing"))]
    pub(crate) fn governs(&self, topic: &Topic) -> bool {
        self.placeholders_at(topic).is_some()
    }

    /// What a credential has to say of its holder for the template to have a topic: placeholders with their values. `None` if no
    /// credential can.
    pub(crate) fn needs<'t>(&self, topic: &'t Topic) -> Option<Vec<(String, &'t str)>> {
        let needs = self.placeholders_at(topic)?;
        let usable = needs.iter().all(|(_, value)| unusable(value).is_none());
        usable
            .then(|| needs.into_iter().map(|(placeholder, value)| (placeholder.to_string(), value)).collect())
    }

    /// The placeholders, each with the segment of a topic in its place. `None` if the topic is not among these.
    fn placeholders_at<'t>(&self, topic: &'t Topic) -> Option<Vec<(&Placeholder, &'t str)>> {
        let (mut needs, mut rest) = (Vec::new(), Some(topic.as_str()));
        for segment in &self.segments {
            let text = rest?;
            let (first, after) = match text.split_once('/') {
                Some((first, after)) => (first, Some(after)),
                None => (text, None),
            };
            match segment {
                Segment::Star => return (!text.is_empty()).then_some(needs),
                Segment::Literal(literal) if **literal != *first => return None,
                Segment::Literal(_) => {}
                Segment::Placeholder(placeholder) => needs.push((placeholder, first)),
            }
            rest = after;
        }
        rest.is_none().then_some(needs)
    }

    pub(super) fn segments(&self) -> &[Segment] {
        &self.segments
    }
}

impl FromStr for Template {
    type Err = InvalidTemplate;

    fn from_str(text: &str) -> Result<Template, InvalidTemplate> {
        let filter = TopicFilter::parse(text)?;
        let (mut segments, mut left) = (Vec::new(), Some(text));
        while let Some(rest) = left {
            // The name of a claim may have slashes: many are URLs.
            let end = if rest.starts_with('{') { rest.find('}').unwrap_or(0) } else { 0 };
            let end = rest[end..].find('/').map_or(rest.len(), |slash| end + slash);
            let segment = &rest[..end];
            segments.push(match segment {
                "*" => Segment::Star,
                _ if segment.contains(['{', '}']) => {
                    let placeholder = Placeholder::parse(segment).ok_or_else(|| {
                        InvalidTemplate::Placeholder { text: text.into(), segment: segment.into() }
                    })?;
                    Segment::Placeholder(placeholder)
                }
                literal => Segment::Literal(literal.into()),
            });
            left = rest.get(end + 1..);
        }
        Ok(Template { filter, segments: segments.into() })
    }
}

impl From<TopicFilter> for Template {
    /// The filter itself, braces included.
    fn from(filter: TopicFilter) -> Template {
        let text = filter.to_string();
        let segments = text.split('/').map(|segment| match segment {
            "*" => Segment::Star,
            literal => Segment::Literal(literal.into()),
        });
        Template { segments: segments.collect(), filter }
    }
}

/// As it is written.
impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.filter.fmt(f)
    }
}

impl Placeholder {
    fn parse(segment: &str) -> Option<Placeholder> {
        let name = segment.strip_prefix('{')?.strip_suffix('}')?;
        match name {
            "sub" => Some(Placeholder::Subject),
            "iss" => Some(Placeholder::Issuer),
            _ => {
                let claim = name.strip_prefix("claim:")?;
                let is_name = !claim.is_empty() && !claim.contains(['{', '}']);
                is_name.then(|| Placeholder::Claim(claim.into()))
            }
        }
    }

    /// The value for the holder of a credential, if it can be a segment.
    fn value<'a>(&self, holder: &'a Credential) -> Option<&'a str> {
        let given = match self {
            Placeholder::Subject => holder.subject.as_ref().map(Subject::name),
            Placeholder::Issuer => holder.issuer.as_deref(),
            Placeholder::Claim(name) => match claim(holder, name)? {
                Value::String(text) => Some(&**text),
                _ => {
                    tell(holder, self, "is no text");
                    None
                }
            },
        };
        let value = given?;
        match unusable(value) {
            None => Some(value),
            Some(reason) => {
                tell(holder, self, reason);
                None
            }
        }
    }
}

/// The value of a claim. A name that begins with a slash is a path through claims that are objects (RFC 6901).
pub(crate) fn claim<'a>(holder: &'a Credential, name: &str) -> Option<&'a Value> {
    let Some(path) = name.strip_prefix('/') else { return holder.claims.get(name) };
    let (first, within) = path.find('/').map_or((path, ""), |slash| path.split_at(slash));
    holder.claims.get(&first.replace("~1", "/").replace("~0", "~"))?.pointer(within)
}

/// Why a value cannot be a segment of a topic. With a slash or a star it would be more than one, and with braces it would look like
/// a placeholder.
fn unusable(value: &str) -> Option<&'static str> {
    match value {
        "" => Some("is empty"),
        "." | ".." => Some("is a relative path"),
        _ if value.len() > MAX_VALUE_BYTES => Some("has more than 256 bytes"),
        _ if value.contains(['/', '*', '{', '}']) => Some("has one of '/', '*', '{' and '}'"),
        _ if value.chars().any(char::is_control) => Some("has a control character"),
        _ => None,
    }
}

/// Warns of a value that matches nothing, at most once a minute: a maker of tokens could fill a disk otherwise. The value itself
/// is not the log's business.
fn tell(holder: &Credential, placeholder: &Placeholder, reason: &str) {
    static BEGINNING: LazyLock<Instant> = LazyLock::new(Instant::now);
    static NEXT: AtomicU64 = AtomicU64::new(0);
    if is_due(&NEXT, BEGINNING.elapsed().as_secs()) {
        tracing::warn!(
            credential = %holder.name,
            "{placeholder} of a credential {reason}, and matches no topic; its issuer has to give another value"
        );
    }
}

/// Whether a minute has passed, in seconds, since this was last true.
fn is_due(next: &AtomicU64, now: u64) -> bool {
    let due = next.load(Ordering::Relaxed);
    now >= due && next.compare_exchange(due, now + 60, Ordering::Relaxed, Ordering::Relaxed).is_ok()
}

/// As it is written.
impl fmt::Display for Placeholder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Placeholder::Subject => f.write_str("{sub}"),
            Placeholder::Issuer => f.write_str("{iss}"),
            Placeholder::Claim(name) => write!(f, "{{claim:{name}}}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::authorize::rules::tests::holder;

    fn template(text: &str) -> Template {
        text.parse().unwrap()
    }

    fn filled(text: &str, holder: &Credential) -> Option<String> {
        template(text).fill(Some(holder)).map(|filter| filter.to_string())
    }

    #[test]
    fn a_placeholder_is_a_whole_segment_and_stands_for_something_that_is_known() {
        for text in [
            "*",
            "a",
            "a/*",
            "/",
            "users/{sub}",
            "{iss}/{sub}/*",
            "{claim:tenant}/a",
            "t/{claim:https://app.example/tenant}/*",
            "{claim:/organization/id}",
            "{claim:a}/{claim:b/c}",
        ] {
            assert_eq!(template(text).to_string(), text);
            assert_eq!(template(text).has_placeholders(), text.contains('{'), "{text}");
        }
        for (text, segment) in [
            ("a/{name}/b", "{name}"),
            ("a/x{sub}", "x{sub}"),
            ("a/{sub}x/b", "{sub}x"),
            ("{sub}{iss}", "{sub}{iss}"),
            ("{sub", "{sub"),
            ("{sub/b}", "{sub/b}"),
            ("sub}", "sub}"),
            ("{}", "{}"),
            ("{claim:}", "{claim:}"),
            ("{claim:a{b}", "{claim:a{b}"),
            ("{Sub}", "{Sub}"),
            ("{ sub }", "{ sub }"),
        ] {
            let error = text.parse::<Template>().unwrap_err();
            let expected = InvalidTemplate::Placeholder { text: text.into(), segment: segment.into() };
            assert_eq!(error, expected);
            assert!(error.to_string().contains("{claim:NAME}"), "{error}");
        }
        for text in ["", "a*", "*/{sub}", "{sub}/*/a", "{claim:*}", "a\n/{sub}"] {
            assert!(matches!(text.parse::<Template>(), Err(InvalidTemplate::Topic(_))), "{text}");
        }
        assert!("x".repeat(1025).parse::<Template>().is_err());
    }

    #[test]
    fn placeholders_are_filled_from_what_a_credential_says() {
        let alice = holder(
            "alice",
            json!({ "tenant": "acme", "organization": { "id": "7", "a/b": "c" }, "https://x/y": "z" }),
        );
        for (text, expected) in [
            ("users/{sub}/*", "users/alice/*"),
            ("{claim:tenant}/{sub}", "acme/alice"),
            ("{claim:/organization/id}/*", "7/*"),
            ("{claim:/organization/a~1b}", "c"),
            ("a/{claim:https://x/y}/b", "a/z/b"),
            ("a/*", "a/*"),
            ("*", "*"),
        ] {
            assert_eq!(filled(text, &alice).as_deref(), Some(expected), "{text}");
        }
        for text in
            ["{iss}", "{claim:name}", "{claim:organization}", "{claim:/organization/name}", "{claim:/}"]
        {
            assert_eq!(filled(text, &alice), None, "{text}");
        }
        assert_eq!(template("users/{sub}").fill(None), None);
        assert_eq!(template("users/*").fill(None), TopicFilter::parse("users/*").ok());
    }

    #[test]
    fn a_template_says_what_a_holder_has_to_be_for_a_topic() {
        let needs = |text: &str, topic: &str| -> Option<String> {
            let topic = Topic::parse(topic).unwrap();
            let needs = template(text).needs(&topic)?;
            Some(needs.iter().map(|(name, value)| format!("{name}={value} ")).collect())
        };
        for (text, topic, expected) in [
            ("a", "a", Some("")),
            ("a/*", "a/b/c", Some("")),
            ("a/*", "a/", None),
            ("a/*", "a", None),
            ("a", "a/b", None),
            ("users/{sub}/{claim:x}", "users/alice/y", Some("{sub}=alice {claim:x}=y ")),
            ("users/{sub}/*", "users/alice/y/z", Some("{sub}=alice ")),
            ("users/{sub}/*", "users/../y", None),
            ("users/{sub}", "users/", None),
        ] {
            assert_eq!(needs(text, topic).as_deref(), expected, "{text} {topic}");
        }
    }

    #[test]
    fn a_value_that_is_no_segment_by_itself_matches_nothing() {
        let long = "x".repeat(257);
        for value in
            ["", ".", "..", "a/b", "/", "*", "a*", "{sub}", "a{", "}", "a\nb", "a\u{85}", "\0", &long]
        {
            assert_eq!(filled("{claim:x}/*", &holder("alice", json!({ "x": value }))), None, "{value:?}");
            if !value.is_empty() {
                assert_eq!(filled("{sub}/*", &holder(value, json!({}))), None, "{value:?}");
            }
        }
        for value in [json!(7), json!(true), json!(["a"]), json!({ "a": "b" }), Value::Null] {
            assert_eq!(filled("{claim:x}/*", &holder("alice", json!({ "x": value }))), None, "{value:?}");
        }
        for value in ["a", "...", ".a", "a b", "ä", "%2F", "\\", "a.b@c", &long[1..]] {
            let expected = format!("{value}/*");
            assert_eq!(filled("{claim:x}/*", &holder("alice", json!({ "x": value }))), Some(expected));
        }
        // Each of them is short enough, and the topic is not.
        let text = ["{sub}"; 5].join("/");
        assert_eq!(filled(&text, &holder(&long[1..], json!({}))), None);
    }

    #[test]
    fn a_value_that_matches_nothing_is_told_at_most_once_a_minute() {
        let next = AtomicU64::new(0);
        let told: Vec<u64> = (0..200).filter(|second| is_due(&next, *second)).collect();
        assert_eq!(told, [0, 60, 120, 180]);
    }
}

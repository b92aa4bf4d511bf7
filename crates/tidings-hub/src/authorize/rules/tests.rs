use std::sync::Arc;

use serde_json::{Value, json};

use super::{rule::MAX_RULES, *};
use crate::{
    Matchers, Selector, Subject, Topic, TopicFilter,
    authorize::{Credential, CredentialKind},
};

/// The holder of a token, of a subject that has a name unless that is empty.
pub(in crate::authorize) fn holder(name: &str, claims: Value) -> Credential {
    let Value::Object(claims) = claims else { panic!("claims are an object") };
    Credential {
        name: "00000000".into(),
        kind: CredentialKind::Token,
        subject: (!name.is_empty()).then(|| Subject::new("", name)),
        issuer: None,
        token_id: None,
        issued_at: None,
        expires: None,
        claims,
        keys: 0,
    }
}

fn topic(text: &str) -> Topic {
    Topic::parse(text).unwrap()
}

fn filter(text: &str) -> TopicFilter {
    TopicFilter::parse(text).unwrap()
}

fn only(filter: TopicFilter) -> Selector {
    [filter].into_iter().collect()
}

fn rules(rules: &[(&str, Audience, Audience)]) -> Arc<Rules> {
    let rule = |(topics, read, publish): &(&str, Audience, Audience)| {
        Rule::new(topics.parse().unwrap()).with_read(*read).with_publish(*publish)
    };
    Arc::new(Rules::new(rules.iter().map(rule).collect()).unwrap())
}

/// The rules by their words alone: each is tried, at each topic.
mod oracle {
    use std::cmp::Reverse;

    /// A rule: its topics, and whether its audience has the client.
    pub(super) struct Rule {
        pub(super) topics: String,
        pub(super) has_client: bool,
    }

    /// The value of each placeholder, if the client has one that is usable.
    pub(super) type Values<'a> = &'a dyn Fn(&str) -> Option<String>;

    fn is_placeholder(segment: &str) -> bool {
        segment.starts_with('{')
    }

    /// Whether `topic` is among `topics`, where `fits` says whether a segment may stand for a placeholder.
    fn is_among(topics: &str, topic: &str, fits: &dyn Fn(&str, &str) -> bool) -> bool {
        let mut rest = Some(topic);
        for pattern in topics.split('/') {
            let Some(text) = rest else { return false };
            if pattern == "*" {
                return !text.is_empty();
            }
            let (segment, after) = text.split_once('/').map_or((text, None), |(one, two)| (one, Some(two)));
            let holds = if is_placeholder(pattern) { fits(pattern, segment) } else { pattern == segment };
            if !holds {
                return false;
            }
            rest = after;
        }
        rest.is_none()
    }

    /// Whether a filled-in rule lets the client do something at the topic, if it is asked.
    fn lets(rule: &Rule, topic: &str, values: Values<'_>) -> bool {
        let own = |name: &str, segment: &str| values(name).as_deref() == Some(segment);
        rule.has_client && is_among(&rule.topics, topic, &own)
    }

    /// Whether any rule lets the client, as if it were the only one.
    pub(super) fn any_lets(rules: &[Rule], topic: &str, values: Values<'_>) -> bool {
        rules.iter().any(|rule| lets(rule, topic, values))
    }

    pub(super) fn governing(rules: &[Rule], topic: &str) -> Option<usize> {
        let governs = |number: &usize| is_among(&rules[*number].topics, topic, &|_, _| true);
        let rank = |segment: &str| match segment {
            "*" => 2,
            segment if is_placeholder(segment) => 1,
            _ => 0,
        };
        let ranks = |number: &usize| rules[*number].topics.split('/').map(rank).collect::<Vec<_>>();
        (0..rules.len()).filter(governs).max_by_key(|number| Reverse(ranks(number)))
    }

    pub(super) fn allows(rules: &[Rule], topic: &str, values: Values<'_>) -> bool {
        governing(rules, topic).is_some_and(|number| lets(&rules[number], topic, values))
    }
}

/// Numbers that look random, and are the same each time.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % end
    }

    fn of<'a, T>(&mut self, some: &'a [T]) -> &'a T {
        &some[self.below(some.len())]
    }

    fn topics(&mut self, segments: &[&str], depth: usize) -> String {
        let count = 1 + self.below(depth);
        let mut chosen: Vec<&str> = (0..count).map(|_| *self.of(segments)).collect();
        if self.below(2) == 0 {
            *chosen.last_mut().unwrap() = "*";
        }
        chosen.join("/")
    }
}

/// All topics of so many segments and fewer. The last segment is one that no rule names.
fn every_topic(depth: usize) -> Vec<Topic> {
    let mut texts = vec![String::new()];
    let mut all = Vec::new();
    for level in 0..depth {
        let slash = if level == 0 { "" } else { "/" };
        texts = texts
            .iter()
            .flat_map(|text| ["a", "b", "", "z"].map(|segment| format!("{text}{slash}{segment}")))
            .collect();
        all.extend(texts.iter().filter(|text| !text.is_empty()).map(|text| topic(text)));
    }
    all
}

/// Compares `cases` random sets of rules of so many segments with the oracle, at every topic, and says how many topics were allowed,
/// forbidden although a rule for more topics allows them, and how many filters had a topic of that kind, or none.
fn compare(seed: u64, cases: usize, depth: usize) -> [usize; 4] {
    let topics = every_topic(depth + 1);
    let filters =
        ["*", "a/*", "b/*", "/*", "z/*", "a/b/*", "a/a/*", "a/z/*", "b//*", "a", "a/b", "z/", "a/b/a"];
    let filters = filters.map(filter);
    let mut numbers = Numbers(seed);
    let [mut allowed, mut overruled, mut whole, mut with_stricter] = [0; 4];
    for case in 0..cases {
        let mut chosen: Vec<Rule> = Vec::new();
        for _ in 0..numbers.below(7) {
            let topics = numbers.topics(&["a", "b", "", "{sub}", "{claim:x}", "{iss}"], depth);
            let [read, publish] = [(); 2].map(|()| *numbers.of(&Audience::ALL));
            // An empty text is none.
            let Ok(topics) = topics.parse() else { continue };
            let mut more = chosen.clone();
            more.push(Rule::new(topics).with_read(read).with_publish(publish));
            // One that governs the topics of another is not taken.
            if Rules::new(more.clone()).is_ok() {
                chosen = more;
            }
        }
        let sub = *numbers.of(&["a", "b", "z", "", "a/b"]);
        let x = numbers.of(&[json!("a"), json!("b"), json!("*"), json!(1), json!(".."), Value::Null]).clone();
        let claims = if numbers.below(4) == 0 { json!({}) } else { json!({ "x": x }) };
        let client = (numbers.below(4) != 0).then(|| holder(sub, claims.clone()));
        let values = |placeholder: &str| -> Option<String> {
            let text = match (placeholder, &client) {
                ("{sub}", Some(_)) => sub,
                ("{claim:x}", Some(_)) => claims.get("x")?.as_str()?,
                _ => return None,
            };
            matches!(text, "a" | "b" | "z").then(|| text.to_owned())
        };
        let view = Arc::new(Rules::new(chosen.clone()).unwrap()).view(client.as_ref());
        for is_read in [true, false] {
            let audience = |rule: &Rule| if is_read { rule.read } else { rule.publish };
            let oracle: Vec<_> = chosen
                .iter()
                .map(|rule| oracle::Rule {
                    topics: rule.topics.to_string(),
                    has_client: match audience(rule) {
                        Audience::Anyone => true,
                        Audience::Token => client.is_some(),
                        Audience::Granted => false,
                    },
                })
                .collect();
            let context = || format!("case {case} of {seed}: {chosen:?} for {client:?}");
            let mut stricter = Vec::new();
            for topic in &topics {
                let expected = oracle::allows(&oracle, topic.as_str(), &values);
                let found = if is_read { view.reads(topic) } else { view.publishes(topic) };
                assert_eq!(found, expected, "{topic:?}, {}", context());
                let covers = oracle::any_lets(&oracle, topic.as_str(), &values);
                let covering = if is_read { view.readable() } else { view.publishable() };
                assert_eq!(covering.covers(topic), covers, "{topic:?}, {}", context());
                assert!(covers || !found, "{topic:?}, {}", context());
                allowed += usize::from(found);
                if covers && !found {
                    overruled += 1;
                    stricter.push(topic);
                }
            }
            if !is_read {
                assert_eq!(view.publishes_exactly(), stricter.is_empty(), "{}", context());
                continue;
            }
            assert_eq!(view.reads_exactly(), stricter.is_empty(), "{}", context());
            for filter in &filters {
                let expected = !stricter.iter().any(|topic| filter.matches(topic));
                assert_eq!(
                    view.reads_all(&only(filter.clone()), &Matchers::none()),
                    expected,
                    "{filter}, {}",
                    context()
                );
                *(if expected { &mut whole } else { &mut with_stricter }) += 1;
            }
        }
    }
    [allowed, overruled, whole, with_stricter]
}

#[test]
fn the_rules_allow_what_a_search_of_all_rules_allows_and_know_where_a_stricter_one_lies() {
    for (seed, cases, depth) in [(1, 12_000, 3), (2, 1_500, 4)] {
        let counts = compare(seed, cases, depth - 1);
        assert!(counts.iter().all(|count| *count > cases), "{counts:?}");
    }
}

#[test]
fn it_is_known_whether_other_rules_let_a_client_read_as_much() {
    let topics = every_topic(3);
    let mut numbers = Numbers(3);
    let (mut as_much, mut less) = (0, 0);
    for case in 0..6_000 {
        let some = |most: usize, numbers: &mut Numbers| {
            let mut chosen: Vec<Rule> = Vec::new();
            for _ in 0..numbers.below(most) {
                let Ok(topics) = numbers.topics(&["a", "b", "", "{sub}", "{iss}"], 2).parse() else {
                    continue;
                };
                chosen.push(Rule::new(topics).with_read(*numbers.of(&Audience::ALL)));
                if Rules::new(chosen.clone()).is_err() {
                    chosen.pop();
                }
            }
            chosen
        };
        let old = some(6, &mut numbers);
        // Most changes of a file are small.
        let mut new = if case % 2 == 0 { old.clone() } else { some(6, &mut numbers) };
        if !new.is_empty() {
            let place = numbers.below(new.len());
            new[place].read = *numbers.of(&Audience::ALL);
        }
        let client =
            (numbers.below(3) != 0).then(|| holder(numbers.of::<&str>(&["a", "z", "a/b"]), json!({})));
        let [old_view, view] =
            [&old, &new].map(|rules| Arc::new(Rules::new(rules.clone()).unwrap()).view(client.as_ref()));
        let mut own = || -> Matchers {
            (0..numbers.below(3))
                .map(|_| filter(numbers.of::<&str>(&["a", "a/*", "b/*", "a/b/*", "z", "/*"])))
                .collect()
        };
        let (own, others) = (own(), own());
        let expected = topics.iter().all(|topic| {
            let reads = |matchers: &Matchers, view: &View| matchers.covers(topic) || view.reads(topic);
            reads(&own, &view) || !reads(&others, &old_view)
        });
        let found = view.reads_as_much_as(&own, &old_view, &others);
        assert_eq!(found, expected, "{case}: {new:?} and {own}, {old:?} and {others}, {client:?}");
        *(if expected { &mut as_much } else { &mut less }) += 1;
    }
    assert!(as_much > 500 && less > 500, "{as_much} {less}");
}

#[test]
fn the_most_specific_rule_decides_alone_in_whatever_order_the_rules_stand() {
    use Audience::{Anyone, Granted, Token};
    let mut some = vec![
        ("*", Anyone, Granted),
        ("users/*", Granted, Granted),
        ("users/{sub}/*", Token, Token),
        ("users/{sub}/notes", Anyone, Granted),
        ("users/admin/*", Granted, Anyone),
    ];
    let alice = holder("alice", json!({}));
    for _ in 0..some.len() {
        some.rotate_left(1);
        let rules = rules(&some);
        let (own, nobody) = (rules.view(Some(&alice)), rules.view(None));
        for (text, reads, publishes, nobody_reads) in [
            ("news", true, false, true),
            ("users", true, false, true),
            ("users/", true, false, true),
            ("users/alice", false, false, false),
            ("users/alice/", false, false, false),
            ("users/alice/a", true, true, false),
            ("users/alice/a/b", true, true, false),
            ("users/alice/notes", true, false, false),
            ("users/bob/a", false, false, false),
            ("users/bob/notes", false, false, false),
            ("users/admin/notes", false, true, false),
            ("users/alice/notes/", true, true, false),
        ] {
            let topic = topic(text);
            assert_eq!((own.reads(&topic), own.publishes(&topic)), (reads, publishes), "{text}");
            assert_eq!(nobody.reads(&topic), nobody_reads, "{text}");
        }
        assert_eq!(own.readable(), &Matchers::all());
        assert!(
            !own.reads_exactly()
                && !own.reads_all(&only(filter("users/*")), &Matchers::none())
                && own.reads_all(&only(filter("news/*")), &Matchers::none())
        );
        assert!(
            own.reads_all(&only(filter("users/alice/*")), &Matchers::none())
                && !own.reads_all(&only(filter("users/bob/*")), &Matchers::none())
        );
        // The wide rule is for both branches, and the stricter one leaves something of one alone.
        let some = |text: &str| own.reads_some(&[filter(text)].into_iter().collect());
        assert!(some("users/alice/*") && some("users/*") && !some("users/bob/*"));
        // A right to the rest makes the pattern whole.
        assert!(own.reads_all(&only(filter("users/bob/*")), &Matchers::parse(["users/bob/*"]).unwrap()));
    }
}

#[test]
fn without_a_rule_only_a_credential_that_names_a_topic_lets_anyone_in() {
    let view = Arc::new(Rules::default()).view(Some(&holder("alice", json!({}))));
    assert!(!view.reads(&topic("a")) && !view.publishes(&topic("a")));
    assert!(view.readable().is_none() && view.publishable().is_none());
    assert!(
        view.reads_exactly()
            && view.publishes_exactly()
            && view.reads_all(&Selector::everything(), &Matchers::none())
    );
}

#[test]
fn a_default_is_for_the_topics_that_no_rule_is_for() {
    use Audience::{Anyone, Granted, Token};
    let reads = |rules: &Rules, text: &str| {
        Arc::new(rules.with_default(Anyone, Granted)).view(None).reads(&topic(text))
    };
    let some = rules(&[("a/*", Token, Token)]);
    assert!(reads(&some, "b") && reads(&some, "a") && !reads(&some, "a/b"));
    let all = rules(&[("*", Token, Token)]);
    assert!(!reads(&all, "b"));
    assert!(reads(&Rules::default(), "b"));
}

#[test]
fn two_rules_of_the_same_topics_are_refused_whatever_their_placeholders_are() {
    for (one, other) in
        [("a", "a"), ("*", "*"), ("a/*", "a/*"), ("u/{sub}/*", "u/{claim:x}/*"), ("{sub}", "{iss}")]
    {
        let some = [one, "c", other].map(|topics| Rule::new(topics.parse().unwrap()));
        let error = Rules::new(some.to_vec()).unwrap_err();
        assert!(matches!(error, InvalidRules::Same { numbers: [0, 2], .. }), "{error:?}");
        assert!(error.to_string().contains(one) && error.to_string().contains(other), "{error}");
    }
    for (one, other) in [("a", "a/"), ("a/*", "a"), ("u/{sub}", "u/{sub}/*"), ("u/{sub}/a", "u/{iss}/b")] {
        assert!(Rules::new([one, other].map(|topics| Rule::new(topics.parse().unwrap())).to_vec()).is_ok());
    }
}

#[test]
fn rules_are_bounded() {
    let some = |count| (0..count).map(|number| Rule::new(format!("a/{number}").parse().unwrap())).collect();
    assert!(Rules::new(some(MAX_RULES)).is_ok());
    assert_eq!(Rules::new(some(MAX_RULES + 1)).unwrap_err(), InvalidRules::TooMany { count: MAX_RULES + 1 });
}

/// Every way to have a literal or a placeholder at each of 12 places, as the rules that a look-up has to go back from most often.
#[test]
fn a_look_up_visits_each_part_of_the_rules_at_most_once() {
    let all = (0_u32..1 << 12).map(|ways| {
        let segments = (0..12).map(|place| if ways & 1 << place == 0 { "a" } else { "{sub}" });
        Rule::new((segments.collect::<Vec<_>>().join("/") + "/end").parse().unwrap())
    });
    let rules = Rules::new(all.collect()).unwrap();
    let places = (1 << 13) - 1 + (1 << 12);
    for text in ["a/".repeat(12), "a/".repeat(511) + "a", "a/".repeat(12) + "end", "b/".repeat(500)] {
        assert!(rules.tree().visits(&text) <= places, "{}", rules.tree().visits(&text));
    }
    assert_eq!(rules.governing(&topic(&("a/".repeat(12) + "end"))), Some(0));
    assert_eq!(rules.tree().visits(&("a/".repeat(511) + "b")), 1 + (1 << 13) - 2);

    // As deep as a topic can be.
    let deepest = "{sub}/".repeat(170) + "*";
    let literal = "a/".repeat(511) + "*";
    let rules = Rules::new([&*deepest, &literal, "*"].map(|text| Rule::new(text.parse().unwrap())).to_vec());
    let rules = rules.unwrap();
    assert!(rules.tree().visits(&("a/".repeat(511) + "a")) <= 512 + 170);
    assert_eq!(rules.governing(&topic(&"/".repeat(1024))), Some(0));
    assert_eq!(rules.governing(&topic(&("a/".repeat(169) + "b"))), Some(2));
}

#[test]
fn a_question_that_would_take_too_long_is_answered_with_no() {
    use Audience::{Anyone, Granted};
    let texts: Vec<_> = (0..600)
        .flat_map(|number| [(format!("a{number}/*"), Anyone), (format!("{{sub}}/b{number}/c"), Granted)])
        .collect();
    let some: Vec<_> = texts.iter().map(|(text, read)| (&**text, *read, Granted)).collect();
    let view = rules(&some).view(None);
    // A literal beats each of the placeholders, which is not found out.
    assert!(!view.reads_exactly());
    assert!(
        view.reads_all(&only(filter("a7/*")), &Matchers::none())
            && view.reads_all(&only(filter("a7/b7/*")), &Matchers::none())
    );
}

#[test]
fn an_audience_has_its_word() {
    for audience in Audience::ALL {
        assert_eq!(Audience::parse(audience.as_str()), Some(audience));
    }
    assert_eq!(Audience::parse("everyone"), None);
}

//! Random access files, credentials, updates and subscriptions, against a judge that knows the documentation alone.
//!
//! `TIDINGS_CASES=1000000` decides more often than the normal run does.

#![allow(clippy::unwrap_used, reason = "helpers of tests may fail")]

use std::{
    collections::{BTreeMap, BTreeSet},
    env,
    fmt::{Debug, Write},
    fs,
    path::Path,
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response, header};
use http_body_util::{BodyExt, Full};
use serde_json::{Map, Value, json};
use tidings_hub::{
    Access, AccessFile, Control, Hub, HubBody, NewToken, Settings, TokenKey,
    log::{Import, MemoryLog},
};
use tokio::{
    task::JoinHandle,
    time::{sleep, timeout},
};
use tower_service::Service;

/// The segments of topics. The last one is the ID of the API key.
const SEGMENTS: [&str; 5] = ["a", "b", "alice", "bob", KEY_ID];
/// A segment that no access file, claim or subscription names.
const OTHER: &str = "other";
const KEY_ID: &str = "Ab3dEf9h";
const KEY_SECRET: &str = "0123456789abcdefghijABCDEFGHIJ01";
const AUDIENCES: [&str; 3] = ["anyone", "token", "granted"];
const UPDATES: usize = 20;
const QUERIES: usize = 5;
/// After so long without anything to do, a stream has all that it gets. The clock stands while there is something to do.
const SILENCE: Duration = Duration::from_secs(60);

#[tokio::test(start_paused = true)]
async fn each_update_reaches_exactly_the_readers_that_the_access_file_and_their_credentials_allow() {
    let wanted = env::var("TIDINGS_CASES").map_or(20_000, |cases| cases.parse().expect("a number"));
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("hub.key"), TokenKey::new_secret().unwrap()).unwrap();
    let key = TokenKey::parse(&fs::read(directory.path().join("hub.key")).unwrap()).unwrap();
    let mut tally = Tally::default();
    for seed in 0.. {
        World::random(&mut Chance(seed), &key).decide(directory.path(), &mut tally).await;
        if tally.decisions >= wanted {
            break;
        }
    }
    println!("{tally}");
    assert!(tally.faults.is_empty(), "{tally}");
    let dull: Vec<_> = tally.seen.iter().filter(|(_, count)| **count == 0).collect();
    assert!(dull.is_empty(), "these never happened: {dull:?}");
}

/// The count of decisions, and the faults.
#[derive(Default)]
struct Tally {
    /// Of a reader, a subscription and an update; and of a publisher and a topic.
    decisions: usize,
    seen: BTreeMap<&'static str, usize>,
    faults: BTreeMap<&'static str, (usize, String)>,
}

impl Tally {
    fn saw(&mut self, what: &'static str, happened: bool) {
        *self.seen.entry(what).or_default() += usize::from(happened);
    }

    /// Keeps the shortest of the cases.
    fn fault(&mut self, kind: &'static str, case: impl FnOnce() -> String) {
        let case = case();
        let (count, shortest) = self.faults.entry(kind).or_default();
        *count += 1;
        if *count == 1 || case.len() < shortest.len() {
            *shortest = case;
        }
    }

    fn count(&self, kind: &str) -> usize {
        self.faults.get(kind).map_or(0, |(count, _)| *count)
    }
}

impl std::fmt::Display for Tally {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (leaks, withheld) = (self.count(LEAK), self.count(WITHHELD));
        writeln!(f, "{} decisions, {leaks} leaks, {withheld} wrongly withheld", self.decisions)?;
        writeln!(f, "{:?}", self.seen)?;
        for (kind, (count, case)) in &self.faults {
            writeln!(f, "--- {count} times: {kind}, such as\n{case}")?;
        }
        Ok(())
    }
}

const LEAK: &str = "an update that the reader may not get";
const WITHHELD: &str = "an update that the reader does not get";

/// An access file, those that come with credentials or without, and what they ask for.
struct World {
    rules: Vec<Rule>,
    key: Claimed,
    role: Claimed,
    parties: Vec<Party>,
    /// Updates that come from elsewhere than HTTP, and therefore may have several topics.
    updates: Vec<Update>,
    /// Publishers by their number, topics, and whether the update is private.
    publishes: Vec<(usize, String, bool)>,
    queries: Vec<Vec<String>>,
}

struct Rule {
    topics: String,
    read: &'static str,
    publish: &'static str,
}

/// The rights of a credential itself, as templates.
#[derive(Clone, Debug, Default)]
struct Claimed {
    publish: Vec<String>,
    read: Vec<String>,
}

/// A client: nobody, the holder of a token, or of the API key.
#[derive(Debug)]
struct Party {
    authorization: Option<String>,
    /// They fill placeholders.
    claims: Map<String, Value>,
    /// The topics and patterns of its own credential and of its role, filled.
    publish: Vec<String>,
    read: Vec<String>,
}

#[derive(Clone, Debug)]
struct Update {
    data: String,
    topics: Vec<String>,
    private: bool,
}

/// Which updates arrived, in their order, and the topics that each named, if it named any.
type Arrived = Vec<(String, Option<BTreeSet<String>>)>;

// The judge.

/// Whether a topic or a pattern, without placeholders, is about `topic`.
fn covers(pattern: &str, topic: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(above) => topic.len() > above.len() && topic.starts_with(above),
        None => pattern == topic,
    }
}

fn any_covers(patterns: &[String], topic: &str) -> bool {
    patterns.iter().any(|pattern| covers(pattern, topic))
}

/// Whether a pattern is about all that another one, or a topic, is about.
fn includes(pattern: &str, asked: &str) -> bool {
    covers(pattern, asked) && pattern.ends_with('*')
}

/// The value of a placeholder: `None` if it matches nothing.
fn value_of<'c>(placeholder: &str, claims: &'c Map<String, Value>) -> Option<&'c str> {
    let name = placeholder.strip_prefix("claim:").unwrap_or(placeholder);
    let value = claims.get(name)?.as_str()?;
    let bad = |c: char| "/*{}".contains(c) || c.is_control();
    (!["", ".", ".."].contains(&value) && value.len() <= 256 && !value.contains(bad)).then_some(value)
}

fn placeholder(segment: &str) -> Option<&str> {
    segment.strip_prefix('{')?.strip_suffix('}')
}

/// A template for a holder of these claims: `None` if it matches nothing.
fn fill(template: &str, claims: &Map<String, Value>) -> Option<String> {
    let filled = template.split('/').map(|segment| match placeholder(segment) {
        Some(placeholder) => value_of(placeholder, claims),
        None => Some(segment),
    });
    Some(filled.collect::<Option<Vec<_>>>()?.join("/"))
}

impl Rule {
    /// How closely the rule names each segment of a topic, up to a star: `None` if it does not govern the topic.
    fn closeness(&self, topic: &str) -> Option<Vec<u8>> {
        let mut closeness = Vec::new();
        let mut left = topic.split('/');
        for segment in self.topics.split('/') {
            let named = left.next()?;
            closeness.push(match placeholder(segment) {
                // A star stands for something: `a/*` is not for `a/`.
                None if segment == "*" && (!named.is_empty() || left.next().is_some()) => {
                    return Some(closeness);
                }
                None if segment != named => return None,
                None => 1,
                Some(_) => 0,
            });
        }
        left.next().is_none().then_some(closeness)
    }

    fn lets(&self, audience: &str, party: &Party, topic: &str) -> bool {
        match audience {
            "anyone" => true,
            "token" => {
                let own = fill(&self.topics, &party.claims);
                party.authorization.is_some() && own.is_some_and(|own| covers(&own, topic))
            }
            _ => false,
        }
    }
}

impl World {
    /// The most specific rule decides alone.
    fn governing(&self, topic: &str) -> Option<&Rule> {
        self.rules
            .iter()
            .filter(|rule| rule.closeness(topic).is_some())
            .max_by_key(|rule| rule.closeness(topic))
    }

    fn may_publish(&self, party: &Party, topic: &str) -> bool {
        any_covers(&party.publish, topic)
            || self.governing(topic).is_some_and(|rule| rule.lets(rule.publish, party, topic))
    }

    fn may_read(&self, party: &Party, topic: &str, private: bool) -> bool {
        any_covers(&party.read, topic)
            || !private && self.governing(topic).is_some_and(|rule| rule.lets(rule.read, party, topic))
    }

    /// Whether a subscription to `query` has the update for this reader.
    fn gets(&self, party: &Party, query: &[String], update: &Update) -> bool {
        let mut asked = update.topics.iter().filter(|topic| any_covers(query, topic));
        asked.any(|topic| self.may_read(party, topic, update.private))
    }

    /// The status of a refusal: 401 where nobody may do such a thing without a credential.
    fn refusal(&self, party: &Party, audience: fn(&Rule) -> &str) -> u16 {
        let is_open = self.rules.iter().any(|rule| audience(rule) == "anyone");
        if party.authorization.is_some() || is_open { 403 } else { 401 }
    }

    /// What is answered to a subscription: the access, or the topics and patterns that are refused. A topic is refused that may
    /// not be read, and patterns of which nothing at all may be read.
    fn answer<'q>(&self, party: &Party, query: &'q [String]) -> Result<&'static str, Vec<&'q str>> {
        let (mut partial, mut refused, mut nothing) = (false, Vec::new(), true);
        // Topics that a pattern already covers are left out.
        for asked in
            query.iter().filter(|asked| !query.iter().any(|other| other != *asked && includes(other, asked)))
        {
            let (mut some, mut all) = (false, true);
            for topic in topics_of(asked) {
                let readable = self.may_read(party, &topic, false);
                some |= readable;
                all &= readable;
            }
            if !some {
                refused.push(&**asked);
            }
            nothing &= !some;
            partial |= !all;
        }
        if nothing || refused.iter().any(|asked| !asked.ends_with('*')) {
            return Err(refused);
        }
        Ok(match (partial, &party.authorization) {
            (true, Some(_)) => "token, partial",
            (true, None) => "anonymous, partial",
            (false, Some(_)) => "token",
            (false, None) => "anonymous",
        })
    }
}

/// One topic of each kind that rules and claims could tell apart, of all that `asked` is about.
fn topics_of(asked: &str) -> Vec<String> {
    let Some(above) = asked.strip_suffix('*') else { return vec![asked.to_owned()] };
    let mut topics = Vec::new();
    let mut above = vec![above.to_owned()];
    // The last segment may be empty.
    let empty = |below: &[String]| below.iter().map(|topic| format!("{topic}/")).collect::<Vec<_>>();
    for _ in above[0].matches('/').count()..3 {
        let mut below = Vec::new();
        for above in above {
            below.extend(SEGMENTS.iter().chain([&OTHER]).map(|segment| format!("{above}{segment}")));
        }
        topics.extend(below.iter().cloned().chain(empty(&below)));
        // Nothing names a fourth segment.
        above = below.into_iter().map(|topic| topic + "/").collect();
    }
    topics.extend(above.into_iter().map(|above| above + OTHER));
    topics
}

// The hub that is judged.

impl World {
    fn text(&self) -> String {
        let mut text = "[[issuer]]\nkey = \"hub.key\"\n".to_owned();
        for Rule { topics, read, publish } in &self.rules {
            let (read, publish) = (json!(read), json!(publish));
            writeln!(text, "[[rule]]\ntopics = {}\nread = {read}\npublish = {publish}", json!(topics))
                .unwrap();
        }
        let mut claimed = |head: &str, claimed: &Claimed| {
            let (publish, read) = (json!(claimed.publish), json!(claimed.read));
            writeln!(text, "{head}\npublish = {publish}\nread = {read}").unwrap();
        };
        let sha256 = ring::digest::digest(&ring::digest::SHA256, KEY_SECRET.as_bytes());
        let sha256 = sha256.as_ref().iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        claimed(&format!("[[key]]\nid = \"{KEY_ID}\"\nsha256 = \"{sha256}\""), &self.key);
        claimed("[[role]]\nclaim = \"roles\"\nhas = \"staff\"", &self.role);
        text
    }

    async fn decide(mut self, directory: &Path, tally: &mut Tally) {
        let file = AccessFile::parse(&self.text(), directory);
        let file = file.unwrap_or_else(|error| panic!("{error}\n{}", self.text()));
        let mut settings = Settings::default();
        settings.access = Access::Control(Arc::new(Control::new(file.into_policy())));
        let hub = Hub::new(Arc::new(MemoryLog::default()), settings);

        let asked: Vec<_> = (0..self.parties.len() * QUERIES).map(|n| (n / QUERIES, n % QUERIES)).collect();
        let mut open = Vec::new();
        for &(party, query) in &asked {
            open.push(self.open(&hub, party, query, tally).await);
        }
        // The clock moves on once all of them wait.
        sleep(Duration::from_millis(1)).await;
        self.publish(&hub, tally).await;
        for (&(party, query), open) in asked.iter().zip(open) {
            let Some((access, live, poll)) = open else { continue };
            let (party, query) = (&self.parties[party], &self.queries[query]);
            tally.decisions += self.updates.len();
            let live = live.await.unwrap();
            if live.contains("\"access\":\"partial\"") != access.ends_with("partial") {
                self.fault("a wrong `start` event", party, query, &live, tally);
            }
            self.compare("live", party, query, &events(&live), tally);
            let first = poll.await.unwrap();
            let all = self.updates.iter().filter(|update| self.gets(party, query, update)).count();
            if page(&first).is_empty() != (all == 0) {
                self.fault("a long poll that ends at the wrong time", party, query, &first, tally);
            }
            let polled = rest_of_history(&hub, party, query, first).await;
            self.compare("long poll", party, query, &polled, tally);

            let fields = if tally.decisions % 2 == 0 { "fields=topic" } else { "envelope=json" };
            let path = path(query, &format!("from=start&heartbeat=none&{fields}"));
            let replayed = read(ask(&hub, party, &path, "text/event-stream").await).await;
            self.compare("replay", party, query, &events(&replayed), tally);
            let response =
                ask(&hub, party, &crate::path(query, "from=start&limit=7"), "application/json").await;
            let first = body(response).await;
            let history = rest_of_history(&hub, party, query, first).await;
            self.compare("history", party, query, &history, tally);
        }
        hub.shutdown().await;
    }

    /// Opens a stream and a long poll, if they are to be granted.
    async fn open(
        &self,
        hub: &Hub,
        party: usize,
        query: usize,
        tally: &mut Tally,
    ) -> Option<(String, JoinHandle<String>, JoinHandle<Value>)> {
        let (party, query) = (&self.parties[party], &self.queries[query]);
        let due = self.answer(party, query);
        let stream = ask(hub, party, &path(query, "envelope=json&heartbeat=none"), "text/event-stream").await;
        let status = stream.status().as_u16();
        let access = stream.headers().get("tidings-access").map(|access| access.to_str().unwrap().to_owned());
        tally.saw("refused subscriptions", due.is_err());
        tally.saw("narrowed subscriptions", due.as_ref().is_ok_and(|access| access.ends_with("partial")));
        tally.saw("whole subscriptions with a credential", due == Ok("token"));
        tally.saw("whole subscriptions without one", due == Ok("anonymous"));
        let (due_status, due_access) = match due {
            Ok(access) => (200, Some(access)),
            Err(_) => (self.refusal(party, |rule| rule.read), None),
        };
        if (status, access.as_deref()) != (due_status, due_access) {
            self.fault("a wrong answer to a subscription", party, query, &(status, &access, &due), tally);
        }
        if status != 200 {
            let problem = body(stream).await;
            let refused = due.err().unwrap_or_default();
            let names = |asked: &&str| problem["detail"].as_str().unwrap().contains(&format!("\"{asked}\""));
            let reads = |topic: &String| self.may_read(party, topic, false);
            if status == 403 && !refused.iter().any(names) && topics_of("*").iter().any(reads) {
                self.fault("a refusal that does not name the topic", party, query, &problem, tally);
            }
            let poll = ask(hub, party, &path(query, "wait=20"), "application/json").await;
            if poll.status().as_u16() != status {
                self.fault("a refused stream beside a granted history", party, query, &poll.status(), tally);
            }
            return None;
        }
        let hub = hub.clone();
        let request = request(party, &path(query, "wait=20"), "application/json");
        let poll = tokio::spawn(async move { body(hub.service().call(request).await.unwrap()).await });
        Some((access.unwrap_or_default(), tokio::spawn(read(stream)), poll))
    }

    /// Publishes all updates. Those that are accepted over HTTP are added to the others.
    async fn publish(&mut self, hub: &Hub, tally: &mut Tally) {
        for update in &self.updates {
            let Update { data, topics, private } = update;
            let line = json!({ "topics": topics, "topic": topics[0], "data": data, "private": private });
            let line = line.to_string();
            let append = Import::ndjson(line.as_bytes()).next().unwrap().unwrap();
            assert_eq!(append.update.topics().len(), topics.len());
            hub.publish_all(vec![append]).await.unwrap();
            tokio::task::yield_now().await;
        }
        for (number, (party, topic, private)) in self.publishes.iter().enumerate() {
            let party = &self.parties[*party];
            let data = format!("h{number}");
            let query = if *private { "?private" } else { "" };
            let mut request =
                Request::post(format!("/topics/{topic}{query}")).header(header::HOST, "hub.example");
            if let Some(authorization) = &party.authorization {
                request = request.header(header::AUTHORIZATION, authorization);
            }
            let request = request.body(Full::<Bytes>::from(data.clone())).unwrap();
            let status = hub.service().call(request).await.unwrap().status().as_u16();
            let due =
                if self.may_publish(party, topic) { 200 } else { self.refusal(party, |rule| rule.publish) };
            tally.decisions += 1;
            tally.saw("publishes", due == 200);
            tally.saw("refused publishes", due != 200);
            if status != due {
                let text = self.text();
                tally.fault("a wrong answer to a publish", || {
                    format!("{text}{party:?}\npublishes to {topic}: {status}, not {due}\n")
                });
            }
            if status == 200 {
                self.updates.push(Update { data, topics: vec![topic.clone()], private: *private });
            }
        }
    }

    /// Compares what has arrived with what is due.
    fn compare(&self, by: &str, party: &Party, query: &[String], arrived: &Arrived, tally: &mut Tally) {
        let mut order = self.updates.iter();
        for (data, named) in arrived {
            let Some(update) = order.find(|update| update.data == *data) else {
                self.fault("an update twice, or not in its turn", party, query, &(by, data), tally);
                return;
            };
            if !self.gets(party, query, update) {
                self.fault(LEAK, party, query, &(by, update), tally);
            }
            let Some(named) = named else { continue };
            let due: BTreeSet<_> =
                update.topics.iter().filter(|topic| self.may_read(party, topic, false)).cloned().collect();
            tally.saw("topics that are not named", due.len() < update.topics.len());
            if named.is_empty() || !named.is_subset(&due) {
                self.fault("wrong topics in an envelope", party, query, &(by, update, named), tally);
            }
        }
        for update in &self.updates {
            let due = self.gets(party, query, update);
            let asked = update.topics.iter().any(|topic| any_covers(query, topic));
            tally.saw("private updates that are due", due && update.private);
            tally.saw("public updates that are due", due && !update.private);
            tally.saw("private updates that are not", asked && !due && update.private);
            tally.saw("public updates that are not", asked && !due && !update.private);
            if due && !arrived.iter().any(|(data, _)| *data == update.data) {
                self.fault(WITHHELD, party, query, &(by, update), tally);
            }
        }
    }

    fn fault(
        &self,
        kind: &'static str,
        party: &Party,
        query: &[String],
        what: &dyn Debug,
        tally: &mut Tally,
    ) {
        tally.fault(kind, || format!("{}{party:?}\nasks for {query:?}: {what:?}\n", self.text()));
    }
}

fn path(query: &[String], rest: &str) -> String {
    format!("/topics?topic={}&{rest}", query.join("&topic="))
}

fn request(party: &Party, path: &str, accept: &str) -> Request<Full<Bytes>> {
    let mut request = Request::get(path).header(header::HOST, "hub.example").header(header::ACCEPT, accept);
    if let Some(authorization) = &party.authorization {
        request = request.header(header::AUTHORIZATION, authorization);
    }
    request.body(Full::default()).unwrap()
}

async fn ask(hub: &Hub, party: &Party, path: &str, accept: &str) -> Response<HubBody> {
    hub.service().call(request(party, path, accept)).await.unwrap()
}

/// A JSON document.
async fn body(response: Response<HubBody>) -> Value {
    serde_json::from_slice(&response.into_body().collect().await.unwrap().to_bytes()).unwrap()
}

/// A stream, until it is silent.
async fn read(response: Response<HubBody>) -> String {
    let mut text = String::new();
    let mut body = response.into_body();
    while let Ok(Some(frame)) = timeout(SILENCE, body.frame()).await {
        text.push_str(std::str::from_utf8(&frame.unwrap().into_data().unwrap()).unwrap());
    }
    text
}

/// The updates of a stream.
fn events(text: &str) -> Arrived {
    let mut arrived = Vec::new();
    for block in text.split("\n\n") {
        let field = |name: &'static str| block.lines().filter_map(move |line| line.strip_prefix(name));
        let Some(data) = field("data: ").next() else { continue };
        match field("event: ").next() {
            Some("start") => {}
            None if data.starts_with('{') => arrived.push(item(&serde_json::from_str(data).unwrap())),
            None => {
                let named: BTreeSet<_> = field("topic: ").map(str::to_owned).collect();
                arrived.push((data.to_owned(), (!named.is_empty()).then_some(named)));
            }
            Some(_) => panic!("an event of the hub: {block}"),
        }
    }
    arrived
}

/// An update as an envelope shows it.
fn item(envelope: &Value) -> (String, Option<BTreeSet<String>>) {
    let named = match (&envelope["topics"], &envelope["topic"]) {
        (Value::Array(topics), _) => topics.iter().map(|topic| topic.as_str().unwrap().to_owned()).collect(),
        (_, topic) => BTreeSet::from([topic.as_str().unwrap().to_owned()]),
    };
    (envelope["data"].as_str().unwrap().to_owned(), Some(named))
}

fn page(page: &Value) -> Arrived {
    page["updates"].as_array().unwrap().iter().map(item).collect()
}

/// A page and all that follow it.
async fn rest_of_history(hub: &Hub, party: &Party, query: &[String], first: Value) -> Arrived {
    let mut arrived = page(&first);
    let mut last = first;
    loop {
        let next = path(query, &format!("lastEventId={}&limit=7", last["next"].as_str().unwrap()));
        let response = ask(hub, party, &next, "application/json").await;
        last = body(response).await;
        assert_eq!(last.get("gap"), None);
        arrived.extend(page(&last));
        if last.get("more").is_none() {
            return arrived;
        }
    }
}

// Chance.

impl World {
    fn random(chance: &mut Chance, key: &TokenKey) -> World {
        let mut rules: Vec<Rule> = Vec::new();
        let mut shapes = BTreeSet::new();
        for _ in 0..chance.of(8) {
            let topics = chance.template();
            let has_placeholder = topics.contains('{');
            let shape: Vec<_> =
                topics.split('/').map(|part| placeholder(part).map_or(part, |_| "{}").to_owned()).collect();
            if shapes.insert(shape) {
                // Only a credential says a value for a placeholder, so no such rule is for anyone.
                let mut audience = || match has_placeholder {
                    true => AUDIENCES[1 + chance.of(2)],
                    false => AUDIENCES[chance.of(3)],
                };
                rules.push(Rule { read: audience(), publish: audience(), topics });
            }
        }
        let (key_claimed, role) = (chance.claimed(), chance.claimed());
        let nobody = Party { authorization: None, claims: Map::new(), publish: vec![], read: vec![] };
        let claims = Map::from_iter([("sub".to_owned(), json!(KEY_ID))]);
        let holder = Party::new(format!("tdk_{KEY_ID}_{KEY_SECRET}"), claims, &[&key_claimed]);
        let mut parties = vec![nobody, holder];
        for _ in 0..2 {
            parties.push(chance.holder_of_a_token(key, &role));
        }
        let updates = (0..UPDATES).map(|number| chance.update(number)).collect();
        let publishes =
            (0..8).map(|_| (chance.of(parties.len()), chance.topic(), chance.of(2) == 0)).collect();
        let queries = (0..QUERIES).map(|_| chance.query()).collect();
        World { rules, key: key_claimed, role, parties, updates, publishes, queries }
    }
}

impl Party {
    fn new(credential: String, claims: Map<String, Value>, claimed: &[&Claimed]) -> Party {
        let filled = |which: fn(&Claimed) -> &Vec<String>| {
            claimed
                .iter()
                .flat_map(|claimed| which(claimed))
                .filter_map(|topic| fill(topic, &claims))
                .collect()
        };
        let (publish, read) = (filled(|claimed| &claimed.publish), filled(|claimed| &claimed.read));
        Party { authorization: Some(format!("Bearer {credential}")), claims, publish, read }
    }
}

/// Numbers that look random and are the same in each run (SplitMix64).
struct Chance(u64);

impl Chance {
    /// One of the numbers below `many`.
    fn of(&mut self, many: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ bits >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ bits >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((bits ^ bits >> 31) % many as u64) as usize
    }

    fn segment(&mut self) -> &'static str {
        match self.of(12) {
            0 => KEY_ID,
            number => SEGMENTS[number % 4],
        }
    }

    fn topic(&mut self) -> String {
        let depth = 1 + self.of(3);
        let last_is_empty = if self.of(30) == 0 { "/" } else { "" };
        (0..depth).map(|_| self.segment()).collect::<Vec<_>>().join("/") + last_is_empty
    }

    /// A topic or a pattern, whose segments may be placeholders.
    fn template(&mut self) -> String {
        let mut segments: Vec<_> = (0..self.of(4))
            .map(|_| match self.of(9) {
                0 | 1 => "{sub}",
                2 => "{claim:tenant}",
                3 => "{iss}",
                _ => self.segment(),
            })
            .collect();
        if segments.len() < 3 && self.of(2) == 0 || segments.is_empty() {
            segments.push("*");
        }
        segments.join("/")
    }

    fn claimed(&mut self) -> Claimed {
        let mut templates = || (0..self.of(3)).map(|_| self.template()).collect();
        Claimed { publish: templates(), read: templates() }
    }

    fn holder_of_a_token(&mut self, key: &TokenKey, role: &Claimed) -> Party {
        let long = "a".repeat(257);
        let values = [
            json!("a"),
            json!("b"),
            json!("alice"),
            json!("bob"),
            json!("alice"),
            json!("bob"),
            json!(".."),
            json!("."),
            json!(""),
            json!("a/b"),
            json!("*"),
            json!("{sub}"),
            json!(7),
            json!(["a"]),
            json!({"a": "b"}),
            json!("a\n"),
            json!(long),
            json!(null),
            json!(true),
        ];
        let mut claims = Map::new();
        for (name, many) in [("sub", 8), ("tenant", values.len() + 3), ("iss", 8)] {
            if let Some(value) = values.get(self.of(many)).filter(|_| name == "tenant" || self.of(4) > 0) {
                claims.insert(name.to_owned(), value.clone());
            }
        }
        let roles = [json!("staff"), json!(["guest", "staff"]), json!("stafff"), json!(["guest"]), json!(7)];
        let has_role = self.of(8);
        if let Some(roles) = roles.get(has_role) {
            claims.insert("roles".to_owned(), roles.clone());
        }
        let own = self.claimed();
        let token = NewToken::new(Duration::from_secs(86_400));
        let token = claims.iter().fold(token, |token, (name, value)| token.with_claim(name, value.clone()));
        let token = token.with_claim("tidings", json!({ "publish": own.publish, "read": own.read }));
        let claimed: &[&Claimed] = if has_role < 2 { &[&own, role] } else { &[&own] };
        Party::new(key.sign(&token), claims, claimed)
    }

    fn update(&mut self, number: usize) -> Update {
        let mut topics = Vec::new();
        for _ in 0..1 + self.of(3) {
            let topic = self.topic();
            if !topics.contains(&topic) {
                topics.push(topic);
            }
        }
        Update { data: format!("u{number}"), topics, private: self.of(3) == 0 }
    }

    fn query(&mut self) -> Vec<String> {
        let count = 1 + self.of(3) * self.of(2);
        let mut query = Vec::new();
        for _ in 0..count {
            query.push(match self.of(5) {
                0 => "*".to_owned(),
                1 => format!("{}/*", self.segment()),
                2 => format!("{}/{}/*", self.segment(), self.segment()),
                _ => self.topic(),
            });
        }
        query
    }
}

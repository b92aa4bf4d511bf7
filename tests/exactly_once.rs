//! Every subscriber gets every update exactly once and in order, those that are cut and resume included.
//!
//! `TIDINGS_SUBSCRIBERS` and `TIDINGS_EVENTS` make the first test larger; `TIDINGS_STEPS` the second one longer, and
//! `TIDINGS_SEED` makes its steps others.

mod support;

use std::{collections::HashMap, time::Duration};

use support::{
    HubProcess, Subscription, publish,
    wire::{JSON, TEXT, ask},
};

const BATCH: usize = 1_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_subscribers_get_every_event_once_in_order() {
    let subscribers = size("TIDINGS_SUBSCRIBERS", 100);
    let events = size("TIDINGS_EVENTS", 10_000);
    assert_eq!(events % BATCH, 0, "TIDINGS_EVENTS is a multiple of {BATCH}");
    let hub = HubProcess::start(&[]);
    let (ready, mut subscribed) = tokio::sync::mpsc::channel(subscribers);

    let following: Vec<_> = (0..subscribers)
        .map(|number| {
            let (address, ready) = (hub.address.clone(), ready.clone());
            // Every tenth is cut now and then, each at other places.
            let cut_every = if number % 10 == 0 { 997 + number } else { usize::MAX };
            tokio::spawn(async move { follow(&address, events, cut_every, ready).await })
        })
        .collect();
    for _ in 0..subscribers {
        subscribed.recv().await.expect("every subscriber reports that it has its place");
    }

    for batch in 0..events / BATCH {
        let lines: String = (batch * BATCH..(batch + 1) * BATCH)
            .map(|number| format!("{{\"data\":\"{number}\"}}\n"))
            .collect();
        let (status, answer) = publish(&hub.address, "/topics/load", "application/x-ndjson", lines).await;
        assert_eq!((status.as_u16(), answer["count"].as_u64()), (200, Some(BATCH as u64)), "{answer}");
    }

    let mut cuts = 0;
    for follower in following {
        let followed = tokio::time::timeout(Duration::from_secs(600), follower).await;
        cuts += followed
            .expect("nobody waits for an event that does not come")
            .expect("nobody saw a wrong event");
    }
    println!("{subscribers} subscribers × {events} events, {cuts} cuts: all exactly once and in order");
    assert!(cuts >= subscribers / 10, "the cuts happened");
}

/// Reads all events, checks each, and reconnects after `cut_every` of them; gives back how often it was cut.
async fn follow(
    address: &str,
    events: usize,
    cut_every: usize,
    ready: tokio::sync::mpsc::Sender<()>,
) -> usize {
    let mut subscription = Subscription::open(address, "/topics/load", None).await;
    let start = subscription.next().await.expect("the place to start from");
    assert_eq!(start.event_type, "start");
    ready.send(()).await.expect("the test waits");

    let (mut last_event_id, mut next, mut cuts) = (start.id, 0, 0);
    while next < events {
        if next / cut_every > cuts {
            cuts += 1;
            drop(subscription);
            subscription = Subscription::open(address, "/topics/load", Some(&last_event_id)).await;
            assert_eq!(subscription.response.headers()["tidings-resume"], "resumed");
        }
        let event = subscription.next().await.expect("the stream goes on");
        assert_eq!(event.data, next.to_string(), "after {last_event_id}");
        last_event_id = event.id;
        next += 1;
    }
    cuts
}

fn size(variable: &str, default: usize) -> usize {
    std::env::var(variable).map_or(default, |value| value.parse().expect("a size is a whole number"))
}

/// Topics whose updates are soon evicted, but for those of the last one.
const TOPICS: [&str; 4] = ["a/1", "a/2", "b", "c"];

/// The topics that are asked for, each by some subscribers.
const ASKED: [&str; 7] = [
    "topic=a/1",
    "topic=b",
    "topic=a/*",
    "topic=a/1&topic=b",
    "topic=b&topic=a/*",
    "topic=c&topic=b",
    "topic=*",
];

/// Publishers choose IDs that repeat across topics and after evictions. A client that comes back with the ID of the event it
/// saw last gets all that follows, or is told of a gap: never is something missing in silence, and never is a gap told
/// without a reason.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ids_that_publishers_choose_never_leave_a_gap_untold() {
    let steps = size("TIDINGS_STEPS", 1_500);
    let directory = tempfile::tempdir().expect("a place for the log");
    let data = directory.path().to_str().expect("it has a UTF-8 name");
    let retention = ["--retain", "a/*=4", "--retain", "b=3", "--max-updates", "24"];
    for history in [&[][..], &["--data", data]] {
        let arguments = [history, &retention[..]].concat();
        let mut hub = HubProcess::start(&arguments);
        let address = hub.address.clone();
        let mut chance = Chance(size("TIDINGS_SEED", 1) as u64);
        let mut model = Model::default();
        let mut readers: Vec<Reader> =
            ASKED.iter().cycle().take(28).map(|asked| Reader::new(asked)).collect();
        for step in 0..steps {
            if history.len() == 2 && step % 400 == 399 {
                // Killed, and begun again where it was.
                drop(hub);
                hub = HubProcess::start_on(&address, &arguments);
            }
            if chance.of(3) > 0 {
                model.publish(&address, &mut chance).await;
            } else {
                let number = chance.of(readers.len());
                readers[number].come_back(&address, &model).await;
            }
        }
        let [resumed, evicted, unknown] = readers.iter().fold([0; 3], |sums, reader| {
            [sums[0] + reader.resumed, sums[1] + reader.evicted, sums[2] + reader.unknown]
        });
        let Model { updates, repeated, refused, .. } = &model;
        println!(
            "{history:?}: {} updates, {repeated} repeated, {refused} refused; {resumed} resumed, {evicted} and {unknown} gaps",
            updates.len()
        );
        let each = [*repeated, *refused, resumed, evicted, unknown];
        assert!(each.iter().all(|count| *count > steps / 200), "each happened: {each:?}");
    }
}

/// The updates that a hub has taken.
#[derive(Default)]
struct Model {
    updates: Vec<Published>,
    /// The number of the update that has an ID in a topic.
    named: HashMap<(&'static str, String), usize>,
    repeated: usize,
    refused: usize,
}

struct Published {
    topic: &'static str,
    data: String,
    /// Its publisher's ID; without one, the hub's.
    id: String,
    sequence: u64,
}

impl Model {
    /// Publishes something, and checks the answer.
    async fn publish(&mut self, address: &str, chance: &mut Chance) {
        let topic = TOPICS[chance.of(TOPICS.len())];
        let id = (chance.of(4) > 0).then(|| chance.of(12 + self.updates.len() / 4).to_string());
        let data = ["x", "y"][chance.of(2)].to_owned();
        let target = match &id {
            Some(id) => format!("/topics/{topic}?id={id}"),
            None => format!("/topics/{topic}"),
        };
        let answer = ask(address, "POST", &target, &[TEXT], &data).await;
        let first = id
            .as_ref()
            .and_then(|id| self.named.get(&(topic, id.clone())))
            .map(|number| &self.updates[*number]);
        match first {
            Some(first) if first.data == data => {
                assert_eq!(answer.status(), 200, "{target} again: {answer:?}");
                assert_eq!(answer.json()["sequence"], first.sequence, "{target} again is the same update");
                self.repeated += 1;
            }
            Some(_) => {
                answer.refusal(409, "belongs to another update");
                self.refused += 1;
            }
            None => {
                assert_eq!(answer.status(), 200, "{target}: {answer:?}");
                let answer = answer.json();
                let sequence = answer["sequence"].as_u64().expect("it has a place");
                assert_eq!(sequence, self.updates.len() as u64 + 1, "{target} is a new update");
                self.named.extend(id.map(|id| ((topic, id), self.updates.len())));
                let id = answer["id"].as_str().expect("it has an ID").to_owned();
                self.updates.push(Published { topic, data, id, sequence });
            }
        }
    }

    /// The updates that `asked` asks for, after the sequence `after`.
    fn after(&self, asked: &str, after: u64) -> Vec<(&str, &str, &str)> {
        let wanted = |update: &&Published| update.sequence > after && matches(asked, update.topic);
        self.updates.iter().filter(wanted).map(|update| (update.topic, &*update.id, &*update.data)).collect()
    }
}

fn matches(asked: &str, topic: &str) -> bool {
    asked.split('&').filter_map(|part| part.strip_prefix("topic=")).any(|filter| {
        match filter.strip_suffix('*') {
            Some(prefix) => topic.starts_with(prefix),
            None => topic == filter,
        }
    })
}

/// Somebody who looks now and then, and remembers the ID of the last event alone, as an `EventSource` does.
struct Reader {
    asked: &'static str,
    /// The last event's ID, and its sequence, which only the test knows.
    last: Option<(String, u64)>,
    resumed: usize,
    evicted: usize,
    unknown: usize,
}

impl Reader {
    fn new(asked: &'static str) -> Reader {
        Reader { asked, last: None, resumed: 0, evicted: 0, unknown: 0 }
    }

    async fn come_back(&mut self, address: &str, model: &Model) {
        let target = format!("/topics?{}&limit=1000", self.asked);
        let last = self.last.as_ref().map(|(id, _)| ("last-event-id", &**id));
        let headers: Vec<_> = [JSON].into_iter().chain(last).collect();
        let page = ask(address, "GET", &target, &headers, "").await.json();
        let got: Vec<_> = page["updates"]
            .as_array()
            .expect("a page has updates")
            .iter()
            .map(|update| ["topic", "id", "data"].map(|field| update[field].as_str().expect("each is text")))
            .collect();
        let got: Vec<_> = got.into_iter().map(|[topic, id, data]| (topic, id, data)).collect();

        let seen = self.last.as_ref().map_or(0, |(_, sequence)| *sequence);
        let expected = model.after(self.asked, seen);
        let at = format!("{target} after {:?}: {page}", self.last);
        match (&self.last, page["gap"]["reason"].as_str()) {
            // From the start: what is kept, which is the end of all there was of each topic.
            (None, gap) => assert_eq!(gap, None, "{at}"),
            (Some((id, _)), None) => {
                assert_eq!(got, expected, "nothing is missing in silence: {at}");
                assert_eq!(model.bearers(self.asked, id), 1, "nobody can know which was seen: {at}");
                self.resumed += 1;
            }
            (Some(_), Some("evicted")) => {
                assert_ne!(got, expected, "something is missing: {at}");
                self.evicted += 1;
            }
            (Some((id, _)), Some(reason)) => {
                assert_eq!(reason, "unknown-id", "{at}");
                assert!(model.bearers(self.asked, id) > 1, "an ID that one update alone has is known: {at}");
                self.unknown += 1;
            }
        }
        // The published updates come, in their order, each once.
        let all = model.after(self.asked, 0);
        let mut rest = all.iter();
        assert!(got.iter().all(|update| rest.any(|published| published == update)), "{at}");
        self.last = match got.last() {
            Some((_, id, _)) => Some(((*id).to_owned(), model.last_sequence(self.asked))),
            None if page["gap"].is_null() => self.last.take(),
            None => None,
        };
    }
}

impl Model {
    /// How many updates of those that `asked` asks for have this ID.
    fn bearers(&self, asked: &str, id: &str) -> usize {
        self.updates.iter().filter(|update| update.id == id && matches(asked, update.topic)).count()
    }

    /// The sequence of the newest update that `asked` asks for, which is always kept.
    fn last_sequence(&self, asked: &str) -> u64 {
        let newest = self.updates.iter().rfind(|update| matches(asked, update.topic));
        newest.map_or(0, |update| update.sequence)
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
}

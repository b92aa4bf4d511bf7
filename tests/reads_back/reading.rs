//! The ways in which a hub is asked for what it keeps, each held against what was published.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use serde_json::Value;
use tidings_hub::log::contract::acknowledged::Random;
use tokio::{task::JoinHandle, time::timeout};

use crate::{
    Client, member,
    publishing::{Sent, encoded},
    support::{
        HubProcess,
        wire::{Event, JSON, Stream, is_hub_id},
    },
};

/// Patterns that match some of the topics.
const PATTERNS: [&str; 2] = ["p/*", "p/3/*"];

/// The updates that a hub has acknowledged, in its order.
#[derive(Default)]
pub(crate) struct Kept {
    updates: Vec<Update>,
}

struct Update {
    sent: Sent,
    /// Known from the answer, or from the first time that it was read.
    id: Option<String>,
    /// Known from the first time that it was read.
    time: Option<String>,
}

impl Update {
    /// Holds a JSON object against it.
    fn check_item(&mut self, item: &Value, number: usize) {
        let sent = &self.sent;
        let fields = ["topic", "type", "data"].map(|name| member(item, name));
        assert_eq!(fields, [&*sent.topic, &sent.event_type, &sent.data], "update {number}");
        assert_eq!(item.get("retry").map(Value::as_u64), sent.retry.map(Some), "retry of update {number}");
        let [id, time] = ["id", "time"].map(|name| member(item, name).to_owned());
        assert_eq!(self.id.get_or_insert_with(|| id.clone()), &id, "ID of update {number}");
        assert!(sent.id.is_some() || is_hub_id(&id), "ID of update {number} is {id:?}");
        assert_eq!(self.time.get_or_insert_with(|| time.clone()), &time, "time of update {number}");
        let members = if sent.retry.is_some() { 6 } else { 5 };
        assert_eq!(item.as_object().map(serde_json::Map::len), Some(members), "{item}");
    }

    /// Holds an event with a `topic` line against it, which may be the first of a stream.
    fn check_event(&self, event: &Event, is_first: bool, number: usize) {
        let sent = &self.sent;
        let fields = [event.topic.as_deref(), Some(&event.event_type), Some(&event.data)];
        assert_eq!(fields, [Some(&*sent.topic), Some(&sent.event_type), Some(&sent.data)], "update {number}");
        assert_eq!(Some(&event.id), self.id.as_ref(), "ID of update {number}");
        // The reconnection time that a stream begins with stands in its first block.
        if sent.retry.is_some() || !is_first {
            assert_eq!(event.retry, sent.retry.map(|retry| retry.to_string()), "retry of update {number}");
        }
    }
}

impl Kept {
    pub(crate) fn count(&self) -> usize {
        self.updates.len()
    }

    /// Takes in what an answer acknowledges, and checks that it does.
    pub(crate) fn acknowledge(&mut self, updates: Vec<Sent>, answer: &Value) {
        let (first, last) = (self.updates.len(), self.updates.len() + updates.len() - 1);
        self.updates.extend(updates.into_iter().map(|sent| Update { id: sent.id.clone(), sent, time: None }));
        let mut ids = vec![(first, "first"), (last, "last")];
        if answer.get("sequence").is_some() {
            assert_eq!(answer["sequence"], first as u64 + 1, "{answer}");
            ids = vec![(first, "id")];
        } else {
            assert_eq!(answer["count"], last as u64 + 1 - first as u64, "{answer}");
        }
        for (number, name) in ids {
            let id = member(answer, name);
            assert_eq!(self.updates[number].id.get_or_insert_with(|| id.to_owned()), id, "{answer}");
        }
    }

    /// A copy has the same updates, and gives IDs of its own where their publishers gave none.
    pub(crate) fn has_another_hubs_ids(&mut self) {
        for update in &mut self.updates {
            update.id.clone_from(&update.sent.id);
        }
    }

    pub(crate) fn print(&self, place: &str) {
        let bytes: usize = self.updates.iter().map(|update| update.sent.data.len()).sum();
        println!("{place}: {} updates with {bytes} bytes of data read back", self.count());
    }

    /// Holds against the hub all that it has acknowledged: each way to ask for it gives the same.
    pub(crate) async fn check(&mut self, hub: &HubProcess, random: &mut Random) {
        let mut client = Client::of(hub).await;
        let all: Vec<usize> = (0..self.count()).collect();
        // It is the first, since it tells the IDs and times that the other ways have to give as well.
        self.check_history(&mut client, "topic=*", &all, random).await;
        let mut by_topic: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        for (number, update) in self.updates.iter().enumerate() {
            by_topic.entry(update.sent.topic.clone()).or_default().push(number);
        }
        let topics: Vec<(String, Vec<usize>)> = by_topic.into_iter().collect();

        for pattern in PATTERNS {
            // The topics below p/, and not p/ itself.
            let prefix = pattern.trim_end_matches('*');
            let below = |number: &usize| {
                self.updates[*number].sent.topic.strip_prefix(prefix).is_some_and(|rest| !rest.is_empty())
            };
            let expected: Vec<usize> = all.iter().copied().filter(below).collect();
            self.check_history(&mut client, &format!("topic={pattern}"), &expected, random).await;
        }
        let few = (topics.len() / 200).max(1);
        for (topic, expected) in &topics {
            if random.once_in(few) {
                let query = format!("topic={}", encoded(random, topic));
                self.check_history(&mut client, &query, expected, random).await;
                let (other, more) = random.one_of(&topics);
                let both: BTreeSet<usize> = expected.iter().chain(more).copied().collect();
                let query = format!("{query}&topic={}", encoded(random, other));
                self.check_history(&mut client, &query, &Vec::from_iter(both), random).await;
                if random.once_in(4) {
                    self.check_stream_of_topic(hub, topic, expected, random).await;
                }
            }
        }
        self.check_streams(hub).await;
        // An idle connection is closed, and streams of much take long.
        client = Client::of(hub).await;
        for _ in 0..60 {
            let number = random.below(self.count());
            self.check_resume(hub, &mut client, number, &topics, random).await;
        }
    }

    /// All pages of what a query asks for.
    async fn check_history(
        &mut self,
        client: &mut Client,
        query: &str,
        expected: &[usize],
        random: &mut Random,
    ) {
        // Small pages of much take long.
        let limit = if expected.len() > 2_000 { 1_000 } else { *random.one_of(&[3, 100, 1_000]) };
        let (mut from, mut number) = ("start".to_owned(), 0);
        loop {
            let target = format!("/topics?{query}&limit={limit}&from={from}");
            let page = client.ask("GET", &target, &[JSON], b"").await;
            assert_eq!(page.status(), 200, "{target}: {page:?}");
            let page = page.json();
            assert_eq!(page.get("gap"), None, "{target}");
            let items = page["updates"].as_array().expect("a page has updates");
            assert!(items.len() <= limit, "{target}");
            for item in items {
                let expected =
                    *expected.get(number).unwrap_or_else(|| panic!("{target}: {item} is one too many"));
                self.updates[expected].check_item(item, expected);
                number += 1;
            }
            if page["more"] != true {
                break;
            }
            member(&page, "next").clone_into(&mut from);
        }
        assert_eq!(number, expected.len(), "{query}");
    }

    /// All that there is, as a subscriber gets it, in two forms.
    async fn check_streams(&mut self, hub: &HubProcess) {
        for form in ["fields=topic", "envelope=json"] {
            let target = format!("/topics?topic=*&from=start&{form}");
            let mut stream = Stream::open(&hub.address, &target, &[]).await;
            for (number, update) in self.updates.iter_mut().enumerate() {
                let event = stream.event().await;
                if form == "fields=topic" {
                    update.check_event(&event, number == 0, number);
                } else {
                    update.check_item(&event.json(), number);
                    assert_eq!(
                        (&event.event_type, &event.id),
                        (&update.sent.event_type, update.id.as_ref().expect("it was read"))
                    );
                }
            }
        }
    }

    /// A topic as a subscriber gets it, with the end of its stream if it is closed.
    async fn check_stream_of_topic(
        &self,
        hub: &HubProcess,
        topic: &str,
        expected: &[usize],
        random: &mut Random,
    ) {
        let target = format!("/topics/{}?from=start&fields=topic", encoded(random, topic));
        let mut stream = Stream::open(&hub.address, &target, &[]).await;
        for (position, number) in expected.iter().enumerate() {
            self.updates[*number].check_event(&stream.event().await, position == 0, *number);
        }
        if self.ends_with_close(expected) {
            assert_eq!(stream.next().await, None, "{target}");
        }
    }

    /// Comes back with the ID of one update, over a topic of its own and over all.
    async fn check_resume(
        &mut self,
        hub: &HubProcess,
        client: &mut Client,
        number: usize,
        topics: &[(String, Vec<usize>)],
        random: &mut Random,
    ) {
        let id = self.updates[number].id.clone().expect("it was read");
        let topic = &self.updates[number].sent.topic;
        let of_topic = topics.binary_search_by_key(&topic, |(topic, _)| topic).expect("it is one of them");
        let of_topic = &topics[of_topic].1;
        let following: Vec<usize> =
            of_topic.iter().copied().filter(|following| *following > number).collect();
        let query = format!("topic={}", encoded(random, topic));
        let end = (number + 6).min(self.count());
        for (query, following) in [(query, following), ("topic=*".into(), (number + 1..end).collect())] {
            let few = &following[..following.len().min(5)];
            let is_over = few.is_empty() && query != "topic=*" && self.updates[number].sent.is_close;
            let headers = [JSON, ("last-event-id", &*id)];
            let answer = client.ask("GET", &format!("/topics?{query}&limit=5"), &headers, b"").await;
            assert_eq!(answer.status(), 200, "{query} after {id}: {answer:?}");
            let page = answer.json();
            assert!(!is_over || page["closed"] == true, "{query} after {id}: {page}");
            let items = page["updates"].as_array().expect("a page has updates");
            // A page has fewer than it may where they are large.
            let is_enough = items.len() <= few.len() && items.is_empty() == few.is_empty();
            assert!(is_enough, "{query} after {id}: {page}");
            for (item, number) in items.iter().zip(few) {
                self.updates[*number].check_item(item, *number);
            }

            let target = format!("/topics?{query}&fields=topic");
            if is_over {
                let answer = client.ask("GET", &target, &[("last-event-id", &id)], b"").await;
                assert_eq!(answer.status(), 204, "{target} after {id}: {answer:?}");
                continue;
            }
            assert_eq!(answer.header("tidings-resume"), Some("resumed"), "{query} after {id}");
            let mut stream = Stream::resume(&hub.address, &target, &id).await;
            assert_eq!(stream.verdict(), Some("resumed"), "{target} after {id}");
            for (position, number) in few.iter().enumerate() {
                self.updates[*number].check_event(&stream.event().await, position == 0, *number);
            }
        }
    }

    fn ends_with_close(&self, numbers: &[usize]) -> bool {
        numbers.last().is_some_and(|last| self.updates[*last].sent.is_close)
    }

    /// Holds events with `topic` lines against what was acknowledged, from one update on.
    pub(crate) fn check_events(&self, first: usize, events: &[Event]) {
        assert_eq!(events.len(), self.count() - first);
        for (number, event) in (first..).zip(events) {
            self.updates[number].check_event(event, false, number);
        }
    }
}

/// A subscriber to everything from now on.
pub(crate) struct Follower {
    reading: JoinHandle<()>,
    events: tokio::sync::mpsc::UnboundedReceiver<Event>,
}

impl Follower {
    pub(crate) async fn of(hub: &HubProcess) -> Follower {
        let mut stream = Stream::live(&hub.address, "/topics?topic=*&fields=topic").await;
        let (sender, events) = tokio::sync::mpsc::unbounded_channel();
        let reading = tokio::spawn(async move { while sender.send(stream.event().await).is_ok() {} });
        Follower { reading, events }
    }

    /// The first events.
    pub(crate) async fn until(mut self, count: usize) -> Vec<Event> {
        let mut events = Vec::with_capacity(count);
        while events.len() < count {
            let event = timeout(Duration::from_secs(60), self.events.recv()).await;
            events.push(event.expect("it comes").expect("the stream goes on"));
        }
        self.reading.abort();
        events
    }
}

//! Rules leave holes. A client that comes back to any place, by any ID, gets all that is kept after it, and is told of a
//! gap if and only if something is missing.

use std::{collections::BTreeSet, time::Duration};

use crate::{
    History,
    support::{
        HubProcess,
        wire::{Event, NDJSON, Stream, data, page, post, say},
    },
};

/// An update that was published.
struct Published {
    topic: &'static str,
    data: String,
    /// The hub's ID, or the publisher's own.
    id: String,
}

const TOPICS: [&str; 5] = ["a/1", "b", "a/2", "c", "d/e"];
const RULES: [&str; 4] = ["--retain", "a/*=5", "--retain", "c=3"];

async fn publish(hub: &HubProcess) -> Vec<Published> {
    let mut published = Vec::new();
    for number in 0..60 {
        let topic = TOPICS[number * 7 % 11 % 5];
        let data = number.to_string();
        let own = if number % 3 == 0 { format!("?id=own-{number}") } else { String::new() };
        let id = say(&hub.address, &format!("/topics/{topic}{own}"), &data).await;
        published.push(Published { topic, data, id });
    }
    published
}

fn matches(filters: &[&str], topic: &str) -> bool {
    filters.iter().any(|filter| match filter.strip_suffix('*') {
        Some(prefix) => topic.starts_with(prefix),
        None => *filter == topic,
    })
}

/// The events up to the newest update that matches, which `last` says; none if there is none after the start.
async fn events(stream: &mut Stream, last: Option<&str>) -> Vec<Event> {
    let mut events: Vec<Event> = Vec::new();
    while last.is_some() && events.last().map(|event| &*event.data) != last {
        events.push(stream.event().await);
    }
    events
}

#[tokio::test]
async fn every_place_leads_on_and_a_gap_is_told_where_something_is_missing() {
    let history = History::new();
    let hub = history.serve(&RULES);
    let published = publish(&hub).await;
    drop(hub);
    // Told the same by the process that evicted, and by those that come later.
    for _ in 0..2 {
        let hub = history.serve(&RULES);
        let all = page(&hub.address, "/topics?topic=*&limit=1000").await;
        let kept: BTreeSet<&str> = all["updates"]
            .as_array()
            .unwrap()
            .iter()
            .map(|update| update["data"].as_str().unwrap())
            .collect();
        assert_eq!(
            kept.len(),
            published.iter().filter(|update| !update.topic.starts_with("a/") && update.topic != "c").count()
                + 8
        );
        for filters in [&["a/1"][..], &["b"], &["c"], &["a/1", "b"], &["a/*"], &["a/*", "d/*", "c"], &["*"]] {
            let query = filters.iter().map(|filter| format!("topic={filter}")).collect::<Vec<_>>().join("&");
            for (place, asked) in published.iter().enumerate() {
                let case = format!("{query} after {place} {:?} of {}", asked.id, asked.topic);
                // An ID of the publisher's own is one of its topic, whether its update is kept or not.
                let is_known = !asked.id.starts_with("own") || matches(filters, asked.topic);
                let begin = if is_known { place + 1 } else { 0 };
                let wanted = || published[begin..].iter().filter(|update| matches(filters, update.topic));
                let expected: Vec<&str> =
                    wanted().map(|update| &*update.data).filter(|data| kept.contains(data)).collect();
                let is_gap = !is_known || expected.len() < wanted().count();

                let mut stream = Stream::resume(&hub.address, &format!("/topics?{query}"), &asked.id).await;
                assert_eq!(stream.verdict(), Some(if is_gap { "gap" } else { "resumed" }), "{case}");
                if is_gap {
                    let gap = stream.event().await;
                    assert_eq!(gap.event_type, "gap", "{case}");
                    let reason = if is_known { "evicted" } else { "unknown-id" };
                    assert_eq!(
                        (&gap.json()["reason"], &gap.json()["asked"]),
                        (&reason.into(), &(&*asked.id).into())
                    );
                    // A client that has seen the gap and nothing else goes on with the same updates; it is told again where more
                    // is missing after the first of them.
                    let mut again = Stream::resume(&hub.address, &format!("/topics?{query}"), &gap.id).await;
                    let mut seen = events(&mut again, expected.last().copied()).await;
                    if let Some(told_again) = seen.first().filter(|event| event.event_type == "gap") {
                        assert_eq!(told_again.json()["reason"], "evicted", "{case}: the gap's ID is a place");
                        seen.remove(0);
                    }
                    let seen: Vec<&str> = seen.iter().map(|event| &*event.data).collect();
                    assert_eq!(seen, expected, "{case}, from the gap's ID");
                }
                let seen = events(&mut stream, expected.last().copied()).await;
                let seen: Vec<&str> = seen.iter().map(|event| &*event.data).collect();
                assert_eq!(seen, expected, "{case}");
            }
        }
    }
}

#[tokio::test]
async fn a_subscriber_that_catches_up_over_many_holes_is_told_once_and_one_that_asks_for_all_that_is_kept_never()
 {
    const UPDATES: usize = 3_000;
    for memory in [true, false] {
        let history = History::new();
        let rules = ["--retain", "a/*=1"];
        let hub = if memory { HubProcess::start(&rules) } else { history.serve(&rules) };
        let first = say(&hub.address, "/topics/b", "first").await;
        for topic in ["b", "a/1"].into_iter().cycle().take(20) {
            let lines: String = (0..UPDATES / 20).map(|_| "{\"data\": \"x\"}\n").collect();
            assert_eq!(post(&hub.address, &format!("/topics/{topic}"), NDJSON, lines).await.status(), 200);
        }
        say(&hub.address, "/topics/b", "last").await;
        for topics in ["topic=*", "topic=a/1&topic=b", "topic=a/*&topic=b"] {
            for (start, gaps) in [(format!("lastEventId={first}"), 1), ("from=start".into(), 0)] {
                let mut stream = Stream::open(&hub.address, &format!("/topics?{topics}&{start}"), &[]).await;
                let seen = events(&mut stream, Some("last")).await;
                let told = seen.iter().filter(|event| event.event_type == "gap").count();
                assert_eq!(told, gaps, "{topics}&{start}, memory {memory}");
                let kept = UPDATES / 2 + 2 + usize::from(gaps == 0);
                assert_eq!(seen.len() - told, kept, "{topics}&{start}, memory {memory}");
            }
        }
    }
}

#[tokio::test]
async fn a_long_poll_is_told_of_what_went_before_it_could_be_read() {
    for memory in [true, false] {
        let history = History::new();
        let rules = ["--retain", "a=1"];
        let hub = if memory { HubProcess::start(&rules) } else { history.serve(&rules) };
        let mut next = say(&hub.address, "/topics/b", "before").await;
        let address = hub.address.clone();
        let publisher = tokio::spawn(async move {
            // Not before the poll waits; if it does not yet, there is a gap at once.
            tokio::time::sleep(Duration::from_millis(100)).await;
            let lines = (1..=3).map(|number| format!("{{\"data\": \"{number}\"}}\n")).collect::<String>();
            assert_eq!(post(&address, "/topics/a", NDJSON, lines).await.status(), 200);
        });
        let (mut seen, mut is_gap) = (Vec::new(), false);
        while seen.last().is_none_or(|data| data != "3") {
            let page = page(&hub.address, &format!("/topics/a?wait=9&lastEventId={next}")).await;
            is_gap |= page["gap"]["reason"] == "evicted";
            seen.extend(data(&page).into_iter().map(str::to_owned));
            page["next"].as_str().unwrap().clone_into(&mut next);
        }
        publisher.await.unwrap();
        assert!(is_gap || seen == ["1", "2", "3"], "only {seen:?} came, and no gap");
    }
}

#[tokio::test]
async fn a_live_subscriber_gets_everything_or_is_told_also_of_what_a_rule_evicts_at_once() {
    for memory in [true, false] {
        let history = History::new();
        let rules = ["--retain", "a=1"];
        let hub = if memory { HubProcess::start(&rules) } else { history.serve(&rules) };
        for topics in ["topic=a", "topic=a&topic=b", "topic=*"] {
            let mut stream = Stream::live(&hub.address, &format!("/topics?{topics}")).await;
            let lines = (1..=9).map(|number| format!("{{\"data\": \"{number}\"}}\n")).collect::<String>();
            assert_eq!(post(&hub.address, "/topics/a", NDJSON, lines).await.status(), 200);
            let (mut seen, mut is_gap) = (Vec::new(), false);
            while seen.last().is_none_or(|data| data != "9") {
                let event = stream.event().await;
                is_gap |= event.event_type == "gap";
                if event.event_type == "message" {
                    seen.push(event.data);
                }
            }
            assert!(is_gap || seen.len() == 9, "{topics}, memory {memory}: only {seen:?} came, and no gap");
        }
    }
}

//! History as JSON pages, and the long poll.

use std::time::{Duration, Instant};

use crate::support::{
    HubProcess,
    wire::{JSON, NDJSON, Wire, ask, data, head, is_hub_id, page, post, say},
};

async fn publish_numbers(hub: &HubProcess, target: &str, count: usize) {
    let lines = (0..count).map(|number| format!("{{\"data\":\"{number}\"}}\n"));
    assert_eq!(post(&hub.address, target, NDJSON, lines.collect::<String>()).await.status(), 200);
}

#[tokio::test]
async fn an_item_has_the_one_json_shape() {
    let hub = HubProcess::start(&[]);
    say(&hub.address, "/topics/a/b?type=t&id=i&retry=700", "x\ny").await;
    let id = say(&hub.address, "/topics/a/b", "{\"json\": 1}").await;
    let mut page = page(&hub.address, "/topics/a/b").await;
    for update in page["updates"].as_array_mut().expect("updates") {
        let time = update.as_object_mut().and_then(|update| update.remove("time")).expect("a time");
        let time = time.as_str().expect("a time is text");
        assert!(time.len() >= 20 && time.as_bytes()[10] == b'T' && time.ends_with('Z'), "{time}");
    }
    assert_eq!(
        page["updates"],
        serde_json::json!([
            { "topic": "a/b", "type": "t", "data": "x\ny", "id": "i", "retry": 700 },
            { "topic": "a/b", "type": "message", "data": "{\"json\": 1}", "id": id },
        ])
    );
    assert_eq!(page.as_object().map(serde_json::Map::len), Some(2), "nothing but updates and next: {page}");
}

#[tokio::test]
async fn a_page_for_which_much_was_looked_through_says_how_far_that_was() {
    // More than is looked at for one page.
    let hub = HubProcess::start(&[]);
    publish_numbers(&hub, "/topics/other", 120_000).await;
    say(&hub.address, "/topics/rare/1", "found").await;
    let mut place = "start".to_owned();
    for empty_pages in 0.. {
        let page = page(&hub.address, &format!("/topics/rare/*?from={place}")).await;
        assert!(page.get("gap").is_none(), "{page}");
        if data(&page) == ["found"] {
            assert!(empty_pages > 0 && page.get("more").is_none(), "{page}");
            break;
        }
        assert_eq!((data(&page), &page["more"]), (vec![], &serde_json::json!(true)));
        let next = page["next"].as_str().expect("a place");
        assert_ne!(next, place, "each page leads on");
        next.clone_into(&mut place);
    }
}

#[tokio::test]
async fn a_page_says_whether_there_is_more() {
    let hub = HubProcess::start(&[]);
    publish_numbers(&hub, "/topics/a", 3).await;
    for (limit, more) in [(2, Some(true)), (3, None), (4, None)] {
        let page = page(&hub.address, &format!("/topics/a?limit={limit}")).await;
        assert_eq!(page.get("more").and_then(serde_json::Value::as_bool), more, "{page}");
    }
}

#[tokio::test]
async fn an_empty_history_is_an_empty_page_with_a_place() {
    let hub = HubProcess::start(&[]);
    let empty = page(&hub.address, "/topics/a").await;
    assert_eq!(data(&empty), [""; 0]);
    let next = empty["next"].as_str().expect("a place");
    assert!(is_hub_id(next), "{next}");
    say(&hub.address, "/topics/a", "1").await;
    assert_eq!(data(&page(&hub.address, &format!("/topics/a?from={next}")).await), ["1"]);
}

#[tokio::test]
async fn an_empty_page_at_the_end_gives_a_place_that_is_known() {
    let hub = HubProcess::start(&[]);
    let last = say(&hub.address, "/topics/a", "1").await;
    let end = page(&hub.address, &format!("/topics/a?from={last}")).await;
    assert_eq!((data(&end), &end["next"]), (vec![], &serde_json::json!(last)));
    say(&hub.address, "/topics/b", "2").await;
    let further = page(&hub.address, &format!("/topics/a?from={last}")).await;
    let next = further["next"].as_str().expect("a place");
    let follows = page(&hub.address, &format!("/topics/a?from={next}")).await;
    assert_eq!((data(&follows), follows.get("gap")), (vec![], None), "{next} is known");
}

#[tokio::test]
async fn pages_follow_one_another_without_overlap() {
    let hub = HubProcess::start(&[]);
    publish_numbers(&hub, "/topics/a", 250).await;
    publish_numbers(&hub, "/topics/b", 250).await;
    let expected: Vec<_> = (0..250).map(|number| number.to_string()).collect();
    for (limit, size) in
        [("", 100), ("&limit=7", 7), ("&limit=1000", 250), ("&limit=1", 1), ("&limit=250", 250)]
    {
        let (mut seen, mut place) = (Vec::new(), "start".to_owned());
        loop {
            let page = page(&hub.address, &format!("/topics/a?from={place}{limit}")).await;
            assert!(page.get("gap").is_none(), "{page}");
            let updates = data(&page);
            if updates.is_empty() {
                break;
            }
            assert_eq!(updates.len(), size.min(250 - seen.len()), "{limit}");
            seen.extend(updates.into_iter().map(str::to_owned));
            page["next"].as_str().expect("a place").clone_into(&mut place);
        }
        assert_eq!(seen, expected, "{limit}");
    }
}

#[tokio::test]
async fn history_begins_at_the_oldest_unless_told_otherwise() {
    let hub = HubProcess::start(&[]);
    let one = say(&hub.address, "/topics/a", "1").await;
    say(&hub.address, "/topics/a", "2").await;
    assert_eq!(data(&page(&hub.address, "/topics/a").await), ["1", "2"]);
    assert_eq!(data(&page(&hub.address, "/topics/a?from=start").await), ["1", "2"]);
    assert_eq!(data(&page(&hub.address, &format!("/topics/a?from={one}")).await), ["2"]);
    assert_eq!(data(&page(&hub.address, &format!("/topics/a?from=start&lastEventId={one}")).await), ["2"]);
    let header = ask(&hub.address, "GET", "/topics/a", &[JSON, ("last-event-id", &one)], "").await;
    assert_eq!(data(&header.json()), ["2"]);
    let end = page(&hub.address, "/topics/a?from=end").await;
    assert_eq!(data(&end), [""; 0]);
}

#[tokio::test]
async fn a_page_spans_topics_in_one_order() {
    let hub = HubProcess::start(&[]);
    for topic in ["a", "b/c", "d", "b/e", "a"] {
        say(&hub.address, &format!("/topics/{topic}"), topic).await;
    }
    assert_eq!(data(&page(&hub.address, "/topics?topic=a&topic=b/*").await), ["a", "b/c", "b/e", "a"]);
    assert_eq!(data(&page(&hub.address, "/topics?topic=*").await), ["a", "b/c", "d", "b/e", "a"]);
}

#[tokio::test]
async fn limits_are_whole_numbers_in_their_range() {
    let hub = HubProcess::start(&[]);
    for target in [
        "limit=0",
        "limit=1001",
        "limit=-1",
        "limit=x",
        "limit=",
        "limit=1.5",
        "wait=61",
        "wait=-1",
        "wait=x",
    ] {
        let answer = ask(&hub.address, "GET", &format!("/topics/a?{target}"), &[JSON], "").await;
        answer.refusal(400, target.split('=').next().unwrap_or_default());
    }
    for target in ["limit=1", "limit=1000", "wait=0"] {
        page(&hub.address, &format!("/topics/a?{target}")).await;
    }
}

#[tokio::test]
async fn a_page_tells_a_gap() {
    let hub = HubProcess::start(&["--max-updates", "5"]);
    let one = say(&hub.address, "/topics/a", "1").await;
    publish_numbers(&hub, "/topics/a", 10).await;
    for (asked, reason) in [(one.as_str(), "evicted"), ("unknown", "unknown-id")] {
        let answer = ask(&hub.address, "GET", &format!("/topics/a?from={asked}"), &[JSON], "").await;
        let page = answer.json();
        assert_eq!(data(&page), ["5", "6", "7", "8", "9"], "{asked}");
        let first = page["updates"][0]["id"].clone();
        assert_eq!(
            page["gap"],
            serde_json::json!({ "asked": asked, "reason": reason, "first": first }),
            "{asked}"
        );
        assert_eq!(answer.header("tidings-resume"), Some("gap"));
        let next = page["next"].as_str().expect("a place");
        let after = crate::support::wire::page(&hub.address, &format!("/topics/a?from={next}")).await;
        assert!(after.get("gap").is_none(), "it is told once: {after}");
    }
}

#[tokio::test]
async fn an_empty_page_tells_its_gap_once_too() {
    let hub = HubProcess::start(&["--max-updates", "5"]);
    let one = say(&hub.address, "/topics/b", "1").await;
    say(&hub.address, "/topics/a", "lost").await;
    publish_numbers(&hub, "/topics/b", 10).await;
    let told = page(&hub.address, &format!("/topics/a?from={one}")).await;
    assert_eq!((data(&told).len(), &told["gap"]["reason"]), (0, &"evicted".into()), "{told}");
    let next = told["next"].as_str().expect("a place");
    let after = page(&hub.address, &format!("/topics/a?from={next}")).await;
    assert!(after.get("gap").is_none(), "{after}");
}

#[tokio::test]
async fn a_long_poll_answers_when_an_update_comes() {
    let hub = HubProcess::start(&[]);
    let next = page(&hub.address, "/topics/a").await["next"].as_str().expect("a place").to_owned();
    let mut poll = Wire::connect(&hub.address).await;
    poll.write(head(&hub.address, "GET", &format!("/topics/a?wait=60&from={next}"), &[JSON])).await;
    // An update that does not match does not end it.
    say(&hub.address, "/topics/b", "other").await;
    say(&hub.address, "/topics/a", "1").await;
    let page = poll.answer().await.json();
    assert_eq!(data(&page), ["1"]);
    let mut poll = Wire::connect(&hub.address).await;
    let next = page["next"].as_str().expect("a place");
    poll.write(head(&hub.address, "GET", &format!("/topics/a?wait=60&from={next}"), &[JSON])).await;
    say(&hub.address, "/topics/a", "2").await;
    assert_eq!(data(&poll.answer().await.json()), ["2"]);
}

#[tokio::test]
async fn a_long_poll_answers_at_once_with_what_is_there() {
    let hub = HubProcess::start(&[]);
    say(&hub.address, "/topics/a", "1").await;
    // `page` waits less than the poll may.
    assert_eq!(data(&page(&hub.address, "/topics/a?wait=60").await), ["1"]);
}

#[tokio::test]
async fn a_long_poll_ends_after_its_time() {
    let hub = HubProcess::start(&[]);
    let started = Instant::now();
    let empty = page(&hub.address, "/topics/a?wait=1").await;
    assert!(started.elapsed() >= Duration::from_millis(900), "{:?}", started.elapsed());
    assert_eq!(data(&empty), [""; 0]);
    say(&hub.address, "/topics/a", "1").await;
    let next = empty["next"].as_str().expect("a place");
    assert_eq!(data(&page(&hub.address, &format!("/topics/a?from={next}")).await), ["1"]);
}

#[tokio::test]
async fn a_long_poll_from_the_end_misses_nothing_between_polls() {
    let hub = HubProcess::start(&[]);
    say(&hub.address, "/topics/a", "before").await;
    let mut next =
        page(&hub.address, "/topics/a?from=end").await["next"].as_str().expect("a place").to_owned();
    for round in 0..20 {
        let expected = [format!("{round} a"), format!("{round} b")];
        say(&hub.address, "/topics/a", &expected[0]).await;
        say(&hub.address, "/topics/a", &expected[1]).await;
        let page = page(&hub.address, &format!("/topics/a?wait=60&from={next}")).await;
        assert_eq!(data(&page), expected);
        page["next"].as_str().expect("a place").clone_into(&mut next);
    }
}

#[tokio::test]
async fn a_close_ends_a_long_poll() {
    let hub = HubProcess::start(&[]);
    let mut poll = Wire::connect(&hub.address).await;
    poll.write(head(&hub.address, "GET", "/topics/a?wait=60", &[JSON])).await;
    say(&hub.address, "/topics/a?close=done", "").await;
    let page = poll.answer().await.json();
    assert_eq!(page["closed"], true, "{page}");
}

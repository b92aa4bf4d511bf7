//! How much is kept: by age, number and size, of everything and of some topics.

use crate::{
    History, kept,
    support::{
        program::program,
        wire::{NDJSON, Stream, ask, post, say},
    },
    until_kept,
};

#[tokio::test]
async fn records_beyond_their_age_are_evicted_and_only_subscribers_that_miss_them_are_told_once() {
    let history = History::new();
    let hub = history.serve(&["--retain", "a/*=1s"]);
    let address = &*hub.address;
    let mut live = Stream::live(address, "/topics/a/*").await;
    let other = say(address, "/topics/b", "0").await;
    let first = say(address, "/topics/a/1", "1").await;
    let second = say(address, "/topics/a/1", "2").await;
    say(address, "/topics/b", "3").await;
    assert_eq!(live.data(2).await, ["1", "2"]);
    until_kept(&hub, "*", &["0", "3"]).await;

    // The one that was there, the one that has seen all, and the one that asks for something else.
    let mut seen_all = Stream::resume(address, "/topics/a/*", &second).await;
    assert_eq!(seen_all.verdict(), Some("resumed"));
    let mut elsewhere = Stream::resume(address, "/topics/b", &other).await;
    assert_eq!(elsewhere.verdict(), Some("resumed"));
    assert_eq!(elsewhere.data(1).await, ["3"]);
    let mut missing = Stream::resume(address, "/topics/a/*", &first).await;
    let gap = missing.event().await;
    assert_eq!((&*gap.event_type, gap.json()["reason"].as_str()), ("gap", Some("evicted")));
    let mut told = Stream::resume(address, "/topics/a/*", &gap.id).await;
    assert_eq!(told.verdict(), Some("resumed"));

    say(address, "/topics/a/2", "4").await;
    for stream in [&mut live, &mut seen_all, &mut missing, &mut told] {
        assert_eq!(stream.data(1).await, ["4"]);
    }
}

#[tokio::test]
async fn each_topic_falls_under_its_most_specific_rule() {
    let history = History::new();
    let arguments = [
        "--retain", "*=6", "--retain", "a/*=3", "--retain", "a/b=2", "--retain", "a/c/*=8", "--retain",
        "d=1KiB",
    ];
    let hub = history.serve(&arguments);
    for number in 0..10 {
        for topic in ["x", "y", "a/b", "a/b/c", "a/c/1", "d"] {
            let filler = if topic == "d" { "x".repeat(300) } else { String::new() };
            say(&hub.address, &format!("/topics/{topic}"), &format!("{number}{filler}")).await;
        }
    }
    drop(hub);
    let hub = history.serve(&arguments);
    for (topic, expected) in [
        ("x", &["7", "8", "9"][..]),
        ("y", &["7", "8", "9"]),
        ("a/b", &["8", "9"]),
        ("a/b/c", &["7", "8", "9"]),
        ("a/c/1", &["2", "3", "4", "5", "6", "7", "8", "9"]),
    ] {
        assert_eq!(kept(&hub, topic).await, expected, "{topic}");
    }
    let d = kept(&hub, "d").await;
    assert!((1..=3).contains(&d.len()) && d.last().unwrap().starts_with('9'), "{d:?}");
}

#[tokio::test]
async fn a_full_history_loses_its_oldest_updates_by_number_and_by_size() {
    for (arguments, most) in [(["--max-updates", "100"], 100), (["--max-history", "1MiB"], 450)] {
        let history = History::new();
        let hub = history.serve(&arguments);
        let lines: String =
            (0..700).map(|number| format!("{{\"data\": \"{number} {}\"}}\n", "x".repeat(2000))).collect();
        assert_eq!(post(&hub.address, "/topics/t", NDJSON, lines).await.status(), 200);
        drop(hub);
        let hub = history.serve(&arguments);
        // A batch is evicted in the background.
        let mut left = kept(&hub, "t").await;
        for _ in 0..3000 {
            if left.len() <= most {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            left = kept(&hub, "t").await;
        }
        assert!((most * 9 / 10..=most).contains(&left.len()), "{arguments:?}: {}", left.len());
        let numbers: Vec<usize> =
            left.iter().map(|data| data.split(' ').next().unwrap().parse().unwrap()).collect();
        assert_eq!(numbers, (700 - left.len()..700).collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn other_rules_after_a_restart_count_what_is_there() {
    let history = History::new();
    let hub = history.serve(&[]);
    for number in 0..20 {
        for topic in ["b", "a", "c/1"] {
            say(&hub.address, &format!("/topics/{topic}"), &number.to_string()).await;
        }
    }
    drop(hub);
    let hub = history.serve(&["--retain", "a=2", "--retain", "b=3", "--retain", "c/*=4"]);
    until_kept(&hub, "a", &["18", "19"]).await;
    until_kept(&hub, "b", &["17", "18", "19"]).await;
    until_kept(&hub, "c/1", &["16", "17", "18", "19"]).await;
    drop(hub);
    // One rule less, and one wider.
    let hub = history.serve(&["--retain", "a=4", "--retain", "c/*=3"]);
    for number in 20..25 {
        for topic in ["a", "b", "c/1"] {
            say(&hub.address, &format!("/topics/{topic}"), &number.to_string()).await;
        }
    }
    until_kept(&hub, "a", &["21", "22", "23", "24"]).await;
    until_kept(&hub, "b", &["17", "18", "19", "20", "21", "22", "23", "24"]).await;
    until_kept(&hub, "c/1", &["22", "23", "24"]).await;
}

#[tokio::test]
async fn a_close_outlives_every_rule_and_is_told_after_restarts() {
    let history = History::new();
    let rules = ["--retain", "a=1", "--max-updates", "3"];
    let hub = history.serve(&rules);
    let seen = say(&hub.address, "/topics/a", "1").await;
    say(&hub.address, "/topics/a", "2").await;
    say(&hub.address, "/topics/a?close=over", "").await;
    for number in 0..10 {
        say(&hub.address, "/topics/b", &number.to_string()).await;
    }
    drop(hub);
    for _ in 0..2 {
        let hub = history.serve(&rules);
        let address = &*hub.address;
        assert_eq!(ask(address, "GET", "/topics/a", &[], "").await.status(), 204);
        assert_eq!(post(address, "/topics/a", crate::support::wire::TEXT, "3").await.status(), 409);
        for from in ["?from=start", ""] {
            let headers = [("last-event-id", &*seen)];
            let headers = if from.is_empty() { &headers[..] } else { &[] };
            let mut stream = Stream::open(address, &format!("/topics/a{from}"), headers).await;
            let events = stream.rest().await;
            let close = events.last().unwrap();
            assert_eq!((&*close.event_type, &*close.data), ("close", "over"), "{events:?}");
            assert_eq!(events.len(), if from.is_empty() { 2 } else { 1 }, "{events:?}");
            let answer = ask(address, "GET", "/topics/a", &[("last-event-id", &close.id)], "").await;
            assert_eq!(answer.status(), 204);
        }
    }
}

#[tokio::test]
async fn two_rules_for_the_same_topics_are_refused() {
    for memory in [&["--memory"][..], &["--data", "never-begun"]] {
        let mut command = program();
        command
            .args(["serve", "--listen", "127.0.0.1:0", "--retain", "a=7d", "--retain", "a=1000"])
            .args(memory);
        let outcome = command.output().unwrap();
        let said = String::from_utf8(outcome.stderr).unwrap();
        assert_eq!(outcome.status.code(), Some(64), "{said}");
        assert!(said.contains("two rules") && said.contains("'a'"), "{said}");
    }
}

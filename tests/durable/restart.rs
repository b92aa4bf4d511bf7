//! What the end of a process leaves: kill -9 under both durabilities, and repeated publishes afterwards.

use crate::{
    History, kept,
    support::{
        HubProcess,
        wire::{Answer, NDJSON, TEXT, ask, say},
    },
    until_kept,
};

async fn keyed(hub: &HubProcess, target: &str, key: &str, data: &str) -> Answer {
    ask(&hub.address, "POST", target, &[TEXT, ("idempotency-key", key)], data).await
}

#[tokio::test]
async fn what_was_acknowledged_survives_kill_9_under_every_durability() {
    for durability in [
        &["--durability", "write", "--sync-every", "50ms"][..],
        &["--durability", "write", "--sync-every", "1h"],
        &[],
    ] {
        let history = History::new();
        let mut expected = Vec::new();
        for round in 0..5 {
            let hub = history.serve(durability);
            assert_eq!(kept(&hub, "a").await, expected, "{durability:?}");
            for number in 0..20 {
                let data = format!("{round} {number}");
                say(&hub.address, "/topics/a", &data).await;
                expected.push(data);
            }
            // Dropping it is SIGKILL.
        }
    }
}

#[tokio::test]
async fn repeating_a_publish_after_a_restart_appends_nothing_whether_it_is_kept_or_not() {
    let history = History::new();
    let rules = ["--retain", "short=1"];
    let hub = history.serve(&rules);
    let first = keyed(&hub, "/topics/long", "k", "x").await.json();
    let own = ask(&hub.address, "POST", "/topics/long?id=own", &[TEXT], "y").await.json();
    let lines = "{\"data\": \"1\"}\n{\"data\": \"2\"}\n";
    let headers = [NDJSON, ("idempotency-key", "many")];
    let many = ask(&hub.address, "POST", "/topics/long", &headers, lines).await.json();
    let short = keyed(&hub, "/topics/short", "s", "x").await.json();
    drop(hub);

    let hub = history.serve(&rules);
    assert_eq!(keyed(&hub, "/topics/long", "k", "x").await.json(), first);
    assert_eq!(ask(&hub.address, "POST", "/topics/long?id=own", &[TEXT], "y").await.json(), own);
    assert_eq!(ask(&hub.address, "POST", "/topics/long", &headers, lines).await.json(), many);
    assert_eq!(keyed(&hub, "/topics/short", "s", "x").await.json(), short);
    keyed(&hub, "/topics/long", "k", "another").await.refusal(422, "k");
    ask(&hub.address, "POST", "/topics/long?id=own", &[TEXT], "another").await.refusal(409, "own");
    assert_eq!(kept(&hub, "long").await, ["x", "y", "1", "2"]);
    say(&hub.address, "/topics/short", "next").await;
    until_kept(&hub, "short", &["next"]).await;
    drop(hub);

    // Its update is gone, and what the key was for is remembered.
    let hub = history.serve(&rules);
    assert_eq!(keyed(&hub, "/topics/short", "s", "x").await.json(), short);
    keyed(&hub, "/topics/short", "s", "another").await.refusal(422, "\"s\"");
    assert_eq!(keyed(&hub, "/topics/long", "k", "x").await.json(), first);
    assert_eq!(kept(&hub, "short").await, ["next"]);
}

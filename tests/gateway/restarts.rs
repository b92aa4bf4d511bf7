//! A gateway that stops or is killed while its model still talks.

use scripted_server::{Server, stream};

use crate::{
    model::*,
    support::{
        HubProcess,
        wire::{self, Stream},
    },
};

/// A model that says two tokens, and then holds the line.
async fn slow_model() -> Server {
    model(|| stream().send(token("a")).send(token("b")).hold()).await
}

fn on_disk(address: &str, model: &Server, data: &str) -> HubProcess {
    HubProcess::start_on(address, &["--data", data, "--upstream", &model.url("")])
}

#[tokio::test]
async fn a_kill_keeps_what_was_received_and_tells_readers_that_the_rest_is_lost() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().to_str().unwrap();
    for (path, says) in [(CHAT, "message"), (MESSAGES, "error"), (RESPONSES, "error")] {
        let model = slow_model().await;
        let hub = on_disk("127.0.0.1:0", &model, data);
        let mut answering = ask(&hub, path).await;
        let seen = answering.stream.data(2).await;
        let address = hub.address.clone();
        drop(hub);

        let hub = on_disk(&address, &model, data);
        let (mut events, reason) = without_close(watch(&hub, &answering.location, None).await.rest().await);
        let error = events.pop().expect("the error comes before the close");
        assert_eq!((error.event_type.as_str(), &*reason), (says, "gateway_restart"), "{path}");
        assert_eq!(error.json()["error"]["code"], "gateway_restart");
        if path == RESPONSES {
            assert_eq!(error.json()["sequence_number"], 2, "it counts on");
        }
        let kept: Vec<_> = events.iter().map(|event| event.data.clone()).collect();
        assert_eq!(kept, seen, "what was delivered is kept, once");
    }
}

#[tokio::test]
async fn a_finished_answer_is_read_after_a_restart_and_a_running_one_is_not_ended_by_it() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().to_str().unwrap();
    let model = saying(chat(2)).await;
    let hub = on_disk("127.0.0.1:0", &model, data);
    let mut answering = ask(&hub, CHAT).await;
    answering.stream.rest().await;
    let address = hub.address.clone();
    drop(hub);

    let hub = on_disk(&address, &model, data);
    let mut new = ask(&hub, CHAT).await;
    assert_eq!(text(&new.stream.rest().await), chat(2));
    for location in [&answering.location, &new.location] {
        let (events, reason) = without_close(watch(&hub, location, None).await.rest().await);
        assert_eq!((text(&events), &*reason), (chat(2), "complete"));
    }
}

#[cfg(unix)]
#[tokio::test]
async fn a_gateway_that_stops_tells_sdks_and_readers_before_it_goes() {
    let model = slow_model().await;
    let hub = gateway(&model, &[]);
    let mut answering = ask(&hub, CHAT).await;
    let mut watching = watch(&hub, &answering.location, None).await;
    assert_eq!((answering.stream.data(2).await.len(), watching.data(2).await.len()), (2, 2));
    let stopped = std::process::Command::new("kill").arg(hub.id().to_string()).status().unwrap();
    assert!(stopped.success());

    let events = answering.stream.rest().await;
    assert_eq!(events.len(), 1, "an error, so that the part is not taken for the whole: {events:?}");
    assert_eq!(events[0].json()["error"]["code"], "gateway_restart");
    let (_, reason) = without_close(watching.rest().await);
    assert_eq!(reason, "gateway_restart");
    model.all_closed().await;
}

#[tokio::test]
async fn a_stream_of_a_history_that_is_gone_is_not_waited_for() {
    let model = saying(chat(1)).await;
    let start = || {
        let mut command = crate::support::program::program();
        command.args(["serve", "--listen", "127.0.0.1:0", "--memory", "--upstream", &model.url("")]);
        command.args(["--stream-secret-env", "SECRET"]).env("SECRET", "sixteen or more bytes");
        HubProcess::spawn(command)
    };
    let hub = start();
    let answering = ask(&hub, CHAT).await;
    drop(hub);
    let hub = start();
    let answer = wire::ask(&hub.address, "GET", &answering.location, &[], "").await;
    answer.refusal(404, "no such stream");
}

#[tokio::test]
async fn a_reader_that_comes_before_the_cut_streams_are_ended_does_not_hang() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().to_str().unwrap();
    let model = slow_model().await;
    let hub = on_disk("127.0.0.1:0", &model, data);
    let mut answers = Vec::new();
    for _ in 0..30 {
        let mut answering = ask(&hub, CHAT).await;
        let last = answering.stream.event().await.id;
        answers.push((answering.location, last));
    }
    let address = hub.address.clone();
    drop(hub);
    let hub = on_disk(&address, &model, data);
    // The last one is ended last.
    for (location, last) in answers.iter().rev() {
        let mut stream: Stream = watch(&hub, location, Some(last)).await;
        assert_eq!(without_close(stream.rest().await).1, "gateway_restart");
    }
}

//! The rights to read a stream and to stop it.

use scripted_server::stream;

use crate::{
    model::*,
    support::{
        HubProcess,
        program::program,
        wire::{self, Stream},
    },
};

fn token_of(location: &str) -> &str {
    location.split_once("?token=").expect("a location has its token").1
}

#[tokio::test]
async fn a_token_of_one_stream_opens_no_other() {
    let model = saying(chat(2)).await;
    let hub = gateway(&model, &[]);
    let (a, b) = (ask(&hub, CHAT).await, ask(&hub, CHAT).await);
    let (a_read, b_read) = (token_of(&a.location), token_of(&b.location));
    for token in [a_read, &a.stop, "", "x", &b_read[1..], &b_read.replace(char::is_alphanumeric, "A")] {
        let target = format!("/streams/{}?token={token}", b.id);
        for method in ["GET", "DELETE"] {
            wire::ask(&hub.address, method, &target, &[], "").await.refusal(403, "token");
        }
    }
    let target = format!("/streams/{}", b.id);
    wire::ask(&hub.address, "GET", &target, &[], "").await.refusal(403, "token");
    wire::ask(&hub.address, "DELETE", &b.location, &[], "").await.refusal(403, "only allows reading");
    wire::ask(&hub.address, "GET", "/streams/nothing?token=x", &[], "").await.refusal(404, "stream");
    let bearer = format!("Bearer {b_read}");
    let mut opened = Stream::open(&hub.address, &target, &[("authorization", &bearer)]).await;
    assert_eq!(text(&without_close(opened.rest().await).0), chat(2), "a header does as well as the query");
}

#[tokio::test]
async fn an_id_of_one_stream_is_unknown_to_another() {
    let model = saying(chat(2)).await;
    let hub = gateway(&model, &[]);
    let (mut a, mut b) = (ask(&hub, CHAT).await, ask(&hub, CHAT).await);
    let of_a = a.stream.rest().await;
    let of_b = b.stream.rest().await;
    // One of its own with another check, as of a log that was set back and grew again.
    let (place, _) = of_b[0].id.split_at(20);
    for id in [&*of_a[0].id, &format!("{place}AAAAA"), "~", "1"] {
        let mut watching = watch(&hub, &b.location, Some(id)).await;
        assert_eq!(watching.verdict(), Some("gap"), "{id}");
        let gap = watching.event().await;
        assert_eq!((&*gap.event_type, &gap.json()["asked"]), ("gap", &id.into()));
        let (events, _) = without_close(watching.rest().await);
        assert_eq!(events, of_b, "all of its own, and nothing of another");
        // A reader that was cut just after the gap is not told again.
        assert_eq!(watch(&hub, &b.location, Some(&gap.id)).await.verdict(), Some("resumed"));
    }
}

#[tokio::test]
async fn streams_are_neither_read_nor_written_as_topics() {
    let model = model(|| stream().send(token("secret")).hold()).await;
    let hub = gateway(&model, &[]);
    let mut answering = ask(&hub, CHAT).await;
    answering.stream.event().await;
    let topic = format!("/topics/llm/{}", answering.id);
    for target in
        [&*topic, "/topics/llm/started", "/topics/llm/*", "/topics?topic=a&topic=llm/x", "/topics/llm"]
    {
        wire::ask(&hub.address, "GET", target, &[], "").await.refusal(403, "/streams/");
        wire::ask(&hub.address, "GET", target, &[wire::JSON], "").await.refusal(403, "/streams/");
    }
    for target in [&*topic, "/topics/llm/started", "/topics/llm", "/topics/llm%2Fx"] {
        wire::post(&hub.address, target, wire::TEXT, "forged").await.refusal(403, "reserved");
        wire::post(&hub.address, target, wire::NDJSON, "{\"data\":\"forged\"}")
            .await
            .refusal(403, "reserved");
    }
    let mut everything = Stream::open(&hub.address, "/topics?topic=*&from=start", &[]).await;
    wire::say(&hub.address, "/topics/news", "public").await;
    assert_eq!(everything.event().await.data, "public", "a pattern does not find them");
    let page = wire::page(&hub.address, "/topics?topic=*").await;
    assert_eq!(wire::data(&page), ["public"]);
}

#[tokio::test]
async fn a_file_for_a_reserved_topic_is_refused_before_it_comes_and_leaves_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let model = saying(chat(1)).await;
    let hub = gateway(&model, &["--data", directory.path().to_str().unwrap()]);
    let png = ("content-type", "image/png");
    for target in ["/topics/llm/x", "/topics/llm"] {
        let mut waiting = wire::Wire::connect(&hub.address).await;
        waiting.write(wire::head(&hub.address, "POST", target, &[png, ("content-length", "5")])).await;
        waiting.answer().await.refusal(403, "reserved");
        wire::post(&hub.address, target, png, "image").await.refusal(403, "reserved");
    }
    let files = std::fs::read_dir(directory.path().join("attachments")).unwrap();
    let files: Vec<_> = files.map(|entry| entry.unwrap().file_name()).collect();
    assert!(files.is_empty(), "{files:?}");
}

#[tokio::test]
async fn a_token_ends_with_its_lifetime() {
    let model = saying(chat(1)).await;
    let hub = gateway(&model, &["--stream-token-lifetime", "0s"]);
    let answering = ask(&hub, CHAT).await;
    wire::ask(&hub.address, "GET", &answering.location, &[], "").await.refusal(403, "expired");
}

#[tokio::test]
async fn keys_of_providers_stay_in_the_gateway_and_out_of_its_log() {
    let model = saying(chat(1)).await;
    let mut command = program();
    let upstream = model.url("/v1");
    command.args(["serve", "--listen", "127.0.0.1:0", "--memory", "-vv", "--upstream", &upstream]);
    command.args(["--upstream-key-env", "TEST_KEY"]).env("TEST_KEY", "sk-provider");
    let hub = crate::support::HubProcess::spawn(command);
    let client = [("authorization", "Bearer of-the-client"), ("x-api-key", "of-the-client")];
    let mut answering = ask_with(&hub, CHAT, &client, ASK).await;
    answering.stream.rest().await;
    ask_with(&hub, MESSAGES, &client, ASK).await;
    let asked = model.requests();
    assert_eq!(asked[0].header("authorization"), Some("Bearer sk-provider"));
    assert_eq!(asked[0].header("x-api-key"), None);
    assert_eq!(asked[1].header("x-api-key"), Some("sk-provider"));
    assert_eq!(asked[1].header("authorization"), None);
    assert!(asked[1].header("anthropic-version").is_some());
    assert_eq!(asked[0].line, format!("POST {CHAT} HTTP/1.1"), "a /v1 is not doubled");
}

#[tokio::test]
async fn neither_keys_nor_tokens_are_logged() {
    let model = model(|| stream().send(token("a"))).await;
    let directory = tempfile::tempdir().unwrap();
    let log = directory.path().join("log");
    let mut hub = program()
        .args(["serve", "--listen", "127.0.0.1:0", "--memory", "-vv", "--upstream", &model.url("")])
        .args(["--upstream-key-env", "KEY", "--stream-secret-env", "SECRET"])
        .envs([("KEY", "sk-provider"), ("SECRET", "the secret of all tokens")])
        .stderr(std::fs::File::create(&log).unwrap())
        .spawn()
        .unwrap();
    let said = || std::fs::read_to_string(&log).unwrap();
    let address = loop {
        let said = said();
        match said.split_once("listens on http://").and_then(|(_, rest)| rest.split_once('\n')) {
            Some((address, _)) => break address.to_owned(),
            None => tokio::time::sleep(std::time::Duration::from_millis(5)).await,
        }
    };
    let body = r#"{"stream":true,"messages":["a prompt"]}"#;
    let headers =
        [("content-type", "application/json"), ("idempotency-key", "a-key"), ("x-api-key", "of-the-client")];
    let length = body.len().to_string();
    let mut wire = wire::Wire::connect(&address).await;
    let all = [&headers[..], &[("content-length", &*length)]].concat();
    wire.write(wire::head(&address, "POST", CHAT, &all) + body).await;
    let mut answering = Stream::read(wire).await;
    let named = |name| wire::header(&answering.head, name).unwrap().to_owned();
    let (location, stop) = (named("location"), named("tidings-stop-token"));
    answering.rest().await;
    Stream::open(&address, &location, &[]).await.rest().await;
    wire::ask(&address, "DELETE", &location, &[], "").await.refusal(403, "only allows reading");
    hub.kill().unwrap();
    hub.wait().unwrap();
    let said = said();
    assert!(said.contains("refused"), "it does log: {said}");
    for secret in
        ["sk-provider", "the secret", "of-the-client", "a-key", "a prompt", token_of(&location), &stop]
    {
        assert!(!said.contains(secret), "{secret} in {said}");
    }
}

#[tokio::test]
async fn a_client_without_a_token_is_not_told_who_reads_an_answer() {
    let model = model(|| stream().send(token("a")).hold()).await;
    let hub = gateway(&model, &[]);
    let mut answering = ask(&hub, CHAT).await;
    answering.stream.event().await;
    let mut reading = watch(&hub, &answering.location, None).await;
    reading.event().await;
    let mut other = Stream::live(&hub.address, "/topics/a").await;
    let answer = survey(&hub, |answer| !listed(&answer["behind"]).is_empty()).await;
    assert_eq!((&answer["subscribers"], listed(&answer["behind"])), (&3.into(), vec!["a"]));

    wire::ask(
        &hub.address,
        "DELETE",
        &format!("/streams/{}?token={}", answering.id, answering.stop),
        &[],
        "",
    )
    .await;
    reading.rest().await;
    answering.stream.rest().await;
    wire::say(&hub.address, "/topics/a?close=over", "").await;
    other.rest().await;
    let answer =
        survey(&hub, |answer| answer["subscribers"] == 0 && !listed(&answer["ended"]).is_empty()).await;
    assert_eq!(listed(&answer["ended"]), ["a"]);
}

fn listed(list: &serde_json::Value) -> Vec<&str> {
    let all = list.as_array().expect("a list").iter();
    all.map(|one| one["topics"][0].as_str().expect("a name")).collect()
}

/// Asks who lags until the answer is as wanted.
async fn survey(hub: &HubProcess, wanted: impl Fn(&serde_json::Value) -> bool) -> serde_json::Value {
    let deadline = std::time::Instant::now() + wire::PATIENCE;
    loop {
        let answer = wire::page(&hub.address, "/subscribers").await;
        if wanted(&answer) {
            return answer;
        }
        assert!(std::time::Instant::now() < deadline, "it never says so: {answer}");
        tokio::task::yield_now().await;
    }
}

//! Every path of an update asks the grant.

use super::*;

#[tokio::test]
async fn publishing_takes_the_right_for_the_topic_in_every_kind_of_body() {
    let setup = Setup::in_memory().await;
    let kinds = [
        ("text/plain", "x"),
        ("application/x-ndjson", "{\"data\":\"x\"}\n"),
        ("text/event-stream", "data: x\n\n"),
        ("image/png", "x"),
    ];
    for (kind, body) in kinds {
        let content_type = format!("Content-Type: {kind}\r\n");
        let post = |path, user| ask_with(&setup, "POST", path, Some(user), &content_type, body.as_bytes());
        post("/topics/invoices/7", "alice").await.refusal(403, &["chat/*", "\"invoices/7\""]);
        post("/topics/chat", "alice").await.refusal(403, &["\"chat\""]);
        post("/topics/chat/1", "reader").await.refusal(403, &["may not publish to any topic"]);
        let more = format!("Content-Length: 1000\r\n{content_type}");
        let mut unsent = send(&setup, &head("POST", "/topics/invoices/7", Some("alice"), &more), b"").await;
        let mut first = [0; 12];
        soon("a refusal before the body", unsent.read_exact(&mut first)).await.unwrap();
        assert_eq!(&first, b"HTTP/1.1 403", "{kind}");
        if kind != "image/png" {
            assert_eq!(post("/topics/chat/1", "alice").await.status(), 200, "{kind}");
            assert_eq!(post("/topics/invoices/7", "backend").await.status(), 200, "{kind}");
        }
    }
    let close = ask(&setup, "POST", "/topics/news/1?close=over", Some("alice"), b"").await;
    close.refusal(403, &["\"news/1\""]);
    assert_eq!(history(&setup, "topic=*", "auditor").await.page(), ["x"; 6], "what was refused is not there");
}

#[tokio::test]
async fn a_subscriber_gets_what_it_may_read_replayed_and_live_and_private_updates_by_right_alone() {
    let setup = Setup::in_memory().await;
    for round in ["old", "new"] {
        let mut streams = Vec::new();
        for user in ["alice", "bob", "reader", "auditor"] {
            streams.push((user, Stream::open(&setup, "topic=*&from=start", user).await));
        }
        for (topic, is_private) in [
            ("news/1", false),
            ("news/1", true),
            ("users/alice/1", true),
            ("users/bob/1", false),
            ("other", false),
        ] {
            let kind = if is_private { "private" } else { "public" };
            setup.say(topic, &format!("{round} {kind} {topic}"), is_private).await;
        }
        setup.say("news/1", &format!("{round} end"), false).await;
        for (user, stream) in &mut streams {
            let expected: &[&str] = match *user {
                "alice" => &["public news/1", "private users/alice/1"],
                "bob" => &["public news/1", "public users/bob/1"],
                "reader" => &["public news/1", "public users/bob/1", "public other"],
                _ => &[
                    "public news/1",
                    "private news/1",
                    "private users/alice/1",
                    "public users/bob/1",
                    "public other",
                ],
            };
            let rounds = if round == "old" { &["old"][..] } else { &["old", "new"] };
            let per_round = |round: &&str| {
                let data = expected.iter().map(|data| format!("data: {round} {data}"));
                data.chain([format!("data: {round} end")]).collect::<Vec<_>>()
            };
            let expected: Vec<_> = rounds.iter().flat_map(per_round).collect();
            let read = stream.up_to(&format!("{round} end")).await;
            let data: Vec<_> = read.lines().filter(|line| line.starts_with("data: ")).collect();
            assert_eq!(data, expected, "{user}");
        }
    }
}

#[tokio::test]
async fn a_subscription_that_is_narrowed_says_so_and_one_to_what_may_not_be_read_is_refused() {
    let setup = Setup::in_memory().await;
    let mut all = Stream::open(&setup, "topic=*", "alice").await;
    let read = all.up_to("event: start").await;
    assert!(read.contains("tidings-access: token, partial\r\n"), "{read}");
    assert!(all.up_to("\n\n").await.contains("\"access\":\"partial\""));
    let mut own = Stream::open(&setup, "topic=users/alice/*&topic=news/1", "alice").await;
    let read = own.up_to("event: start").await.to_owned();
    assert!(
        read.contains("tidings-access: token\r\n") && !own.up_to("\n\n").await.contains("partial"),
        "{read}"
    );
    assert_eq!(history(&setup, "topic=*", "alice").await.header("tidings-access"), Some("token, partial"));

    for accept in ["text/event-stream", "application/json"] {
        for (query, named) in [
            ("topic=news/1&topic=users/bob/1&topic=x", "\"users/bob/1\""),
            ("topic=users/bob/*", "\"users/bob/*\""),
            ("topic=users", "\"users\""),
        ] {
            let accept = format!("Accept: {accept}\r\n");
            let path = format!("/topics?{query}&from=start");
            let answer = ask_with(&setup, "GET", &path, Some("alice"), &accept, b"").await;
            answer.refusal(403, &["news/*", "users/alice/*", named]);
        }
        let accept = format!("Accept: {accept}\r\n");
        let answer = ask_with(&setup, "GET", "/topics/news/1", Some("backend"), &accept, b"").await;
        answer.refusal(403, &["may not read any topic"]);
    }
}

#[tokio::test]
async fn a_pattern_never_ends_where_the_topics_that_are_left_of_it_are_closed() {
    let setup = Setup::in_memory().await;
    setup.say("orders/1", "first", false).await;
    let mut pattern = Stream::open(&setup, "topic=orders/*&from=start", "customer").await;
    let mut exact = Stream::open(&setup, "topic=orders/1&from=start", "customer").await;
    pattern.up_to("first").await;
    exact.up_to("first").await;
    let topic = Topic::parse("orders/1").unwrap();
    setup.hub.publish(Update::close(topic, "shipped")).await.unwrap();
    exact.up_to("0\r\n\r\n").await;
    pattern.up_to("shipped").await;
    let metrics = ask(&setup, "GET", "/metrics", Some("reader"), b"").await;
    let metrics = String::from_utf8(metrics.body).unwrap();
    assert!(metrics.contains("tidings_subscriptions_ended_total{reason=\"closed\"} 1\n"), "{metrics}");
    assert!(metrics.contains("tidings_subscriptions 1\n"), "{metrics}");

    assert_eq!(ask(&setup, "GET", "/topics/orders/1", Some("customer"), b"").await.status(), 204);
    let again = Stream::open(&setup, "topic=orders/*", "customer").await;
    assert!(again.read.starts_with("HTTP/1.1 200 "), "{}", again.read);
    let request = Request::get("/topics/orders/*?from=start").header("host", "hub.example");
    let request = request.header("authorization", "customer").body(Empty::<bytes::Bytes>::new()).unwrap();
    let mut body = setup.hub.service().call(request).await.unwrap().into_body();
    let mut read = String::new();
    while !read.contains("shipped") {
        let frame = soon("the close", body.frame()).await.unwrap().unwrap();
        read.push_str(std::str::from_utf8(frame.data_ref().unwrap()).unwrap());
    }
    let next = tokio::spawn(async move { body.frame().await.is_some() });
    let page = |query| history(&setup, query, "customer");
    assert_eq!(page("topic=orders/1&from=start").await.json()["closed"], true);
    assert_eq!(page("topic=orders/*&from=start").await.json()["closed"], Value::Null);
    let metrics = ask(&setup, "GET", "/metrics", Some("reader"), b"").await;
    let metrics = String::from_utf8(metrics.body).unwrap();
    assert!(metrics.contains("tidings_subscriptions_ended_total{reason=\"closed\"} 1\n"), "{metrics}");
    next.abort();
}

#[tokio::test]
async fn a_page_of_history_and_a_long_poll_have_what_their_reader_may_read() {
    let setup = Setup::in_memory().await;
    setup.say("users/bob/1", "bobs", true).await;
    setup.say("news/1", "secret", true).await;
    setup.say("news/1", "news", false).await;
    setup.say("users/alice/1", "alices", true).await;
    assert_eq!(history(&setup, "topic=*", "alice").await.page(), ["news", "alices"]);
    assert_eq!(history(&setup, "topic=*", "reader").await.page(), ["news"]);
    let page = history(&setup, "topic=*", "auditor").await;
    assert_eq!(page.page(), ["bobs", "secret", "news", "alices"]);
    assert_eq!(page.header("cache-control"), Some("private, no-cache"), "another user gets another page");

    let next = history(&setup, "topic=*", "alice").await.json()["next"].as_str().unwrap().to_owned();
    let poll = tokio::spawn({
        let head = head(
            "GET",
            &format!("/topics?topic=*&wait=50&from={next}"),
            Some("alice"),
            "Accept: application/json\r\nConnection: close\r\n",
        );
        let mut socket = send(&setup, &head, b"").await;
        async move {
            let mut answer = String::new();
            soon("the poll's answer", socket.read_to_string(&mut answer)).await.unwrap();
            answer
        }
    });
    // None of these is for the reader, so the poll waits on.
    setup.say("users/bob/1", "bobs second", true).await;
    setup.say("news/1", "second secret", true).await;
    setup.say("users/alice/1", "alices second", true).await;
    let answer = poll.await.unwrap();
    assert!(
        answer.contains("alices second") && !answer.contains("secret") && !answer.contains("bobs"),
        "{answer}"
    );
}

#[tokio::test]
async fn an_attachment_is_for_those_who_may_read_its_update_and_unknown_to_others() {
    let directory = tempfile::tempdir().unwrap();
    let setup = Setup::new(Arc::new(DiskLog::open(directory.path(), DiskSettings::default()).unwrap())).await;
    let content_type = "Content-Type: image/png\r\n";
    let posted =
        ask_with(&setup, "POST", "/topics/users/alice/picture", Some("backend"), content_type, b"\x89PNG")
            .await;
    let url = posted.json()["attachment"].as_str().unwrap().to_owned();
    let found = ask(&setup, "GET", &url, Some("alice"), b"").await;
    assert_eq!((found.status(), &found.body[..]), (200, &b"\x89PNG"[..]));
    let id = url.strip_prefix("/attachments/").unwrap();
    ask(&setup, "GET", &url, Some("bob"), b"").await.refusal(404, &[id]);
    ask(&setup, "GET", &url, Some("backend"), b"").await.refusal(403, &["may not read any topic"]);
}

#[tokio::test]
async fn subscribers_are_told_of_to_those_who_may_read_what_they_follow() {
    let setup = Setup::in_memory().await;
    let count = |user, topic: &str| {
        let path = format!("/subscribers?topic={topic}");
        let setup = &setup;
        async move { ask(setup, "GET", &path, Some(user), b"").await }
    };
    let _one = Stream::open(&setup, "topic=users/alice/1", "alice").await;
    let _other = Stream::open(&setup, "topic=news/1", "bob").await;
    let one = json!({ "topics": [{ "topic": "users/alice/1", "subscribers": 1 }] });
    assert_eq!(count("alice", "users/alice/1").await.json(), one);
    count("bob", "users/alice/1").await.refusal(403, &["\"users/alice/1\""]);

    let followed = |survey: &Value, member: &str| {
        let mut topics: Vec<_> =
            survey[member].as_array().unwrap().iter().map(|of| of["topics"][0].clone()).collect();
        topics.sort_by_key(Value::to_string);
        topics
    };
    for (user, expected) in [
        ("auditor", json!(["news/1", "users/alice/1"])),
        ("reader", json!(["news/1"])),
        ("alice", json!(["news/1", "users/alice/1"])),
        ("bob", json!(["news/1"])),
    ] {
        let survey = ask(&setup, "GET", "/subscribers", Some(user), b"").await.json();
        assert_eq!(json!(followed(&survey, "behind")), expected, "{user}: {survey}");
        assert_eq!(survey["subscribers"], 2);
    }
    drop((_one, _other));
    let ended = async {
        loop {
            let survey = ask(&setup, "GET", "/subscribers", Some("auditor"), b"").await.json();
            if followed(&survey, "ended").len() == 2 {
                break;
            }
        }
    };
    soon("both end", ended).await;
    let survey = ask(&setup, "GET", "/subscribers", Some("bob"), b"").await.json();
    assert_eq!(json!(followed(&survey, "ended")), json!(["news/1"]));
}

#[tokio::test]
async fn two_users_with_the_same_idempotency_key_never_get_each_others_receipt() {
    let directory = tempfile::tempdir().unwrap();
    let setup = Setup::new(Arc::new(DiskLog::open(directory.path(), DiskSettings::default()).unwrap())).await;
    // The ID of another hub's event becomes a key, too.
    let from_a_hub = format!("id: ~{}\ndata: x\n\n", "A".repeat(24));
    let lines = "{\"data\":\"x\"}\n{\"data\":\"x\"}\n";
    for (kind, body) in [
        ("text/plain", "x"),
        ("application/x-ndjson", lines),
        ("text/event-stream", &from_a_hub),
        ("image/png", "x"),
    ] {
        let post = |user, body: &str| {
            let more = format!("Content-Type: {kind}\r\nIdempotency-Key: {}\r\n", kind.replace('/', "-"));
            let (setup, body) = (&setup, body.to_owned());
            async move { ask_with(setup, "POST", "/topics/chat/1", Some(user), &more, body.as_bytes()).await }
        };
        // That of nobody, and those of two users.
        let mut receipts = Vec::new();
        for user in ["backend", "alice", "bob"] {
            let receipt = post(user, body).await;
            assert_eq!(receipt.status(), 200, "{}", receipt.json());
            receipts.push(receipt.json());
        }
        assert!(
            receipts[0] != receipts[1] && receipts[1] != receipts[2] && receipts[2] != receipts[0],
            "{receipts:?}"
        );
        for (user, receipt) in ["backend", "alice", "bob"].into_iter().zip(receipts) {
            assert_eq!(post(user, body).await.json(), receipt, "{kind} of {user} is repeated");
            let other = body.replace('x', "y");
            post(user, &other).await.refusal(422, &["idempotency key"]);
        }
    }
}

#[cfg(feature = "gateway")]
#[tokio::test]
async fn the_gateway_asks_its_upstream_for_those_with_its_right_and_its_streams_keep_their_own_tokens() {
    use scripted_server::{Server, stream};
    use tidings_hub::gateway::{GatewaySettings, Secret};

    let model = Server::start([(); 2].map(|()| stream().send("data: {}\n\ndata: [DONE]\n\n"))).await;
    let gateway = GatewaySettings::new(&model.url(""), Secret::new("a secret")).unwrap();
    let log = Arc::new(MemoryLog::default());
    let setup = Setup::of(|settings| Hub::with_gateway(log, settings, gateway)).await;
    let body = br#"{"stream":true}"#;
    for (user, status, kind) in [
        (None, 401, "authentication_error"),
        (Some("reader"), 403, "permission_error"),
        (Some("flood"), 429, "rate_limit_error"),
    ] {
        let answer = ask(&setup, "POST", "/v1/chat/completions", user, body).await;
        assert_eq!(answer.status(), status);
        assert_eq!(answer.json()["error"]["type"], kind);
        assert!(answer.json()["error"]["message"].is_string(), "{}", answer.json());
    }
    let ask_model = |user| {
        let (setup, key) = (&setup, "Idempotency-Key: k\r\n");
        async move { ask_with(setup, "POST", "/v1/chat/completions", Some(user), key, body).await }
    };
    let answer = ask_model("alice").await;
    assert_eq!(answer.status(), 200, "{}", answer.head);
    let location = answer.header("location").unwrap().to_owned();
    let asked = setup.application.asked.load(Ordering::Relaxed);
    assert_eq!(ask(&setup, "GET", &location, None, b"").await.status(), 200);
    assert_eq!(setup.application.asked.load(Ordering::Relaxed), asked, "its token is all that it needs");

    let stream_of = |answer: Answer| answer.header("tidings-stream").map(str::to_owned);
    let first = stream_of(answer);
    assert!(first.is_some());
    assert_eq!(stream_of(ask_model("alice").await), first, "a key that is repeated has the same stream");
    assert_ne!(stream_of(ask_model("backend").await), first, "another publisher's key is another key");
}

#[cfg(feature = "gateway")]
#[tokio::test]
async fn no_grant_reads_the_gateways_streams_by_a_pattern() {
    use scripted_server::{Server, stream};
    use tidings_hub::gateway::{GatewaySettings, Secret};

    let model = Server::start([stream().send("data: secret\n\ndata: [DONE]\n\n")]).await;
    let gateway = GatewaySettings::new(&model.url(""), Secret::new("a secret")).unwrap();
    let log = Arc::new(MemoryLog::default());
    let setup = Setup::of(|settings| Hub::with_gateway(log, settings, gateway)).await;
    let users = ["auditor", "operator"];
    let mut live = Vec::new();
    for user in users {
        live.push(Stream::open(&setup, "topic=*", user).await);
    }
    let answer = ask(&setup, "POST", "/v1/chat/completions", Some("backend"), br#"{"stream":true}"#).await;
    assert!(answer.status() == 200 && answer.body.ends_with(b"\r\n0\r\n\r\n"), "{}", answer.head);
    setup.say("orders/1", "private", true).await;
    for (user, mut live) in users.into_iter().zip(live) {
        let mut replayed = Stream::open(&setup, "topic=*&from=start", user).await;
        for stream in [&mut live, &mut replayed] {
            let read = stream.up_to("data: private").await;
            assert!(!read.contains("secret") && !read.contains("llm/"), "{user}: {read}");
        }
        assert_eq!(history(&setup, "topic=*", user).await.page(), ["private"], "{user}");
    }
    for accept in ["text/event-stream", "application/json"] {
        let accept = format!("Accept: {accept}\r\n");
        ask_with(&setup, "GET", "/topics?topic=*", Some("llm"), &accept, b"").await.refusal(403, &["\"*\""]);
    }
}

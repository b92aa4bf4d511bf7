//! Repeating a publish under an `Idempotency-Key` appends nothing and answers as the first time.

use crate::support::{
    HubProcess,
    wire::{Answer, EVENTS, NDJSON, TEXT, ask, data, page},
};

async fn publish(
    hub: &HubProcess,
    target: &str,
    content_type: (&str, &str),
    key: &str,
    body: &str,
) -> Answer {
    ask(&hub.address, "POST", target, &[content_type, ("idempotency-key", key)], body).await
}

#[tokio::test]
async fn repeating_one_update_appends_nothing() {
    let hub = HubProcess::start(&[]);
    let first = publish(&hub, "/topics/a", TEXT, "k", "x").await;
    let second = publish(&hub, "/topics/a", TEXT, "k", "x").await;
    assert_eq!((first.status(), second.status()), (200, 200));
    assert_eq!(first.json(), second.json());
    let other = publish(&hub, "/topics/a", TEXT, "l", "x").await;
    assert_ne!(first.json()["id"], other.json()["id"], "another key is another update");
    assert_eq!(data(&page(&hub.address, "/topics/a").await), ["x", "x"]);
}

#[tokio::test]
async fn a_key_that_is_used_again_with_other_content_is_refused() {
    let hub = HubProcess::start(&[]);
    assert_eq!(publish(&hub, "/topics/a?type=t", TEXT, "k-1", "x").await.status(), 200);
    for (target, body) in [
        ("/topics/a?type=t", "y"),
        ("/topics/a?type=u", "x"),
        ("/topics/a", "x"),
        ("/topics/a?type=t&retry=100", "x"),
    ] {
        publish(&hub, target, TEXT, "k-1", body).await.refusal(422, "k-1");
    }
    assert_eq!(data(&page(&hub.address, "/topics?topic=*").await), ["x"]);
}

#[tokio::test]
async fn a_key_that_is_used_again_with_another_id_is_refused() {
    let hub = HubProcess::start(&[]);
    assert_eq!(publish(&hub, "/topics/a?id=i", TEXT, "k-1", "x").await.status(), 200);
    for target in ["/topics/a?id=j", "/topics/a"] {
        publish(&hub, target, TEXT, "k-1", "x").await.refusal(422, "k-1");
    }
}

#[tokio::test]
async fn repeating_many_updates_appends_nothing() {
    let hub = HubProcess::start(&[]);
    for (content_type, body) in
        [(NDJSON, "{\"data\":\"1\"}\n{\"data\":\"2\"}\n"), (EVENTS, "data: 3\n\ndata: 4\n\n")]
    {
        let first = publish(&hub, "/topics/a", content_type, content_type.1, body).await;
        let second = publish(&hub, "/topics/a", content_type, content_type.1, body).await;
        assert_eq!((first.status(), first.json()), (200, second.json()));
    }
    assert_eq!(data(&page(&hub.address, "/topics/a").await), ["1", "2", "3", "4"]);
}

#[tokio::test]
async fn repeating_a_body_that_broke_appends_only_the_rest() {
    let hub = HubProcess::start(&[]);
    let broken = publish(&hub, "/topics/a", NDJSON, "k", "{\"data\":\"1\"}\n{\"data\":\"2\"}\n{\"da").await;
    assert_eq!(broken.refusal(400, "")["count"], 2);
    let whole = "{\"data\":\"1\"}\n{\"data\":\"2\"}\n{\"data\":\"3\"}\n";
    let answer = publish(&hub, "/topics/a", NDJSON, "k", whole).await.json();
    assert_eq!(answer["count"], 3, "it answers for the whole body: {answer}");
    let page = page(&hub.address, "/topics/a").await;
    assert_eq!(data(&page), ["1", "2", "3"]);
    assert_eq!(answer["first"], page["updates"][0]["id"]);
    assert_eq!(answer["last"], page["updates"][2]["id"]);
}

#[tokio::test]
async fn the_update_that_differs_in_a_repeated_body_is_refused() {
    let hub = HubProcess::start(&[]);
    let body = "{\"data\":\"1\"}\n{\"data\":\"2\"}\n";
    assert_eq!(publish(&hub, "/topics/a", NDJSON, "k", body).await.status(), 200);
    let other = publish(&hub, "/topics/a", NDJSON, "k", "{\"data\":\"1\"}\n{\"data\":\"other\"}\n").await;
    assert_eq!(other.refusal(422, "k")["line"], 2);
    assert_eq!(data(&page(&hub.address, "/topics/a").await), ["1", "2"]);
}

#[tokio::test]
async fn publishing_at_once_under_one_key_appends_one_update() {
    let hub = HubProcess::start(&[]);
    let (a, b, c, d) = tokio::join!(
        publish(&hub, "/topics/a", TEXT, "k", "x"),
        publish(&hub, "/topics/a", TEXT, "k", "x"),
        publish(&hub, "/topics/a", TEXT, "k", "x"),
        publish(&hub, "/topics/a", TEXT, "k", "x"),
    );
    for answer in [&b, &c, &d] {
        assert_eq!(answer.json(), a.json());
    }
    assert_eq!(data(&page(&hub.address, "/topics/a").await), ["x"]);
}

#[tokio::test]
async fn repeating_a_publish_is_answered_after_the_close_as_before() {
    let hub = HubProcess::start(&[]);
    let first = publish(&hub, "/topics/a", TEXT, "k", "x").await;
    let many = publish(&hub, "/topics/a", NDJSON, "l", "{\"data\":\"1\"}\n").await;
    let own = publish(&hub, "/topics/a?id=own", TEXT, "m", "y").await;
    assert_eq!(publish(&hub, "/topics/a?close=done", TEXT, "n", "").await.status(), 200);
    // Its first answer was lost on the way, and another publisher has closed the topic meanwhile.
    let again = publish(&hub, "/topics/a", TEXT, "k", "x").await;
    assert_eq!((again.status(), again.json()), (200, first.json()), "{again:?}");
    let again = publish(&hub, "/topics/a", NDJSON, "l", "{\"data\":\"1\"}\n").await;
    assert_eq!((again.status(), again.json()), (200, many.json()), "{again:?}");
    let again = publish(&hub, "/topics/a?id=own", TEXT, "m", "y").await;
    assert_eq!((again.status(), again.json()), (200, own.json()), "{again:?}");
    assert_eq!(page(&hub.address, "/topics/a").await["updates"].as_array().map(Vec::len), Some(4));
}

#[tokio::test]
async fn repeating_last_words_is_answered_as_the_first_time() {
    let hub = HubProcess::start(&[]);
    for (target, content_type, body) in [
        ("/topics/a?close=done", TEXT, "last words"),
        ("/topics/b?close=done", NDJSON, "{\"data\":\"1\"}\n{\"data\":\"2\"}\n"),
        ("/topics/c?close=done", TEXT, ""),
    ] {
        let first = publish(&hub, target, content_type, target, body).await;
        let again = publish(&hub, target, content_type, target, body).await;
        assert_eq!((first.status(), again.status()), (200, 200), "{again:?}");
        assert_eq!(again.json(), first.json());
    }
}

#[tokio::test]
async fn a_key_belongs_to_its_topic_and_is_never_the_number_of_another() {
    let hub = HubProcess::start(&[]);
    let body = "{\"data\":\"1\"}\n{\"data\":\"2\"}\n";
    for topic in ["a", "b"] {
        let target = format!("/topics/{topic}");
        for key in ["k#1", "k#2", "k"] {
            assert_eq!(publish(&hub, &target, TEXT, key, topic).await.status(), 200, "{key} of {topic}");
        }
        let first = publish(&hub, &target, NDJSON, "k", body).await;
        let again = publish(&hub, &target, NDJSON, "k", body).await;
        assert_eq!((first.status(), first.json()), (200, again.json()), "{topic}");
        let one = [topic; 3];
        assert_eq!(data(&page(&hub.address, &target).await), [&one[..], &["1", "2"]].concat());
    }
}

#[tokio::test]
async fn a_late_repeat_of_what_is_gone_appends_nothing() {
    let hub = HubProcess::start(&["--retain", "a=2"]);
    let first = publish(&hub, "/topics/a", TEXT, "k", "x").await;
    let many = publish(&hub, "/topics/a", NDJSON, "l", "{\"data\":\"1\"}\n{\"data\":\"2\"}\n").await;
    for number in 0..5 {
        publish(&hub, "/topics/a", TEXT, &format!("m{number}"), "y").await;
    }
    let again = publish(&hub, "/topics/a", TEXT, "k", "x").await;
    assert_eq!((again.status(), again.json()), (200, first.json()), "{again:?}");
    let again = publish(&hub, "/topics/a", NDJSON, "l", "{\"data\":\"1\"}\n{\"data\":\"2\"}\n").await;
    assert_eq!((again.status(), again.json()), (200, many.json()), "{again:?}");
    publish(&hub, "/topics/a", TEXT, "k", "other").await.refusal(422, "\"k\"");
    assert_eq!(data(&page(&hub.address, "/topics/a").await), ["y", "y"]);
}

#[tokio::test]
async fn a_key_is_printable_ascii() {
    let hub = HubProcess::start(&[]);
    for key in ["", "caf\u{e9}", &"k".repeat(256)] {
        publish(&hub, "/topics/a", TEXT, key, "x").await.refusal(400, "idempotency key");
    }
    assert_eq!(publish(&hub, "/topics/a", TEXT, &"k".repeat(255), "x").await.status(), 200);
}

//! A ticket opens one stream, with what the credential that got it may read then.

use super::*;

#[tokio::test]
async fn a_ticket_opens_one_stream_of_its_topics_with_their_private_updates() {
    let setup = Setup::new(|control| control).await;
    let asked = json!({ "topics": ["users/alice/*"], "for": 30 });
    let answer = setup.ask("POST", "/tickets", &bearer(&of_user("alice")), &asked.to_string()).await;
    assert_eq!((answer.status(), answer.header("cache-control")), (201, Some("no-store")), "{}", answer.body);
    let made = answer.json();
    let ticket = made["ticket"].as_str().unwrap();
    assert_eq!((&ticket[..4], ticket.len()), ("tdt_", 26));
    assert_eq!(made["url"], format!("/topics?ticket={ticket}"));
    humantime::parse_rfc3339(made["expires"].as_str().unwrap()).unwrap();

    let mut stream = Stream::open(&setup, made["url"].as_str().unwrap(), "").await;
    setup.say("users/alice/inbox", "for alice").await;
    let read = stream.up_to("for alice").await;
    assert!(read.contains("tidings-access: token") && read.contains("cache-control: private"), "{read}");
}

#[tokio::test]
async fn a_request_may_name_topics_within_the_tickets_and_no_others() {
    let setup = Setup::new(|control| control).await;
    let alice = of_user("alice");
    let asked = json!({ "topics": ["users/alice/a", "users/alice/b/*"] });
    for (topic, status) in
        [("users/alice/a", 200), ("users/alice/b/1", 200), ("users/alice/c", 403), ("news", 403), ("*", 200)]
    {
        let ticket = setup.ticket(&alice, &asked).await;
        let target = format!("/topics?topic={topic}&ticket={ticket}");
        let page = setup.ask("GET", &target, "Accept: application/json\r\n", "").await;
        assert_eq!(page.status(), status, "{topic}: {}", page.body);
    }
    let ticket = setup.ticket(&alice, &asked).await;
    let publish = setup.ask("POST", &format!("/topics/news?ticket={ticket}"), "", "x").await;
    publish.refusal(401, "credential-not-here", &["Authorization"]);
    let count = setup.ask("GET", &format!("/subscribers?topic=news&ticket={ticket}"), "", "").await;
    count.refusal(401, "credential-not-here", &["Authorization"]);
    // It opens the path of one topic as well, once.
    let target = format!("/topics/users/alice/a?ticket={ticket}");
    assert_eq!(setup.ask("GET", &target, "Accept: application/json\r\n", "").await.status(), 200);
    setup.ask("GET", &target, "", "").await.refusal(401, "ticket-not-valid", &[]);
}

#[tokio::test]
async fn a_stream_of_a_ticket_begins_where_the_ticket_says_unless_its_request_knows_better() {
    let setup = Setup::new(|control| control).await;
    let alice = of_user("alice");
    setup.say("users/alice/a", "first").await;
    setup.say("users/alice/a", "second").await;
    let page = setup
        .ask("GET", "/topics/users/alice/a", &format!("{}Accept: application/json\r\n", bearer(&alice)), "")
        .await;
    let first = page.json()["updates"][0]["id"].as_str().unwrap().to_owned();
    let asked = json!({ "topics": ["users/alice/*"], "from": first });
    let target = format!("/topics?ticket={}", setup.ticket(&alice, &asked).await);
    let read = Stream::ask(&setup, &target, "").await.up_to("second").await.to_owned();
    assert!(!read.contains("first"), "{read}");
    let target = format!("/topics?from=start&ticket={}", setup.ticket(&alice, &asked).await);
    let read = Stream::ask(&setup, &target, "").await.up_to("second").await.to_owned();
    assert!(read.contains("first"), "{read}");
}

#[tokio::test]
async fn a_second_a_late_and_an_unknown_use_are_told_the_same() {
    let setup = Setup::new(|control| control).await;
    let alice = of_user("alice");
    let asked = json!({ "topics": ["news"], "for": 1 });
    let used = setup.ticket(&alice, &asked).await;
    drop(Stream::open(&setup, &format!("/topics?ticket={used}"), "").await);
    let late = setup.ticket(&alice, &asked).await;
    let mut details = Vec::new();
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(2)).await;
    tokio::time::resume();
    for ticket in [&*used, &late, "tdt_AAAAAAAAAAAAAAAAAAAAAA", "", "x"] {
        let answer = setup.ask("GET", &format!("/topics?ticket={ticket}"), "", "").await;
        answer.refusal(401, "ticket-not-valid", &["POST /tickets"]);
        assert!(answer.header("www-authenticate").is_some_and(|way| way.contains("invalid_token")));
        details.push(answer.body);
    }
    details.dedup();
    assert_eq!(details.len(), 1, "{details:?}");
}

#[tokio::test]
async fn of_tickets_that_are_used_twice_at_once_exactly_one_use_succeeds() {
    let setup = Setup::new(|control| control).await;
    let alice = of_user("alice");
    for _ in 0..50 {
        let ticket = setup.ticket(&alice, &json!({ "topics": ["news"] })).await;
        let target = format!("/topics?ticket={ticket}");
        let page = || setup.ask("GET", &target, "Accept: application/json\r\n", "");
        let (one, other) = tokio::join!(page(), page());
        let mut statuses = [one.status(), other.status()];
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 401]);
    }
}

#[tokio::test]
async fn a_ticket_that_reconnects_comes_back_and_its_earlier_stream_ends() {
    let setup = Setup::new(|control| control).await;
    let asked = json!({ "topics": ["news"], "reconnect": true });
    let target = format!("/topics?ticket={}", setup.ticket(&of_user("alice"), &asked).await);
    let first = Stream::open(&setup, &target, "").await;
    let second = Stream::open(&setup, &target, "").await;
    assert!(first.end().await.contains("{\"reason\":\"limit\"}"));
    drop(second);
    let mut third = Stream::open(&setup, &target, "").await;
    setup.say("news", "still here").await;
    third.up_to("still here").await;
}

#[tokio::test]
async fn a_ticket_that_comes_back_opens_a_stream_again_and_nothing_else() {
    let setup = Setup::new(|control| control).await;
    let asked = json!({ "topics": ["news"], "reconnect": true });
    let ticket = setup.ticket(&of_user("alice"), &asked).await;
    let target = format!("/topics?ticket={ticket}");
    drop(Stream::open(&setup, &target, "").await);
    let page = setup.ask("GET", &target, "Accept: application/json\r\n", "").await;
    page.refusal(401, "ticket-not-valid", &[]);
    setup.ask("GET", &format!("/attachments/x?ticket={ticket}"), "", "").await.refusal(
        401,
        "ticket-not-valid",
        &[],
    );
    drop(Stream::open(&setup, &target, "").await);
}

#[tokio::test]
async fn a_ticket_in_the_name_of_somebody_else_needs_a_right_for_that() {
    let without = Setup::with(Grant::default(), |control| control).await;
    let asked = json!({ "topics": ["users/bob/*"], "sub": "bob" }).to_string();
    let backend = token(json!({ "sub": "backend", "tidings": { "read": ["users/*"] } }));
    let refused = without.ask("POST", "/tickets", &bearer(&backend), &asked).await;
    refused.refusal(403, "right-missing", &["\"tickets\""]);

    let setup = Setup::new(|control| control).await;
    let ticket = setup.ticket(&backend, &json!({ "topics": ["users/bob/*"], "sub": "bob" })).await;
    let stream = Stream::open(&setup, &format!("/topics?ticket={ticket}"), "").await;
    // The stream belongs to bob, and to the backend that got its ticket.
    assert_eq!(setup.revoke(&json!({ "sub": "bob" })).await["streams"], 1);
    assert!(stream.end().await.contains("{\"reason\":\"revoked\"}"));
}

#[tokio::test]
async fn what_no_ticket_can_be_made_of_is_refused_with_the_value_and_the_rule() {
    let setup = Setup::new(|control| control).await;
    let alice = bearer(&of_user("alice"));
    for (asked, words) in [
        (json!({}), ["missing field `topics`", "send JSON such as"]),
        (json!([]), ["send JSON such as", "topics"]),
        (json!({ "topics": [] }), ["1 to 256 topics", "0 of 0 bytes"]),
        (json!({ "topics": ["news"], "four": 1 }), ["unknown field `four`", "`for`"]),
        (json!({ "topics": ["news"], "for": 0 }), ["for is 0", "from 1 to 300"]),
        (json!({ "topics": ["news"], "for": 301 }), ["for is 301", "from 1 to 300"]),
        (json!({ "topics": ["news"], "life": 0 }), ["life is 0", "from 1 to 2592000"]),
        (json!({ "topics": ["a*b"] }), ["a*b", "*"]),
        (json!({ "topics": ["news"], "from": " x" }), ["from is \" x\"", "'start'"]),
        (json!({ "topics": ["news"], "sub": "" }), ["sub has 1 to 256 bytes", "control"]),
    ] {
        let answer = setup.ask("POST", "/tickets", &alice, &asked.to_string()).await;
        let problem = answer.json();
        assert_eq!(answer.status(), 400, "{asked}: {problem}");
        let detail = problem["detail"].as_str().unwrap();
        assert!(words.iter().all(|word| detail.contains(word)), "{asked}: {detail}");
    }
    let topics = json!({ "topics": ["users/bob/*"] }).to_string();
    setup.ask("POST", "/tickets", &alice, &topics).await.refusal(403, "read-not-granted", &["users/bob/*"]);
    let news = json!({ "topics": ["news"] }).to_string();
    setup.ask("POST", "/tickets", "", &news).await.refusal(401, "credential-missing", &[]);
    let ticket = setup.ticket(&of_user("alice"), &json!({ "topics": ["news"] })).await;
    let in_header = setup.ask("POST", "/tickets", &bearer(&ticket), &news).await;
    in_header.refusal(401, "credential-not-here", &["in the URL"]);
}

#[tokio::test]
async fn a_subject_with_a_hundred_unused_tickets_gets_no_more() {
    let setup = Setup::new(|control| control).await;
    let (alice, asked) = (of_user("alice"), json!({ "topics": ["news"] }));
    for _ in 0..100 {
        setup.ticket(&alice, &asked).await;
    }
    let refused = setup.ask("POST", "/tickets", &bearer(&alice), &asked.to_string()).await;
    refused.refusal(429, "too-many-tickets", &["100"]);
    assert!(refused.header("retry-after").is_some());
    assert_eq!(refused.header("ratelimit-policy"), Some("\"tickets\";q=100"));
    setup.ticket(&of_user("bob"), &asked).await;
}

#[tokio::test]
async fn a_ticket_ends_with_the_credential_that_got_it() {
    let setup = Setup::new(|control| control).await;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let short = token(json!({ "exp": now + 2, "sub": "alice", "tidings": { "read": ["news"] } }));
    let ticket = setup.ticket(&short, &json!({ "topics": ["news"] })).await;
    let stream = Stream::open(&setup, &format!("/topics?ticket={ticket}"), "").await;
    assert!(stream.end().await.contains("{\"reason\":\"expired\"}"));
}

#[tokio::test]
async fn a_token_is_taken_from_a_query_only_if_its_issuer_allows_it() {
    let key = || TokenKey::parse(SECRET).unwrap();
    let url = format!("/topics/news?token={}", of_user("alice"));
    let json = "Accept: application/json\r\n";
    let setup = Setup::new(|control| control).await;
    setup.ask("GET", &url, json, "").await.refusal(401, "credential-not-here", &["Authorization"]);
    let api_key = "/topics/news?token=tdk_01234567_0123456789abcdef0123456789abcdef";
    setup.ask("GET", api_key, json, "").await.refusal(401, "credential-not-here", &["API key"]);
    let issuer = Issuer::nameless(key()).with_tokens_in_query();
    setup.hub.set_policy(Policy::new(Tokens::default().with_issuer(issuer).unwrap()));
    assert_eq!(setup.ask("GET", &url, json, "").await.status(), 200);
    setup.ask("GET", &format!("{url}x"), json, "").await.refusal(401, "token-not-accepted", &[]);
}

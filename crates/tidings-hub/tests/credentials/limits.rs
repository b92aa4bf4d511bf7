//! Limits of clients: for a subject, and for an address.

use std::net::IpAddr;

use super::*;

/// A hub that believes this machine's connections what they say of their clients' addresses.
async fn behind_a_proxy() -> Setup {
    let everybody =
        Grant::default().with_read(tidings_hub::Matchers::all()).with_publish(tidings_hub::Matchers::all());
    Setup::with(everybody, |control| control.with_trusted_proxies(vec!["127.0.0.0/8".parse().unwrap()])).await
}

fn from(address: &str) -> String {
    address.parse::<IpAddr>().unwrap();
    format!("X-Forwarded-For: 6.6.6.6, {address}\r\n")
}

#[tokio::test]
async fn an_address_has_a_hundred_streams_and_gets_another_when_one_ends() {
    let setup = behind_a_proxy().await;
    let client = from("192.0.2.7");
    let mut streams = Vec::new();
    for _ in 0..100 {
        streams.push(Stream::open(&setup, "/topics/news", &client).await);
    }
    let refused = setup.ask("GET", "/topics/news", &client, "").await;
    refused.refusal(429, "too-many-streams", &["192.0.2.7", "100 open streams, and 100 are allowed"]);
    assert_eq!(refused.header("retry-after"), Some("5"));
    assert_eq!(refused.header("ratelimit-policy"), Some("\"streams\";q=100"));
    assert_eq!(refused.header("ratelimit"), Some("\"streams\";r=0;t=5"));
    // Another address has its own.
    drop(Stream::open(&setup, "/topics/news", &from("192.0.2.8")).await);
    streams.pop();
    let again = async {
        while setup.ask("HEAD", "/topics/news", &client, "").await.status() == 429 {
            tokio::task::yield_now().await;
        }
    };
    soon("a place", again).await;
}

#[tokio::test]
async fn an_address_that_publishes_too_fast_is_told_when_to_go_on() {
    let setup = behind_a_proxy().await;
    let client = from("192.0.2.7");
    let lines = "{\"data\":\"x\"}\n".repeat(900);
    let many = format!("{client}Content-Type: application/x-ndjson\r\n");
    let too_fast = async {
        loop {
            // A piece of a body that is larger than what is allowed at once passes, and what follows waits.
            let body = setup.ask("POST", "/topics/a", &many, &lines).await;
            assert!([200, 429].contains(&body.status()), "{}", body.body);
            let next = setup.ask("POST", "/topics/a", &client, "x").await;
            if next.status() == 429 {
                return next;
            }
        }
    };
    let refused = soon("a refusal", too_fast).await;
    refused.refusal(429, "publishing-too-fast", &["192.0.2.7", "100 a second are allowed, and 200 at once"]);
    assert!(refused.header("retry-after").is_some());
    assert_eq!(refused.header("ratelimit-policy"), Some("\"publish\";q=200;w=2"));
    assert_eq!(setup.ask("POST", "/topics/a", &from("2001:db8::1"), "x").await.status(), 200);
}

#[tokio::test]
async fn refused_credentials_of_an_address_lock_out_no_token_that_the_hub_remembers_and_no_ticket() {
    let setup = behind_a_proxy().await;
    let client = from("192.0.2.9");
    let right = format!("{client}{}Accept: application/json\r\n", bearer(&of_user("alice")));
    assert_eq!(setup.ask("GET", "/topics/news", &right, "").await.status(), 200);
    let ticket = setup.ticket(&of_user("alice"), &json!({ "topics": ["news"] })).await;
    let wrong = format!("{client}{}", bearer("wrong"));
    // Each unknown token takes a signature, and few of them are verified.
    for number in 0.. {
        while setup.ask("GET", "/topics/news", &wrong, "").await.status() != 429 {}
        let unknown = bearer(&of_user(&format!("user {number}")));
        let headers = format!("{client}{unknown}Accept: application/json\r\n");
        let answer = setup.ask("GET", "/topics/news", &headers, "").await;
        if answer.status() == 429 {
            answer.refusal(429, "too-many-refusals", &["192.0.2.9"]);
            break;
        }
    }
    assert_eq!(setup.ask("GET", "/topics/news", &right, "").await.status(), 200);
    Stream::open(&setup, &format!("/topics?ticket={ticket}"), &client).await;
}

#[tokio::test]
async fn a_genuine_token_that_is_refused_does_not_count_as_a_refused_credential() {
    let setup = behind_a_proxy().await;
    let expired = bearer(&token(json!({ "sub": "alice", "exp": 1, "tidings": {} })));
    for _ in 0..30 {
        let headers = format!("{}{expired}", from("192.0.2.10"));
        setup.ask("GET", "/topics/news", &headers, "").await.refusal(401, "token-expired", &[]);
    }
}

#[tokio::test]
async fn an_address_that_sends_refused_credentials_is_refused_before_signatures_are_verified() {
    let setup = behind_a_proxy().await;
    let wrong = format!("{}{}", from("2001:db8::1"), bearer("wrong"));
    // The network counts: one client has many addresses of it.
    let right =
        |name: &str| format!("{}{}Accept: application/json\r\n", from("2001:db8::2"), bearer(&of_user(name)));
    let (mut refused, mut tried) = (0, 0);
    let refused = loop {
        let answer = setup.ask("GET", "/topics/news", &wrong, "").await;
        if answer.status() == 401 {
            answer.refusal(401, "token-not-accepted", &[]);
            refused += 1;
            continue;
        }
        assert!(refused >= 20, "{refused}");
        answer.refusal(429, "too-many-refusals", &["2001:db8::"]);
        // The hub remembers none of these. It verifies one a second all the same.
        tried += 1;
        let answer = setup.ask("GET", "/topics/news", &right(&format!("user {tried}")), "").await;
        if answer.status() == 429 {
            break answer;
        }
    };
    refused.refusal(429, "too-many-refusals", &["2001:db8::"]);
    assert!(refused.header("retry-after").is_some());
    let elsewhere =
        format!("{}{}Accept: application/json\r\n", from("2001:db8:0:1::"), bearer(&of_user("alice")));
    assert_eq!(setup.ask("GET", "/topics/news", &elsewhere, "").await.status(), 200);
}

#[tokio::test]
async fn tickets_of_a_token_without_a_subject_count_for_the_token() {
    let setup = Setup::new(|control| control).await;
    let token = token(json!({ "jti": "t", "tidings": { "read": ["*"], "limits": { "streams": 1 } } }));
    let asked = json!({ "topics": ["news"] });
    let (first, second) = (setup.ticket(&token, &asked).await, setup.ticket(&token, &asked).await);
    let _stream = Stream::open(&setup, &format!("/topics?ticket={first}"), "").await;
    let json = "Accept: application/json\r\n";
    let refused = setup.ask("GET", &format!("/topics?ticket={second}&wait=60"), json, "").await;
    refused.refusal(429, "too-many-streams", &["credential t has 1 open streams"]);
}

#[tokio::test]
async fn a_long_poll_counts_as_a_stream() {
    let setup = Setup::new(|control| control).await;
    let limits = json!({ "streams": 1, "topics": 2 });
    let token = token(json!({ "sub": "alice", "tidings": { "read": ["*"], "limits": limits } }));
    let json = format!("{}Accept: application/json\r\n", bearer(&token));
    let many = setup.ask("GET", "/topics?topic=a&topic=b&topic=c&wait=1", &json, "").await;
    many.refusal(429, "too-many-topics", &["asks for 3"]);
    let _stream = Stream::open(&setup, "/topics/news", &bearer(&token)).await;
    assert_eq!(setup.ask("GET", "/topics/news", &json, "").await.status(), 200);
    let refused = setup.ask("GET", "/topics/news?wait=1", &json, "").await;
    refused.refusal(429, "too-many-streams", &["1 are allowed"]);
}

#[tokio::test]
async fn a_ticket_that_reconnects_gets_the_place_of_its_earlier_stream() {
    let setup = Setup::new(|control| control).await;
    let token = token(json!({ "sub": "alice", "tidings": { "read": ["*"], "limits": { "streams": 1 } } }));
    let ticket = setup.ticket(&token, &json!({ "topics": ["news"], "reconnect": true })).await;
    let target = format!("/topics?ticket={ticket}");
    let _first = Stream::open(&setup, &target, "").await;
    let _second = Stream::open(&setup, &target, "").await;
    let json = format!("{}Accept: application/json\r\n", bearer(&token));
    let other = setup.ask("GET", "/topics/news?wait=1", &json, "").await;
    other.refusal(429, "too-many-streams", &["1 open streams"]);
}

#[tokio::test]
async fn an_address_that_a_proxy_names_has_limits_also_if_it_is_that_of_this_machine() {
    let proxy = vec!["127.0.0.1".parse().unwrap()];
    let setup = Setup::new(|control| control.with_trusted_proxies(proxy)).await;
    for named in ["X-Forwarded-For: 127.0.0.2", "Forwarded: for=1.1.1.1\r\nX-Forwarded-For: 192.0.2."] {
        let refused = async {
            for number in 0.. {
                // Only a proxy that sets one of both headers says who its client is.
                let number = if named.ends_with('.') { (number % 250).to_string() } else { String::new() };
                let headers = format!("{named}{number}\r\n{}", bearer("wrong"));
                if setup.ask("GET", "/topics/news", &headers, "").await.status() == 429 {
                    break;
                }
            }
        };
        soon("a refusal", refused).await;
    }
}

#[tokio::test]
async fn this_machine_has_no_limits() {
    let everybody = Grant::default().with_read(tidings_hub::Matchers::all());
    let setup = Setup::with(everybody, |control| control).await;
    let mut streams = Vec::new();
    for _ in 0..101 {
        streams.push(Stream::open(&setup, "/topics/news", "").await);
    }
    for _ in 0..25 {
        setup.ask("GET", "/topics/news", &bearer("wrong"), "").await.refusal(401, "token-not-accepted", &[]);
    }
}

#[tokio::test]
async fn the_limits_of_a_token_count_for_its_subject_whichever_token_it_sends() {
    let setup = Setup::new(|control| control).await;
    let limits = json!({ "streams": 1, "topics": 2, "publish": "1/h" });
    let of = |id: &str, name: &str| {
        let own = json!({ "read": ["*"], "publish": ["*"], "limits": limits });
        bearer(&token(json!({ "sub": name, "jti": id, "tidings": own })))
    };
    let _stream = Stream::open(&setup, "/topics/news", &of("1", "alice")).await;
    let refused = setup.ask("GET", "/topics/news", &of("2", "alice"), "").await;
    refused.refusal(429, "too-many-streams", &["\"alice\" has 1 open streams, and 1 are allowed"]);
    let three = setup.ask("GET", "/topics?topic=a&topic=b&topic=c", &of("3", "bob"), "").await;
    three.refusal(429, "too-many-topics", &["may have 2 topics", "asks for 3"]);
    assert_eq!(setup.ask("POST", "/topics/a", &of("1", "alice"), "x").await.status(), 200);
    let refused = setup.ask("POST", "/topics/a", &of("2", "alice"), "x").await;
    refused.refusal(429, "publishing-too-fast", &["\"alice\""]);
    assert_eq!(setup.ask("POST", "/topics/a", &of("3", "bob"), "x").await.status(), 200);
}

//! The stream of known timing that a doctor asks for.

use crate::support::{
    HubProcess,
    wire::{Answer, ELSEWHERE, Headers, Wire, ask, data, head, page},
};

const SHORT: &str = "events=2&every=1&idle=0";

async fn get(hub: &HubProcess, target: &str, headers: Headers<'_>) -> Answer {
    ask(&hub.address, "GET", target, headers, "").await
}

#[tokio::test]
async fn it_is_at_its_own_path_and_at_those_of_topics() {
    let hub = HubProcess::start(&[]);
    for path in ["/probe?", "/topics/news?probe=1&", "/topics?topic=a/*&probe=1&"] {
        let mut wire = Wire::connect(&hub.address).await;
        wire.write(head(&hub.address, "GET", &format!("{path}{SHORT}"), &[("connection", "close")])).await;
        let answer = String::from_utf8(wire.rest().await).expect("it is text");
        for part in ["200 OK", "tidings-probe: 1", "event: start", "id: 2\n", "event: end"] {
            assert!(answer.contains(part), "{part:?} is not in {answer}");
        }
    }
    assert_eq!(get(&hub, "/probe?events=2", &[("last-event-id", "2")]).await.status(), 204);
    assert_eq!(get(&hub, "/probe?events=many", &[]).await.status(), 400);
    assert_eq!(ask(&hub.address, "PUT", "/probe", &[], "").await.status(), 405);
}

#[tokio::test]
async fn it_answers_post_like_get_and_says_so_and_publishes_nothing() {
    let hub = HubProcess::start(&[]);
    for path in ["/probe?", "/topics/news?probe=1&"] {
        for method in ["GET", "POST"] {
            let mut wire = Wire::connect(&hub.address).await;
            let headers = [("connection", "close"), ("content-length", "0"), ("tidings-probe", "1")];
            wire.write(head(&hub.address, method, &format!("{path}{SHORT}"), &headers)).await;
            let answer = String::from_utf8(wire.rest().await).expect("it is text");
            for part in ["200 OK", "allow: GET, HEAD, POST, OPTIONS\r\n", "event: end"] {
                assert!(answer.contains(part), "{method} {path}: {part:?} is not in {answer}");
            }
        }
    }
    assert_eq!(data(&page(&hub.address, "/topics/news").await), [""; 0]);
}

#[tokio::test]
async fn a_publish_that_its_query_calls_a_probe_is_refused_and_not_lost() {
    let hub = HubProcess::start(&[]);
    for target in ["/topics/a?probe=1", "/topics/a?type=t&probe=1&events=1"] {
        let answer = ask(&hub.address, "POST", target, &[("content-type", "text/plain")], "said").await;
        answer.refusal(400, "publishes nothing");
    }
    // The parameter has one value; clients may have parameters of their own.
    let answer =
        ask(&hub.address, "POST", "/topics/a?probe=yes", &[("content-type", "text/plain")], "said").await;
    assert_eq!(answer.status(), 200, "{answer:?}");
    assert_eq!(data(&page(&hub.address, "/topics/a").await), ["said"]);
}

#[tokio::test]
async fn it_obeys_the_rules_of_the_hub() {
    let hub = HubProcess::start(&["--anonymous", "publish"]);
    assert_eq!(get(&hub, &format!("/probe?{SHORT}"), &[ELSEWHERE]).await.status(), 403);
    let hub = HubProcess::start(&["--allow-origin", "https://app.example"]);
    let from = |origin| [("origin", origin)];
    let shared = get(&hub, &format!("/probe?{SHORT}"), &from("https://app.example")).await;
    assert_eq!(shared.header("access-control-allow-origin"), Some("https://app.example"));
    let foreign = get(&hub, &format!("/probe?{SHORT}"), &from("https://evil.example")).await;
    assert_eq!(foreign.header("access-control-allow-origin"), None);
}

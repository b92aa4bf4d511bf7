//! Reconnecting beyond the rules of the standard: back-off, temporary refusals, silence, repeats.

use std::time::Duration;

use http::{HeaderName, HeaderValue, Method};
use tidings_client::{Error, EventSource, Item, Request, TransportError};
use tokio::time::Instant;

use crate::{
    server::{Reply, Server, nothing, response, stream},
    trace::{events, follow, take, trace},
};

/// The waits that the source announces, up to the end.
async fn waits(source: &mut EventSource) -> Vec<f64> {
    let mut waits = Vec::new();
    while let Some(item) = source.next().await {
        if let Item::Retrying { after, .. } = item.unwrap() {
            waits.push(after.as_secs_f64());
        }
    }
    waits
}

#[tokio::test(start_paused = true)]
async fn failures_back_off_within_a_doubling_span_up_to_its_bound() {
    let server = Server::start(vec![nothing(); 8]).await;
    let mut source = EventSource::get(&server.url("/")).unwrap().with_max_backoff(Duration::from_secs(20));
    let start = Instant::now();
    let waits = waits(&mut source).await;
    for (wait, span) in waits.iter().zip([3.0, 6.0, 12.0, 20.0, 20.0, 20.0, 20.0, 20.0]) {
        assert!((3.0..=3.0 + span).contains(wait), "{waits:?}");
    }
    assert_eq!(waits.len(), 8);
    assert!((start.elapsed().as_secs_f64() - waits.iter().sum::<f64>()).abs() < 0.1, "it waits as it says");
}

#[tokio::test(start_paused = true)]
async fn a_server_that_accepts_and_ends_in_a_circle_is_backed_off() {
    let server = Server::start(vec![stream().send("retry: 0\n\n"); 20]).await;
    let waits = waits(&mut EventSource::get(&server.url("/")).unwrap()).await;
    // By chance alone, 20 waits are this short about once in 10^17 runs.
    assert!(waits.iter().sum::<f64>() > 10.0, "{waits:?}");
}

#[tokio::test(start_paused = true)]
async fn a_server_that_ends_after_each_event_is_not_backed_off() {
    let server = Server::start(vec![stream().send("data: tick\n\n"); 20]).await;
    assert_eq!(waits(&mut EventSource::get(&server.url("/")).unwrap()).await, [3.0; 20]);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_sends_the_same_and_ends_in_a_circle_makes_no_storm() {
    for body in ["retry: 0\ndata: x\n\n", "retry: 0\nid: 1\ndata: x\n\n", "retry: 0\ndata: x\n\ndata: y\n\n"]
    {
        let server = Server::start(vec![stream().send(body); 10]).await;
        let waits = waits(&mut EventSource::get(&server.url("/")).unwrap()).await;
        assert_eq!(waits, [0.1, 0.2, 0.4, 0.8, 1.6, 3.0, 3.0, 3.0, 3.0, 3.0], "{body:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_has_something_new_each_time_is_asked_as_often_as_it_says() {
    let replies = (0..10).map(|number| stream().send(format!("retry: 250\ndata: {number}\n\n")));
    let server = Server::start(replies).await;
    assert_eq!(waits(&mut EventSource::get(&server.url("/")).unwrap()).await, [0.25; 10]);
}

#[tokio::test(start_paused = true)]
async fn a_server_cannot_send_its_clients_away_for_good() {
    for retry in ["3600001", "9223372036854775808", "18446744073709551615", "99999999999999999999999"] {
        let server = Server::start([stream().send(format!("retry: {retry}\ndata: x\n\n"))]).await;
        assert_eq!(waits(&mut follow(&server)).await, [3600.0], "{retry}");
    }
    let server = Server::start([stream().send("retry: 99999999999\ndata: x\n\n")]).await;
    let mut source = follow(&server).with_max_reconnection_time(Duration::from_secs(5));
    assert_eq!(waits(&mut source).await, [5.0]);
}

fn busy(status: &str, header: &str) -> Reply {
    response(&format!("HTTP/1.1 {status}\n{header}\nContent-Length: 0"))
}

#[tokio::test(start_paused = true)]
async fn refusals_for_the_time_being_are_retried_by_choice() {
    let statuses = ["408 Slow", "429 Many", "500 Oops", "502 Bad", "503 Busy", "504 Late"];
    let server = Server::start(statuses.map(|status| busy(status, "X: y"))).await;
    let lines = trace(&mut follow(&server).with_status_retries(true)).await;
    assert_eq!(lines.len(), statuses.len());
    for (line, status) in lines.iter().zip(statuses) {
        assert!(line.contains(&format!("answered {}", &status[..3])), "{line}");
    }
}

#[tokio::test(start_paused = true)]
async fn other_refusals_stay_final() {
    for status in ["400 Bad", "401 Who", "404 No", "410 Gone"] {
        let server = Server::start([busy(status, "Retry-After: 1")]).await;
        let mut source = follow(&server).with_status_retries(true);
        assert!(matches!(source.next().await, Some(Err(Error::Status(_)))), "{status}");
    }
}

#[tokio::test(start_paused = true)]
async fn retry_after_is_honoured() {
    let server =
        Server::start([busy("503 Busy", "Retry-After: 120"), busy("503 Busy", "Retry-After: 1")]).await;
    assert_eq!(waits(&mut follow(&server).with_status_retries(true)).await, [120.0, 3.0]);
}

#[tokio::test(start_paused = true)]
async fn a_retry_after_is_bounded_and_what_is_none_is_ignored() {
    let values = [
        ("1000000000000", 3600.0),
        ("99999999999999999999999", 3600.0),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 3600.0),
        ("Sun, 06 Nov 1994 08:49:37 GMT", 3.0),
        ("soon", 3.0),
        ("", 3.0),
        ("-1", 3.0),
    ];
    let server =
        Server::start(values.map(|(value, _)| busy("503 Busy", &format!("Retry-After: {value}")))).await;
    let mut source = follow(&server).with_status_retries(true);
    assert_eq!(waits(&mut source).await, values.map(|(_, wait)| wait));
}

#[tokio::test(start_paused = true)]
async fn a_silent_connection_is_given_up_after_the_idle_timeout() {
    let server = Server::start([stream().send("id: 1\ndata: a\n\n").hold()]).await;
    let mut source = follow(&server).with_idle_timeout(Duration::from_secs(40));
    let start = Instant::now();
    assert_eq!(take(&mut source, 3).await[2], "retrying after 3s: nothing arrived for 40s");
    assert_eq!(start.elapsed().as_secs(), 40);
    server.all_closed().await;
    assert!(source.next().await.is_none());
    assert_eq!(server.requests()[1].header("last-event-id"), Some("1"));
}

#[tokio::test(start_paused = true)]
async fn a_server_that_never_answers_is_given_up_after_the_idle_timeout() {
    let server = Server::start([nothing().hold()]).await;
    let mut source = follow(&server).with_idle_timeout(Duration::from_secs(40));
    assert_eq!(trace(&mut source).await, ["retrying after 3s: nothing arrived for 40s"]);
}

#[tokio::test(start_paused = true)]
async fn a_comment_is_a_sign_of_life() {
    let mut beating = stream();
    for _ in 0..10 {
        beating = beating.wait(Duration::from_secs(30)).send(":\n");
    }
    let server = Server::start([beating.send("data: a\n\n")]).await;
    let mut source = follow(&server).with_idle_timeout(Duration::from_secs(40));
    let start = Instant::now();
    assert_eq!(take(&mut source, 2).await, ["opened", "message a"]);
    assert_eq!(start.elapsed().as_secs(), 300);
}

#[tokio::test(start_paused = true)]
async fn bytes_that_arrived_while_nobody_polled_are_a_sign_of_life() {
    let server = Server::start([stream().send("data: a\n\n").hold()]).await;
    let mut source = follow(&server).with_idle_timeout(Duration::from_secs(40));
    take(&mut source, 1).await;
    tokio::time::sleep(Duration::from_secs(100)).await;
    assert_eq!(take(&mut source, 1).await, ["message a"]);
}

#[tokio::test(start_paused = true)]
async fn what_an_earlier_connection_brought_is_dropped_by_choice() {
    let first = stream().send("id: 1\ndata: a\n\nid: 2\ndata: b\n\n");
    let second = stream().send("id: 2\ndata: b\n\nid: 3\ndata: c\n\nid: 3\ndata: d\n\n");
    let server = Server::start([first.clone(), second.clone()]).await;
    assert_eq!(events(&mut follow(&server)).await, ["a", "b", "b", "c", "d"]);
    let server = Server::start([first, second]).await;
    assert_eq!(events(&mut follow(&server).with_deduplication(100)).await, ["a", "b", "c", "d"]);
}

fn post(server: &Server) -> Request {
    Request::post(&server.url("/")).unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_post_whose_response_ended_is_not_repeated() {
    let server = Server::start([stream().send("data: a\n\n")]).await;
    assert_eq!(trace(&mut EventSource::new(post(&server))).await, ["opened", "message a"]);
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_post_that_broke_is_not_repeated() {
    for reply in [nothing(), stream().send("data: a\n\n").wait(Duration::from_secs(1)).reset()] {
        let server = Server::start([reply]).await;
        let lines = trace(&mut EventSource::new(post(&server))).await;
        assert!(lines.last().unwrap().starts_with("error: the connection broke"), "{lines:?}");
        assert_eq!(server.requests().len(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_post_that_was_refused_or_fell_silent_is_not_repeated() {
    let server = Server::start([busy("503 Busy", "X: y"), nothing().hold()]).await;
    let source = || {
        EventSource::new(post(&server)).with_status_retries(true).with_idle_timeout(Duration::from_secs(1))
    };
    assert!(matches!(source().next().await, Some(Err(Error::Status(_)))));
    assert!(matches!(source().next().await, Some(Err(Error::Idle(_)))));
}

#[tokio::test(start_paused = true)]
async fn a_post_that_never_reached_the_server_is_tried_again() {
    let gone = Server::start([]).await.url("/");
    let mut source = EventSource::new(Request::post(&gone).unwrap());
    for _ in 0..3 {
        let Some(Ok(Item::Retrying { cause, .. })) = source.next().await else { panic!() };
        assert!(matches!(cause, tidings_client::Cause::Network(TransportError::Connect { .. })));
    }
}

#[tokio::test(start_paused = true)]
async fn a_post_is_repeated_with_an_idempotency_key_or_by_permission() {
    let key = HeaderName::from_static("idempotency-key");
    for change in [
        &|request: Request| request.with_header(key.clone(), HeaderValue::from_static("k1")),
        &|request: Request| request.with_repeatable(true),
        &|request: Request| request.with_method(Method::PUT),
    ] as [&dyn Fn(Request) -> Request; 3]
    {
        let server = Server::start([nothing(), stream()]).await;
        let request = change(post(&server).with_body("{}"));
        let mut source = EventSource::new(request).with_max_backoff(Duration::ZERO);
        trace(&mut source).await;
        let requests = server.requests();
        assert_eq!(requests.len(), 3);
        assert_eq!(requests[1].body, b"{}");
        assert_eq!(requests[0].header("idempotency-key"), requests[1].header("idempotency-key"));
    }
}

use http::HeaderValue;
use scripted_server::{Reply, Server, response};

use super::*;

const KEYS: &str =
    r#"{"keys":[{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;

fn ok() -> Reply {
    response("HTTP/1.1 200 OK\nContent-Type: application/json\nCache-Control: public, max-age=600").send(KEYS)
}

#[test]
fn only_a_url_that_nobody_on_the_way_can_change_is_one_of_keys() {
    for good in
        ["https://app.example/.well-known/jwks.json", "http://127.0.0.1:8080/keys", "http://localhost/k"]
    {
        assert_eq!(Source::parse(good).unwrap().to_string(), good);
    }
    for bad in [
        "http://app.example/keys",
        "http://127.0.0.1.example/keys",
        "ftp://app.example/",
        "/keys",
        "keys",
        "",
    ] {
        assert!(Source::parse(bad).is_err(), "{bad}");
    }
    let error = Source::parse("https://user:pass@app.example/keys").map(drop).unwrap_err().to_string();
    assert!(!error.contains("pass@"), "{error}");
}

#[test]
fn the_time_of_a_set_is_what_its_server_says_within_bounds() {
    for (value, seconds) in [
        (None, 3_600),
        (Some("public"), 3_600),
        (Some("public, max-age=600, must-revalidate"), 600),
        (Some("Max-Age=\"700\""), 700),
        (Some("max-age=0"), 300),
        (Some("max-age=99999999"), 86_400),
        (Some("max-age=-1"), 3_600),
        (Some("no-store, max-age=900"), 300),
    ] {
        let mut headers = HeaderMap::new();
        if let Some(value) = value {
            headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(value));
        }
        assert_eq!(max_age(&headers), Duration::from_secs(seconds), "{value:?}");
    }
}

async fn fetch(server: &Server, path: &str) -> Result<Fetched, FetchError> {
    Source::parse(&server.url(path)).unwrap().fetch().await
}

#[tokio::test]
async fn a_set_is_fetched_with_its_time_also_after_a_redirect_on_the_same_host() {
    let server = Server::start([response("HTTP/1.1 307 Temporary Redirect\nLocation: /keys"), ok()]).await;
    let fetched = fetch(&server, "/old?a").await.unwrap();
    assert_eq!((fetched.keys.count(), fetched.max_age), (1, Duration::from_secs(600)));
    let lines: Vec<_> = server.requests().into_iter().map(|request| request.line).collect();
    assert_eq!(lines, ["GET /old?a HTTP/1.1", "GET /keys HTTP/1.1"]);
}

#[tokio::test]
async fn a_redirect_to_another_host_or_to_no_end_is_not_followed() {
    let other = Server::start([ok()]).await;
    for location in [other.url("/keys"), "//other.example/keys".into(), "keys".into(), String::new()] {
        let server = Server::start([response(&format!("HTTP/1.1 302 Found\nLocation: {location}"))]).await;
        let error = fetch(&server, "/keys").await.map(drop).unwrap_err();
        assert!(matches!(error, FetchError::Redirect(_)), "{location}: {error}");
    }
    assert!(other.requests().is_empty());
    let round = Server::start_with(|_| response("HTTP/1.1 302 Found\nLocation: /keys")).await;
    assert!(matches!(fetch(&round, "/keys").await, Err(FetchError::Redirect(_))));
    assert_eq!(round.requests().len(), 4);
}

#[tokio::test]
async fn an_answer_that_is_no_set_of_keys_or_too_large_is_refused() {
    let server = Server::start([
        response("HTTP/1.1 500 Internal Server Error"),
        response("HTTP/1.1 200 OK").send("<html>"),
        response("HTTP/1.1 200 OK").send(r#"{"keys":[]}"#),
        response("HTTP/1.1 200 OK\nContent-Length: 100").send(KEYS),
        response("HTTP/1.1 200 OK").send(vec![b' '; MAX_KEYS_BYTES]).send("  ").hold(),
    ])
    .await;
    for expected in ["500", "no set of keys", "no set of keys", "broke the connection", "1048576 bytes"] {
        let error = fetch(&server, "/keys").await.map(drop).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}

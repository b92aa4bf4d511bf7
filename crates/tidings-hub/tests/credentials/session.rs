//! A token as a cookie.

use super::*;

const COOKIE: &str = "__Host-tidings";

async fn with_cookie() -> Setup {
    Setup::new(|control| control.with_cookie(COOKIE).unwrap()).await
}

#[tokio::test]
async fn a_session_reads_by_cookie_and_its_end_ends_its_streams() {
    let setup = with_cookie().await;
    let alice = of_user("alice");
    let logged_in = setup.ask("POST", "/session", &bearer(&alice), "").await;
    assert_eq!(
        (logged_in.status(), logged_in.header("cache-control")),
        (200, Some("no-store")),
        "{}",
        logged_in.body
    );
    humantime::parse_rfc3339(logged_in.json()["expires"].as_str().unwrap()).unwrap();
    let set = logged_in.header("set-cookie").unwrap();
    let (cookie, attributes) = set.split_once("; ").unwrap();
    assert_eq!(cookie, format!("{COOKIE}={alice}"));
    for attribute in ["Path=/", "Secure", "HttpOnly", "SameSite=Strict", "Max-Age=3"] {
        assert!(attributes.contains(attribute), "{attributes}");
    }
    let cookie = format!("Cookie: other=1; {cookie}\r\n");
    let stream = Stream::open(&setup, "/topics/news", &cookie).await;
    let logged_out = setup.ask("DELETE", "/session", &cookie, "").await;
    assert_eq!(logged_out.status(), 204);
    assert!(logged_out.header("set-cookie").unwrap().starts_with(&format!("{COOKIE}=; Max-Age=0; ")));
    assert!(stream.end().await.contains("{\"reason\":\"revoked\"}"));
    setup.ask("GET", "/topics/news", &cookie, "").await.refusal(401, "token-revoked", &["logged out"]);
    // It is cleared all the same.
    assert_eq!(setup.ask("DELETE", "/session", &cookie, "").await.status(), 204);
}

#[tokio::test]
async fn a_session_of_a_token_without_an_id_ends_its_streams_too() {
    let setup = with_cookie().await;
    let token = token(json!({ "sub": "alice", "tidings": { "read": ["news"] } }));
    let cookie = format!("Cookie: {COOKIE}={token}\r\n");
    let stream = Stream::open(&setup, "/topics/news", &cookie).await;
    assert_eq!(setup.ask("DELETE", "/session", &cookie, "").await.status(), 204);
    assert!(stream.end().await.contains("{\"reason\":\"revoked\"}"));
}

#[tokio::test]
async fn the_end_of_a_session_of_a_token_without_an_id_voids_its_tickets() {
    let setup = with_cookie().await;
    let token = token(json!({ "sub": "alice", "tidings": { "read": ["news"] } }));
    let ticket = setup.ticket(&token, &json!({ "topics": ["news"] })).await;
    let cookie = format!("Cookie: {COOKIE}={token}\r\n");
    assert_eq!(setup.ask("DELETE", "/session", &cookie, "").await.status(), 204);
    let answer =
        setup.ask("GET", &format!("/topics?ticket={ticket}"), "Accept: application/json\r\n", "").await;
    answer.refusal(401, "ticket-not-valid", &[]);
}

#[tokio::test]
async fn a_session_that_is_revoked_already_is_not_revoked_again() {
    let directory = tempfile::tempdir().unwrap();
    let setup = Setup::new(|control| {
        control.with_cookie(COOKIE).unwrap().with_revocations_in(directory.path()).unwrap()
    })
    .await;
    let cookie = format!("Cookie: {COOKIE}={}\r\n", of_user("alice"));
    let list = || std::fs::read(directory.path().join("revocations.jsonl")).unwrap();
    assert_eq!(setup.ask("DELETE", "/session", &cookie, "").await.status(), 204);
    let before = list();
    assert_eq!(setup.ask("DELETE", "/session", &cookie, "").await.status(), 204);
    assert_eq!(list(), before);
}

#[tokio::test]
async fn cookies_that_are_refused_when_a_session_ends_count_as_refused_credentials() {
    let setup = Setup::new(|control| {
        control.with_cookie(COOKIE).unwrap().with_trusted_proxies(vec!["127.0.0.0/8".parse().unwrap()])
    })
    .await;
    let cookie = format!("X-Forwarded-For: 192.0.2.7\r\nCookie: {COOKIE}=wrong\r\n");
    let refused = async {
        loop {
            let answer = setup.ask("DELETE", "/session", &cookie, "").await;
            if answer.status() != 204 {
                break answer;
            }
        }
    };
    soon("a refusal", refused).await.refusal(429, "too-many-refusals", &["192.0.2.7"]);
}

#[tokio::test]
async fn a_page_of_another_site_neither_uses_nor_ends_a_session() {
    let setup = with_cookie().await;
    let cookie = format!("Cookie: {COOKIE}={}\r\nOrigin: https://evil.example\r\n", of_user("alice"));
    for (method, path) in [("POST", "/topics/a"), ("DELETE", "/session"), ("POST", "/tickets")] {
        setup.ask(method, path, &cookie, "{}").await.refusal(403, "origin-not-listed", &["evil.example"]);
    }
    let from_there = format!("{}Origin: https://evil.example\r\n", bearer(&of_user("alice")));
    setup.ask("POST", "/session", &from_there, "").await.refusal(403, "origin-not-listed", &[]);
}

#[tokio::test]
async fn a_cookie_that_does_not_hold_is_refused_and_not_taken_for_nobody() {
    let setup = with_cookie().await;
    for value in ["", "x", "tdt_AAAAAAAAAAAAAAAAAAAAAA"] {
        let answer = setup.ask("GET", "/topics/news", &format!("Cookie: {COOKIE}={value}\r\n"), "").await;
        answer.refusal(401, "token-not-accepted", &[]);
    }
    let ticket = setup.ticket(&of_user("alice"), &json!({ "topics": ["news"] })).await;
    let by_ticket = setup.ask("POST", &format!("/session?ticket={ticket}"), "", "").await;
    by_ticket.refusal(401, "credential-not-here", &[]);
}

#[tokio::test]
async fn without_the_setting_a_cookie_is_not_looked_at() {
    let setup = Setup::new(|control| control).await;
    let cookie = format!("Cookie: {COOKIE}={}\r\n", of_user("alice"));
    setup.ask("GET", "/topics/news", &cookie, "").await.refusal(401, "credential-missing", &[]);
    let logged_in = setup.ask("POST", "/session", &bearer(&of_user("alice")), "").await;
    assert_eq!(logged_in.status(), 404, "{}", logged_in.body);
    assert!(logged_in.body.contains("--cookie"));
}

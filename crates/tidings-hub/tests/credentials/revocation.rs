//! A credential that was revoked is refused, and its streams end.

use super::*;

fn of(target: &Value) -> String {
    target.to_string()
}

#[tokio::test]
async fn streams_of_a_revoked_credential_end_with_the_reason_and_it_is_refused() {
    let setup = Setup::new(|control| control).await;
    let (alice, bob) = (bearer(&of_user("alice")), bearer(&of_user("bob")));
    let of_alice = [
        Stream::open(&setup, "/topics/news", &alice).await,
        Stream::open(&setup, "/topics/users/alice/a", &alice).await,
    ];
    let mut of_bob = Stream::open(&setup, "/topics/news", &bob).await;
    let made = setup.revoke(&json!({ "jti": "session of alice", "reason": "laptop lost" })).await;
    assert_eq!((&made["streams"], &made["durable"]), (&2.into(), &false.into()), "{made}");
    for stream in of_alice {
        let read = stream.end().await;
        let end = read.split("event: access").nth(1).unwrap();
        assert!(end.contains("data: {\"reason\":\"revoked\"}") && !end.contains("id:"), "{read}");
    }
    let refused = setup.ask("GET", "/topics/news", &alice, "").await;
    refused.refusal(401, "token-revoked", &["laptop lost", "get a new one"]);
    setup.ask("POST", "/topics/chat", &alice, "x").await.refusal(401, "token-revoked", &[]);
    setup.say("news", "goes on").await;
    of_bob.up_to("goes on").await;
}

#[tokio::test]
async fn unused_tickets_of_a_revoked_credential_are_void() {
    let setup = Setup::new(|control| control).await;
    let asked = json!({ "topics": ["news"] });
    let (of_alice, of_bob) =
        (setup.ticket(&of_user("alice"), &asked).await, setup.ticket(&of_user("bob"), &asked).await);
    let made = setup.revoke(&json!({ "sub": "alice" })).await;
    assert_eq!(made["tickets"], 1, "{made}");
    let by = |ticket: &str| format!("/topics?ticket={ticket}");
    setup.ask("GET", &by(&of_alice), "", "").await.refusal(401, "ticket-not-valid", &[]);
    let stream = Stream::open(&setup, &by(&of_bob), "").await;
    // By its name and by itself, a ticket is revoked alone.
    assert_eq!(setup.revoke(&json!({ "ticket": of_bob })).await["streams"], 1);
    stream.end().await;
}

#[tokio::test]
async fn tokens_of_a_subject_that_are_issued_after_a_revocation_hold() {
    let setup = Setup::new(|control| control).await;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let issued =
        |at: u64| bearer(&token(json!({ "sub": "alice", "iat": at, "tidings": { "read": ["news"] } })));
    setup.revoke(&json!({ "sub": "alice", "issued_before": now - 100 })).await;
    let page = async |token: &str| {
        setup.ask("GET", "/topics/news", &format!("{token}Accept: application/json\r\n"), "").await.status()
    };
    assert_eq!(page(&issued(now - 101)).await, 401);
    assert_eq!(page(&issued(now - 99)).await, 200);
    setup.revoke(&json!({ "sub": "alice" })).await;
    assert_eq!(page(&issued(now - 99)).await, 401);
}

#[tokio::test]
async fn a_revocation_is_listed_and_can_be_taken_back() {
    let setup = Setup::new(|control| control).await;
    let alice = format!("{}Accept: application/json\r\n", bearer(&of_user("alice")));
    let made = setup.revoke(&json!({ "sub": "alice", "iss": "", "reason": "x" })).await;
    let list = setup.ask("GET", "/revocations", "", "").await.json();
    let listed = &list["revocations"][0];
    assert_eq!(
        (&listed["id"], &listed["sub"], &listed["reason"]),
        (&made["id"], &"alice".into(), &"x".into()),
        "{list}"
    );
    let path = format!("/revocations/{}", made["id"].as_str().unwrap());
    assert_eq!(setup.ask("GET", "/topics/news", &alice, "").await.status(), 401);
    assert_eq!(setup.ask("DELETE", &path, "", "").await.status(), 200);
    assert_eq!(setup.ask("GET", "/topics/news", &alice, "").await.status(), 200);
    assert_eq!(setup.ask("DELETE", &path, "", "").await.status(), 404);
}

#[tokio::test]
async fn a_revocation_outlives_the_process_if_the_history_does() {
    let directory = tempfile::tempdir().unwrap();
    let open = || Setup::new(|control| control.with_revocations_in(directory.path()).unwrap());
    let setup = open().await;
    let alice = bearer(&of_user("alice"));
    let made = setup.revoke(&json!({ "sub": "alice" })).await;
    assert_eq!(made["durable"], true, "{made}");
    setup.hub.shutdown().await;
    let again = open().await;
    again.ask("GET", "/topics/news", &alice, "").await.refusal(401, "token-revoked", &[]);
}

/// A hub that trusts two issuers: one without a name, and one whose tokens need no end and whose clock may differ.
async fn with_two_issuers(endless: bool, max_life: u64) -> Setup {
    let key = || TokenKey::parse(SECRET).unwrap();
    let app = Issuer::named("app", key()).with_leeway(Duration::from_secs(100)).unwrap();
    let app = if endless { app.with_endless_tokens() } else { app };
    let tokens = Tokens::new(key()).with_max_life(Duration::from_secs(max_life)).with_issuer(app).unwrap();
    Setup::with(Grant::default(), |control| {
        drop(control);
        let everybody = Grant::default().with_right(Right::Admin);
        Control::new(Policy::new(tokens).with_anonymous(everybody)).with_cookie("session").unwrap()
    })
    .await
}

const DAY: u64 = 86_400;

#[tokio::test]
async fn a_revocation_is_kept_for_as_long_as_a_credential_that_it_hits_may_hold() {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    // How many seconds it is kept.
    let kept = async |setup: &Setup, asked: Value| {
        let until = setup.revoke(&asked).await["until"].as_str().map(str::to_owned)?;
        Some(humantime::parse_rfc3339(&until).unwrap().duration_since(UNIX_EPOCH).unwrap().as_secs() - now)
    };
    let setup = with_two_issuers(false, 90 * DAY).await;
    for asked in [json!({ "jti": "a" }), json!({ "sub": "a" }), json!({ "iss": "app" })] {
        let kept = kept(&setup, asked.clone()).await;
        assert!(kept.is_some_and(|kept| kept >= 90 * DAY + 600), "{asked}: {kept:?}");
    }
    assert!(kept(&setup, json!({ "ticket": "a" })).await.is_some_and(|kept| kept >= 30 * DAY + 600));
    let told = kept(&setup, json!({ "jti": "b", "exp": now + 1_000 })).await;
    assert_eq!(told, Some(1_100), "with the leeway of the issuer");
    for asked in [
        json!({ "key": "Ab3dEf9h" }),
        json!({ "sub": "Ab3dEf9h" }),
        json!({ "sub": "Ab3dEf9h", "iss": "api-key" }),
    ] {
        assert_eq!(kept(&setup, asked.clone()).await, None, "{asked}");
    }
    assert!(kept(&setup, json!({ "sub": "Ab3dEf9h", "iss": "app" })).await.is_some());
    let endless = with_two_issuers(true, 90 * DAY).await;
    for asked in [json!({ "jti": "a" }), json!({ "sub": "a" }), json!({ "iss": "app" })] {
        assert_eq!(kept(&endless, asked.clone()).await, None, "{asked}");
    }
}

#[tokio::test]
async fn a_token_of_a_subject_whose_issuer_has_a_late_clock_is_hit() {
    let setup = with_two_issuers(false, 30 * DAY).await;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let ahead = json!({ "iss": "app", "sub": "alice", "iat": now + 90, "tidings": { "read": ["news"] } });
    setup.revoke(&json!({ "sub": "alice" })).await;
    setup.ask("GET", "/topics/news", &bearer(&token(ahead)), "").await.refusal(401, "token-revoked", &[]);
}

#[tokio::test]
async fn an_id_is_revoked_for_the_issuer_of_its_token_alone() {
    let setup = with_two_issuers(false, 30 * DAY).await;
    let of = |issuer: Option<&str>, id: &str| {
        let mut claims = json!({ "jti": id, "tidings": { "read": ["news"] } });
        issuer.into_iter().for_each(|issuer| claims["iss"] = issuer.into());
        token(claims)
    };
    let status = async |token: &str| {
        let headers = format!("{}Accept: application/json\r\n", bearer(token));
        setup.ask("GET", "/topics/news", &headers, "").await.status()
    };
    let made = setup.revoke(&json!({ "jti": "1", "iss": "app" })).await;
    assert_eq!((status(&of(Some("app"), "1")).await, status(&of(None, "1")).await), (401, 200), "{made}");
    let listed = setup.ask("GET", "/revocations", "", "").await.json();
    assert_eq!(
        (&listed["revocations"][0]["jti"], &listed["revocations"][0]["iss"]),
        (&"1".into(), &"app".into())
    );
    let cookie = format!("Cookie: session={}\r\n", of(None, "2"));
    assert_eq!(setup.ask("DELETE", "/session", &cookie, "").await.status(), 204);
    assert_eq!((status(&of(Some("app"), "2")).await, status(&of(None, "2")).await), (200, 401));
    setup.revoke(&json!({ "jti": "3" })).await;
    assert_eq!((status(&of(Some("app"), "3")).await, status(&of(None, "3")).await), (401, 401));
}

#[tokio::test]
async fn a_secret_in_place_of_an_id_is_neither_kept_nor_repeated() {
    let setup = Setup::new(|control| control).await;
    let key = NewApiKey::random().unwrap();
    let token = of_user("alice");
    for asked in
        [json!({ "jti": token }), json!({ "key": token }), json!({ "key": format!("{}x", key.text()) })]
    {
        let answer = setup.ask("POST", "/revocations", "", &of(&asked)).await;
        assert_eq!(answer.status(), 400, "{}", answer.body);
        for secret in [&token, key.text()] {
            assert!(!answer.body.contains(secret), "{}", answer.body);
        }
    }
    setup.revoke(&json!({ "jti": "1.2.3" })).await;
    setup.revoke(&json!({ "key": key.text() })).await;
    let listed = setup.ask("GET", "/revocations", "", "").await.json();
    assert_eq!(listed["revocations"][0]["key"], key.id());
    assert_eq!(listed["revocations"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn what_is_no_revocation_is_refused() {
    let setup = Setup::new(|control| control).await;
    for asked in [
        json!({}),
        json!({ "jti": "a", "sub": "b" }),
        json!({ "key": "a", "iss": "b" }),
        json!({ "sub": "a", "issued_before": -1 }),
        json!({ "sub": "a", "until": 1 }),
        json!({ "sub": 1 }),
        json!({ "sub": "x".repeat(2_000) }),
    ] {
        let answer = setup.ask("POST", "/revocations", "", &of(&asked)).await;
        assert_eq!(answer.status(), 400, "{asked}: {}", answer.body);
    }
    let others = Setup::with(Grant::default(), |control| control).await;
    for (method, path) in [("POST", "/revocations"), ("GET", "/revocations"), ("DELETE", "/revocations/x")] {
        others.ask(method, path, "", "{}").await.refusal(401, "credential-missing", &[]);
        others.ask(method, path, &bearer(&of_user("alice")), "{}").await.refusal(
            403,
            "right-missing",
            &["admin"],
        );
    }
}

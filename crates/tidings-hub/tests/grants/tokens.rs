//! Grants by tokens.

use super::*;

/// A hub that takes tokens and lets everyone read what is public, and its key.
async fn with_tokens() -> (Setup, TokenKey) {
    let key = TokenKey::parse(TokenKey::new_secret().unwrap().as_bytes()).unwrap();
    let everyone = Grant::default().with_read(Matchers::all());
    let policy = Policy::new(Tokens::new(key.clone())).with_anonymous(everyone);
    let setup = Setup::of(|mut settings| {
        settings.access = Access::Control(Arc::new(Control::new(policy)));
        Hub::new(Arc::new(MemoryLog::default()), settings)
    })
    .await;
    (setup, key)
}

fn bearer(key: &TokenKey, publish: &[&str], read: &[&str]) -> String {
    let token = key.mint(&matchers(publish), &matchers(read), None, Duration::from_secs(3_600));
    format!("Bearer {token}")
}

#[tokio::test]
async fn a_client_that_demands_a_credential_is_refused_rather_than_anonymous() {
    let (setup, key) = with_tokens().await;
    let alice = bearer(&key, &[], &["news"]);
    for (target, credential, status) in [
        ("/topics/news", None, 200),
        ("/topics/news?access=token", None, 401),
        ("/topics?topic=news&access=token&from=start", None, 401),
        ("/topics/news?access=token", Some(&*alice), 200),
        ("/topics/news?access=tokens", None, 200),
    ] {
        let answer = ask_with(&setup, "GET", target, credential, "Accept: application/json\r\n", b"").await;
        assert_eq!(answer.status(), status, "{target}");
        if status == 401 {
            assert_eq!(answer.json()["rule"], "credential-missing");
        }
    }
}

#[tokio::test]
async fn only_a_token_publishes_and_only_a_token_reads_what_is_private() {
    let (setup, key) = with_tokens().await;
    let backend = bearer(&key, &["users/*", "news"], &[]);
    let alice = bearer(&key, &[], &["users/alice/*"]);
    let refused = ask(&setup, "POST", "/topics/news", None, b"x").await;
    refused.refusal(401, &["Authorization: Bearer"]);
    assert_eq!(refused.json()["rule"], "credential-missing");
    assert_eq!(refused.header("www-authenticate"), Some("Bearer"));
    ask(&setup, "POST", "/topics/news", Some(&alice), b"x")
        .await
        .refusal(403, &["may not publish to any topic"]);
    ask(&setup, "POST", "/topics/orders", Some(&backend), b"x")
        .await
        .refusal(403, &["news, users/*", "orders"]);

    let mut streams = Vec::new();
    for user in [&alice, &bearer(&key, &[], &["users/bob/*"])] {
        streams.push(Stream::open(&setup, "topic=*&from=start", user).await);
    }
    for (path, body) in
        [("news", "public"), ("users/alice/1?private", "for alice"), ("users/bob/1?private=true", "for bob")]
    {
        assert_eq!(
            ask(&setup, "POST", &format!("/topics/{path}"), Some(&backend), body.as_bytes()).await.status(),
            200
        );
    }
    ask(&setup, "POST", "/topics/news?private=maybe", Some(&backend), b"x")
        .await
        .refusal(400, &["maybe", "private=1"]);
    let lines = "Content-Type: application/x-ndjson\r\n";
    let body = b"{\"data\":\"for alice, too\"}\n";
    let many = ask_with(&setup, "POST", "/topics/users/alice/1?private=1", Some(&backend), lines, body).await;
    assert_eq!(many.status(), 200);
    assert_eq!(ask(&setup, "POST", "/topics/news", Some(&backend), b"end").await.status(), 200);

    let [of_alice, of_bob] = &mut streams[..] else { panic!("two streams") };
    assert!(of_alice.up_to("data: end").await.contains("data: for alice, too"));
    assert!(!of_alice.read.contains("for bob"), "{}", of_alice.read);
    assert!(!of_bob.up_to("data: end").await.contains("for alice"), "{}", of_bob.read);
    let page = ask_with(&setup, "GET", "/topics?topic=*", None, "Accept: application/json\r\n", b"").await;
    assert_eq!(page.page(), ["public", "end"], "nobody's history has what is private");
    assert_eq!(
        history(&setup, "topic=*", &alice).await.page(),
        ["public", "for alice", "for alice, too", "end"]
    );
}

#[tokio::test]
async fn a_token_that_is_not_accepted_is_refused_by_a_number_and_one_that_is_signed_by_its_rule() {
    let (setup, key) = with_tokens().await;
    let other = TokenKey::parse(&[b'x'; 32]).unwrap();
    let forged = bearer(&other, &["*"], &["*"]);
    for credential in [&*forged, "Bearer x", "Bearer", "Basic YTpi", "", "Bearer a b"] {
        for (method, path) in [("POST", "/topics/news"), ("GET", "/topics/news"), ("GET", "/metrics")] {
            let answer = ask(&setup, method, path, Some(credential), b"x").await;
            let problem = answer.json();
            let number = problem["request"].as_str().unwrap().to_owned();
            answer.refusal(401, &[&number, "tidings serve -v"]);
            assert_eq!(problem["rule"], "token-not-accepted");
            assert_eq!(answer.header("www-authenticate"), Some("Bearer error=\"invalid_token\""));
            assert!(!problem.to_string().contains("signature"), "{problem}");
        }
    }
    let gone = key.mint(&Matchers::all(), &Matchers::none(), None, Duration::ZERO);
    let answer = ask(&setup, "POST", "/topics/news", Some(&format!("bearer {gone}")), b"x").await;
    answer.refusal(401, &["expired at", "s ago"]);
    assert_eq!(answer.json()["rule"], "token-expired");
    let two = format!("{forged}\r\nAuthorization: {forged}");
    assert_eq!(ask(&setup, "GET", "/topics/news", Some(&two), b"").await.status(), 401);
}

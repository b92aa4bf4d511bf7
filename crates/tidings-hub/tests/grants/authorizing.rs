//! A request becomes a grant once. A request without one is answered as the application says.

use super::*;

#[tokio::test]
async fn a_request_is_authorized_once_and_what_is_open_to_all_never() {
    let setup = Setup::in_memory().await;
    let asked = || setup.application.asked.load(Ordering::Relaxed);
    for path in ["/healthz", "/readyz"] {
        assert_eq!(ask(&setup, "GET", path, None, b"").await.status(), 200);
    }
    assert_eq!(asked(), 0);
    for (number, (method, path)) in (1..).zip([
        ("POST", "/topics/chat/1"),
        ("GET", "/topics/news/1?from=start"),
        ("GET", "/subscribers?topic=news/1"),
        ("GET", "/attachments/unknown"),
        ("GET", "/metrics"),
    ]) {
        let accept = "Accept: application/json\r\n";
        let answer = ask_with(&setup, method, path, Some("alice"), accept, b"x").await;
        assert!([200, 404].contains(&answer.status()), "{path}: {}", answer.head);
        assert_eq!(asked(), number, "{path}");
    }
}

#[tokio::test]
async fn a_request_without_a_grant_is_answered_as_the_application_says() {
    let setup = Setup::in_memory().await;
    for (method, path) in [
        ("GET", "/topics/news/1"),
        ("POST", "/topics/chat/1"),
        ("GET", "/metrics"),
        ("GET", "/attachments/a"),
    ] {
        let answer = ask(&setup, method, path, None, b"x").await;
        answer.refusal(401, &["log in at /login"]);
        assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
        ask(&setup, method, path, Some("banned"), b"x").await.refusal(403, &["banned is banned"]);
        let answer = ask(&setup, method, path, Some("flood"), b"x").await;
        answer.refusal(429, &["9 times"]);
        assert_eq!(answer.header("retry-after"), Some("7"), "a part of a second counts as one");
    }
    ask(&setup, "POST", "/topics/chat/1", Some("down"), b"x").await.refusal(503, &["cannot be looked up"]);
}

#[tokio::test]
async fn an_event_source_comes_back_while_nobody_can_authorize_it_and_learns_no_position() {
    let setup = Setup::in_memory().await;
    setup.say("news/1", "x", false).await;
    let answer = ask(&setup, "GET", "/topics/news/1", Some("down"), b"").await;
    assert_eq!((answer.status(), answer.header("content-type")), (200, Some("text/event-stream")));
    let body = String::from_utf8(answer.body).unwrap();
    assert!(body.contains("retry: ") && !body.contains("id:"), "{body}");
}

#[tokio::test]
async fn an_application_knows_the_address_of_each_request_and_can_limit_by_it() {
    struct Limit(Mutex<Vec<Peer>>);
    impl Authorizer for Limit {
        fn authorize<'a>(&'a self, request: &'a Parts) -> Authorizing<'a> {
            let peer = *request.extensions.get::<Peer>().expect("the hub's own server says who asks");
            let mut peers = self.0.lock().unwrap();
            peers.push(peer);
            let count = peers.iter().filter(|other| other.network() == peer.network()).count();
            let of = peer.network();
            Box::pin(ready(match count {
                1 | 2 => Ok(Grant::default().with_read(Matchers::all())),
                _ => Err(Denial::too_many(format!("{of} may ask twice a minute"), Duration::from_secs(60))),
            }))
        }
    }
    let limit = Arc::new(Limit(Mutex::default()));
    let setup = Setup::of(|mut settings| {
        settings.access = Access::Authorizer(limit.clone());
        Hub::new(Arc::new(MemoryLog::default()), settings)
    })
    .await;
    let mut socket = send(&setup, &head("GET", "/metrics", None, ""), b"").await;
    let address = socket.local_addr().unwrap();
    let mut answer = Vec::new();
    soon("the first answer", socket.read_buf(&mut answer)).await.unwrap();
    socket.write_all(head("GET", "/metrics", None, "Connection: close\r\n").as_bytes()).await.unwrap();
    soon("the second answer", socket.read_to_end(&mut answer)).await.unwrap();
    assert_eq!(*limit.0.lock().unwrap(), [Peer::new(address); 2], "each request of a connection");
    let answer = ask(&setup, "GET", "/topics/a", None, b"").await;
    answer.refusal(429, &["127.0.0.1 may ask twice"]);
    assert_eq!(answer.header("retry-after"), Some("60"));
}

#[tokio::test]
async fn a_mounted_service_lets_the_application_decide_by_what_it_has_put_into_the_request() {
    struct Middleware;
    impl Authorizer for Middleware {
        fn authorize<'a>(&'a self, request: &'a Parts) -> Authorizing<'a> {
            let grant = request.extensions.get::<Grant>().cloned();
            Box::pin(ready(grant.ok_or_else(|| Denial::forbidden("no middleware has run"))))
        }
    }
    let mut settings = Settings::default();
    settings.access = Access::Authorizer(Arc::new(Middleware));
    let hub = Hub::new(Arc::new(MemoryLog::default()), settings);
    let request = |grant: Option<Grant>| {
        let mut request = Request::get("/topics/a?from=start")
            .header("host", "hub.example")
            .header(header::ACCEPT, "application/json");
        if let Some(grant) = grant {
            request = request.extension(grant);
        }
        request.body(Empty::<bytes::Bytes>::new()).unwrap()
    };
    let refused = hub.service().call(request(None)).await.unwrap();
    assert_eq!(refused.status(), 403);
    let read = hub.service().call(request(Some(Grant::default().with_read(matchers(&["a"]))))).await.unwrap();
    assert_eq!(read.status(), 200);
    let page: Value = serde_json::from_slice(&read.into_body().collect().await.unwrap().to_bytes()).unwrap();
    assert_eq!(page["updates"], json!([]));
    hub.shutdown().await;
}

//! The end of a grant.

use super::*;

/// What users of a grant that ends so long after each request may do: everything.
struct Ending(Duration);

impl Authorizer for Ending {
    fn authorize<'a>(&'a self, _: &'a Parts) -> Authorizing<'a> {
        let everything = Grant::default()
            .with_publish(Matchers::all())
            .with_private(Matchers::all())
            .with_right(Right::Metrics);
        Box::pin(ready(Ok(everything.with_expiry(SystemTime::now() + self.0))))
    }
}

async fn with_grants_that_end_after(life: Duration) -> (Setup, Arc<MemoryLog>) {
    let log = Arc::new(MemoryLog::default());
    let setup = Setup::of(|mut settings| {
        settings.access = Access::Authorizer(Arc::new(Ending(life)));
        settings.heartbeat = Duration::from_secs(3_600);
        Hub::new(log.clone(), settings)
    })
    .await;
    (setup, log)
}

const LIFE: Duration = Duration::from_secs(600);
/// The notices, half a minute before the end. A delivery loop looks once a second.
const NOTICES: [&str; 2] = [
    "event: access\ndata: {\"in\":30,\"reason\":\"expires\"}\n\n",
    "event: access\ndata: {\"in\":29,\"reason\":\"expires\"}\n\n",
];
/// Where a stream has the notice.
fn notice(text: &str) -> Option<usize> {
    NOTICES.iter().find_map(|notice| text.find(notice))
}

const END: &str = "event: access\ndata: {\"reason\":\"expired\"}\n\n";

#[tokio::test]
async fn a_stream_of_a_delivery_loop_is_told_that_its_grant_ends_and_then_ends_cleanly() {
    let (setup, _) = with_grants_that_end_after(LIFE).await;
    let mut stream = Stream::open(&setup, "topic=a", "alice").await;
    stream.up_to("event: start").await;
    setup.say("a", "before", true).await;
    stream.up_to("before").await;
    // From here on ten minutes are over when nobody has anything to do.
    let began = tokio::time::Instant::now();
    tokio::time::pause();
    let mut rest = Vec::new();
    stream.socket.read_to_end(&mut rest).await.unwrap();
    assert!((590..=602).contains(&began.elapsed().as_secs()), "{:?}", began.elapsed());
    let rest = String::from_utf8(rest).unwrap();
    let (notice, end) = (notice(&rest), rest.find(END));
    assert!(notice.is_some() && notice < end && rest.ends_with("0\r\n\r\n"), "{rest}");
    tokio::time::resume();
    let metrics = ask(&setup, "GET", "/metrics", None, b"").await;
    let metrics = String::from_utf8(metrics.body).unwrap();
    assert!(metrics.contains("tidings_subscriptions_ended_total{reason=\"expired\"} 1\n"), "{metrics}");
    assert!(metrics.contains("tidings_subscriptions 0\n"), "{metrics}");
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_is_a_body_is_told_that_its_grant_ends_and_then_ends_cleanly() {
    let mut settings = Settings::default();
    settings.access = Access::Authorizer(Arc::new(Ending(LIFE)));
    let hub = Hub::new(Arc::new(MemoryLog::default()), settings);
    let request = Request::get("/topics/a").header("host", "hub.example");
    let began = tokio::time::Instant::now();
    let answer = hub.service().call(request.body(Empty::<bytes::Bytes>::new()).unwrap()).await.unwrap();
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    assert!((599..=600).contains(&began.elapsed().as_secs()), "{:?}", began.elapsed());
    let body = std::str::from_utf8(&body).unwrap();
    assert!(notice(body).is_some_and(|notice| notice > body.find("event: start").unwrap()), "{body}");
    assert!(body.ends_with(END), "{body}");
    hub.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_long_poll_is_answered_when_its_grant_ends() {
    let mut settings = Settings::default();
    settings.access = Access::Authorizer(Arc::new(Ending(Duration::from_secs(20))));
    let hub = Hub::new(Arc::new(MemoryLog::default()), settings);
    let request = Request::get("/topics/a?wait=50").header("host", "hub.example");
    let request = request.header(header::ACCEPT, "application/json");
    let began = tokio::time::Instant::now();
    let answer = hub.service().call(request.body(Empty::<bytes::Bytes>::new()).unwrap()).await.unwrap();
    assert_eq!(answer.status().as_u16(), 200);
    assert!((19..=20).contains(&began.elapsed().as_secs()), "{:?}", began.elapsed());
    hub.shutdown().await;
}

#[tokio::test]
async fn a_body_with_many_updates_is_answered_when_its_grant_has_ended_and_what_came_before_is_kept() {
    let (setup, log) = with_grants_that_end_after(Duration::from_secs(1)).await;
    let head = head(
        "POST",
        "/topics/a",
        None,
        "Content-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n",
    );
    let (mut answers, mut updates) = send(&setup, &head, b"").await.into_split();
    let sending = tokio::spawn(async move {
        // Until the hub has answered and takes no more.
        while updates.write_all(b"d\r\n{\"data\":\"x\"}\n\r\n").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    let mut answer = Vec::new();
    let answered = async {
        while !String::from_utf8_lossy(&answer).contains("}\n") {
            assert!(answers.read_buf(&mut answer).await.unwrap() > 0, "{}", String::from_utf8_lossy(&answer));
        }
    };
    soon("an answer", answered).await;
    sending.abort();
    let answer = String::from_utf8(answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 401 "), "{answer}");
    let problem: Value = serde_json::from_str(answer.lines().last().unwrap()).unwrap();
    assert!(problem["detail"].as_str().unwrap().contains("expired"), "{problem}");
    let count = problem["count"].as_u64().unwrap_or_default();
    assert_eq!(log.bounds().newest.sequence, count, "{problem}");
}

#[tokio::test]
async fn a_grant_that_has_ended_is_none() {
    let (setup, _) = with_grants_that_end_after(Duration::ZERO).await;
    for (method, path) in [("GET", "/topics/a"), ("POST", "/topics/a"), ("GET", "/metrics")] {
        let answer = ask(&setup, method, path, None, b"x").await;
        answer.refusal(401, &["expired"]);
    }
}

#[tokio::test]
async fn a_file_whose_grant_has_ended_when_it_has_arrived_is_not_kept() {
    let directory = tempfile::tempdir().unwrap();
    let log: Arc<dyn Log> = Arc::new(DiskLog::open(directory.path(), DiskSettings::default()).unwrap());
    /// Says when the grant of the last request ends.
    struct Telling(watch::Sender<Option<SystemTime>>);
    impl Authorizer for Telling {
        fn authorize<'a>(&'a self, _: &'a Parts) -> Authorizing<'a> {
            let end = SystemTime::now() + Duration::from_millis(300);
            self.0.send_replace(Some(end));
            Box::pin(ready(Ok(Grant::default().with_publish(Matchers::all()).with_expiry(end))))
        }
    }
    let (tell, mut told) = watch::channel(None);
    let setup = Setup::of(|mut settings| {
        settings.access = Access::Authorizer(Arc::new(Telling(tell)));
        Hub::new(log, settings)
    })
    .await;
    let mut socket = send(
        &setup,
        &head(
            "POST",
            "/topics/a",
            None,
            "Content-Type: image/png\r\nContent-Length: 8\r\nConnection: close\r\n",
        ),
        b"half",
    )
    .await;
    let end = soon("a grant", told.wait_for(Option::is_some)).await.unwrap().unwrap();
    while SystemTime::now() <= end {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    socket.write_all(b"half").await.unwrap();
    let mut answer = String::new();
    soon("an answer", socket.read_to_string(&mut answer)).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 401 ") && answer.contains("expired"), "{answer}");
    let mut folders = vec![directory.path().to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
            match entry.file_type().unwrap().is_dir() {
                true => folders.push(entry.path()),
                false => assert_ne!(std::fs::read(entry.path()).unwrap(), b"halfhalf", "{:?}", entry.path()),
            }
        }
    }
}

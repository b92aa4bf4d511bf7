//! The memory that the hub holds for all its clients together is bounded, and a request that takes too long ends.

#![allow(clippy::unwrap_used, reason = "helpers of tests may fail")]

use std::{
    convert::Infallible,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response, header};
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt, Full};
use tidings_hub::{
    AttachmentLimits, Hub, HubBody, Settings,
    log::{DiskLog, DiskSettings, MemoryLog, Retention},
};
use tokio::{
    sync::mpsc,
    task::JoinHandle,
    time::{Instant, sleep},
};
use tower_service::Service;

const NDJSON: &str = "application/x-ndjson";
const EVENTS: &str = "text/event-stream";
const PNG: &str = "image/png";

fn hub(change: impl FnOnce(&mut Settings)) -> Hub {
    let mut settings = Settings::default();
    change(&mut settings);
    Hub::new(Arc::new(MemoryLog::default()), settings)
}

/// A body that is sent by and by.
struct Pieces {
    pieces: mpsc::UnboundedReceiver<Bytes>,
    least: u64,
}

impl Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.pieces.poll_recv(context).map(|piece| piece.map(|piece| Ok(Frame::data(piece))))
    }

    fn size_hint(&self) -> SizeHint {
        let mut hint = SizeHint::default();
        hint.set_lower(self.least);
        hint
    }
}

/// A publish that is under way.
struct Publish {
    pieces: Option<mpsc::UnboundedSender<Bytes>>,
    answer: JoinHandle<Response<HubBody>>,
}

impl Publish {
    fn begin(hub: &Hub, content_type: &str) -> Publish {
        Publish::of_length(hub, content_type, 0)
    }

    fn of_length(hub: &Hub, content_type: &str, least: u64) -> Publish {
        let (pieces, receiver) = mpsc::unbounded_channel();
        let request =
            Request::post("/topics/a").header("host", "localhost").header("content-type", content_type);
        let answer = hub.service().call(request.body(Pieces { pieces: receiver, least }).unwrap());
        let answer = tokio::spawn(async { answer.await.unwrap() });
        Publish { pieces: Some(pieces), answer }
    }

    fn send(&self, piece: impl Into<Bytes>) {
        let _ = self.pieces.as_ref().unwrap().send(piece.into());
    }

    /// Its answer when its body has ended.
    async fn end(mut self) -> Response<HubBody> {
        self.pieces = None;
        self.answer().await
    }

    /// Its answer, which comes before its body ends.
    async fn answer(self) -> Response<HubBody> {
        self.answer.await.unwrap()
    }
}

async fn publish(hub: &Hub, bytes: usize) -> Response<HubBody> {
    let request = Request::post("/topics/a").header("host", "localhost");
    let request = request.body(Full::new(Bytes::from(vec![b'x'; bytes]))).unwrap();
    hub.service().call(request).await.unwrap()
}

async fn text(response: Response<HubBody>) -> String {
    String::from_utf8(response.into_body().collect().await.unwrap().to_bytes().into()).unwrap()
}

async fn metric(hub: &Hub, name: &str) -> String {
    let request =
        Request::get("/metrics").header("host", "localhost").body(Full::<Bytes>::default()).unwrap();
    let metrics = text(hub.service().call(request).await.unwrap()).await;
    let line = metrics.lines().find_map(|line| line.strip_prefix(name)).expect(name);
    line.trim().to_owned()
}

/// A line of which this many bytes have come.
fn unfinished_line(hub: &Hub, bytes: usize) -> Publish {
    let publish = Publish::begin(hub, NDJSON);
    publish.send(vec![b' '; bytes]);
    publish
}

#[tokio::test(start_paused = true)]
async fn bodies_that_are_not_complete_are_bounded_together_and_small_ones_go_on() {
    let hub = hub(|settings| settings.body_bytes = 200 << 10);
    let lines: Vec<_> = (0..2).map(|_| unfinished_line(&hub, 100 << 10)).collect();
    while metric(&hub, "tidings_budget_used_bytes{budget=\"bodies\"}").await != "204800" {
        sleep(Duration::from_millis(1)).await;
    }
    let refused = publish(&hub, 65 << 10).await;
    assert_eq!(refused.status(), 503);
    assert_eq!(refused.headers()[header::RETRY_AFTER], "1");
    let detail = text(refused).await;
    assert!(detail.contains("--body-memory"), "{detail}");
    assert_eq!(publish(&hub, 64 << 10).await.status(), 200, "it needs no room");
    assert_eq!(metric(&hub, "tidings_budget_refusals_total{budget=\"bodies\"}").await, "1");
    drop(lines);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_waits_for_room_has_it_when_another_body_is_appended() {
    let hub = hub(|settings| settings.body_bytes = 100 << 10);
    let first = Publish::of_length(&hub, "text/plain", 100 << 10);
    let second = Publish::of_length(&hub, "text/plain", 100 << 10);
    sleep(Duration::from_secs(1)).await;
    for publish in [&first, &second] {
        publish.send(vec![b'x'; 100 << 10]);
    }
    let (first, second) = tokio::join!(first.end(), second.end());
    assert_eq!((first.status().as_u16(), second.status().as_u16()), (200, 200));
    assert_eq!(metric(&hub, "tidings_budget_used_bytes{budget=\"bodies\"}").await, "0");
}

#[tokio::test(start_paused = true)]
async fn an_update_that_does_not_become_complete_ends_by_its_deadline_however_often_a_byte_comes() {
    let hub = hub(|settings| settings.update_timeout = Duration::from_secs(60));
    for (content_type, piece) in [("text/plain", "x"), (NDJSON, " x"), (EVENTS, ": x"), (EVENTS, "data: x\n")]
    {
        let began = Instant::now();
        let publish = Publish::begin(&hub, content_type);
        while !publish.answer.is_finished() {
            publish.send(piece);
            sleep(Duration::from_secs(1)).await;
        }
        let answer = publish.answer().await;
        assert_eq!(answer.status(), 408, "{content_type}");
        let detail = text(answer).await;
        assert!(detail.contains("60 s") && detail.contains("--update-timeout"), "{detail}");
        assert!(began.elapsed() < Duration::from_secs(62), "{:?}", began.elapsed());
    }
}

#[tokio::test(start_paused = true)]
async fn an_attachment_that_does_not_arrive_ends_by_its_deadline_and_gives_back_its_room() {
    let directory = tempfile::tempdir().unwrap();
    let mut on_disk = DiskSettings::from(Retention::on_disk());
    on_disk.attachments = AttachmentLimits { each: 1_000, all: 1_000 };
    let log = DiskLog::open(directory.path(), on_disk).unwrap();
    let mut settings = Settings::default();
    settings.upload_timeout = Duration::from_secs(600);
    let hub = Hub::new(Arc::new(log), settings);
    let began = Instant::now();
    let unfinished = Publish::begin(&hub, PNG);
    unfinished.send(vec![0; 300]);
    while metric(&hub, "tidings_attachment_bytes").await != "300" {
        sleep(Duration::from_millis(1)).await;
    }
    let other = |bytes: usize| {
        let publish = Publish::of_length(&hub, PNG, bytes as u64);
        publish.send(vec![1; bytes]);
        publish.end()
    };
    assert_eq!(other(701).await.status(), 507);
    // Each byte comes long before it is missed.
    while !unfinished.answer.is_finished() {
        unfinished.send("x");
        sleep(Duration::from_secs(60)).await;
    }
    assert!(began.elapsed() < Duration::from_secs(661), "{:?}", began.elapsed());
    let answer = unfinished.answer().await;
    assert_eq!(answer.status(), 408);
    let detail = text(answer).await;
    assert!(detail.contains("600 s") && detail.contains("--upload-timeout"), "{detail}");
    assert_eq!(other(1_000).await.status(), 200, "its room is another publisher's now");
}

#[tokio::test(start_paused = true)]
async fn a_streamed_publish_stays_open_for_as_long_as_its_updates_become_complete() {
    let hub = hub(|settings| settings.update_timeout = Duration::from_secs(60));
    let bodies: [(&str, &[&str]); 4] = [
        (NDJSON, &["{\"data\"", ":\"\"}\n"]),
        // Each piece has the end of one and the beginning of the next.
        (NDJSON, &["\n{\"data\"", ":\"\"}\n{\"data\":\"\"}\n"]),
        (EVENTS, &["data", ": x\n\n"]),
        (EVENTS, &[": quiet\n", ": quiet\n"]),
    ];
    for (content_type, pieces) in bodies {
        let publish = Publish::begin(&hub, content_type);
        for piece in std::iter::repeat_n(pieces, 20).flatten() {
            publish.send(*piece);
            sleep(Duration::from_secs(50)).await;
        }
        assert_eq!(publish.end().await.status(), 200, "{pieces:?}");
    }
    let publish = Publish::begin(&hub, NDJSON);
    for _ in 0..20 {
        publish.send("{\"data\":\"\"}\n{\"da");
        sleep(Duration::from_secs(30)).await;
        publish.send("ta\":\"\"}\n{\"data\":\"\"}\n{\"data\"");
        sleep(Duration::from_secs(40)).await;
        publish.send(":\"\"}\n");
    }
    assert_eq!(publish.end().await.status(), 200);
}

async fn ask(hub: &Hub, target: &str, accept: &str) -> Response<HubBody> {
    let request = Request::get(target).header("host", "localhost").header("accept", accept);
    hub.service().call(request.body(Full::<Bytes>::default()).unwrap()).await.unwrap()
}

const JSON: &str = "application/json";
const ANSWERS: &str = "tidings_budget_used_bytes{budget=\"answers\"}";

#[tokio::test]
async fn a_page_is_as_large_as_what_a_stream_is_sent_at_once_and_is_encoded_as_it_is_sent() {
    let hub = hub(|_| {});
    let large = "\u{1}".repeat(1_000_000);
    for data in [&large, &"x".repeat(30_000), &"y".repeat(30_000), &large, "last"] {
        let request = Request::post("/topics/a").header("host", "localhost");
        let request = request.body(Full::new(Bytes::from(data.to_owned()))).unwrap();
        assert_eq!(hub.service().call(request).await.unwrap().status(), 200);
    }
    let (mut seen, mut position) = (Vec::new(), "start".to_owned());
    loop {
        let mut body = ask(&hub, &format!("/topics/a?limit=1000&from={position}"), JSON).await.into_body();
        let mut json = Vec::new();
        while let Some(frame) = body.frame().await {
            let piece = frame.unwrap().into_data().unwrap();
            // The last step of one chunk is at most 4 KiB of data, six times as long in JSON.
            assert!(piece.len() <= (64 << 10) + 6 * (4 << 10) + 300, "{}", piece.len());
            json.extend_from_slice(&piece);
        }
        let page: serde_json::Value = serde_json::from_slice(&json).unwrap();
        let updates = page["updates"].as_array().unwrap();
        if updates.is_empty() {
            break;
        }
        seen.push(updates.iter().map(|update| update["data"].as_str().unwrap().len()).collect::<Vec<_>>());
        page["next"].as_str().unwrap().clone_into(&mut position);
    }
    assert_eq!(seen, [vec![1_000_000], vec![30_000, 30_000, 1_000_000], vec![4]]);
}

#[tokio::test]
async fn pages_under_way_are_bounded_together_and_small_ones_go_on() {
    let hub = hub(|settings| settings.answer_bytes = 300 << 10);
    publish(&hub, 200 << 10).await;
    let held = ask(&hub, "/topics/a", JSON).await;
    assert_eq!(held.status(), 200);
    let refused = ask(&hub, "/topics/a", JSON).await;
    assert_eq!(refused.status(), 503);
    assert_eq!(refused.headers()[header::RETRY_AFTER], "1");
    let detail = text(refused).await;
    assert!(detail.contains("--answer-memory"), "{detail}");
    assert_eq!(ask(&hub, "/topics/b", JSON).await.status(), 200);
    assert_eq!(text(held).await.len(), text(ask(&hub, "/topics/a", JSON).await).await.len());
    assert_eq!(metric(&hub, ANSWERS).await, "0");
}

#[tokio::test]
async fn a_subscriber_who_comes_when_the_memory_for_answers_is_spent_gets_everything_all_the_same() {
    let hub = hub(|settings| settings.answer_bytes = 300 << 10);
    publish(&hub, 200 << 10).await;
    let held = ask(&hub, "/topics/a", JSON).await;
    for from in ["from=start", "from=unknown"] {
        let mut stream = ask(&hub, &format!("/topics/a?{from}"), EVENTS).await.into_body();
        let mut seen = Vec::new();
        while !seen.ends_with(b"\n\n") || seen.len() < 200 << 10 {
            seen.extend_from_slice(&stream.frame().await.unwrap().unwrap().into_data().unwrap());
        }
        let seen = String::from_utf8(seen).unwrap();
        assert_eq!(seen.matches("\nevent: gap\n").count(), usize::from(from == "from=unknown"));
        // An `x` may also stand in an ID.
        let data = seen.lines().filter_map(|line| line.strip_prefix("data: xx")).collect::<Vec<_>>();
        assert_eq!(data, ["x".repeat((200 << 10) - 2)]);
    }
    drop(held);
}

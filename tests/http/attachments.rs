//! Files that are published: announced by an event, served with ranges, gone with the update.

use std::{collections::BTreeSet, path::Path};

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::{Response, StatusCode};
use serde_json::Value;
use tempfile::TempDir;

use crate::support::{
    HubProcess, full,
    http2::Http2,
    request, send,
    wire::{Answer, Headers, Stream, Wire, ask, data, head, page, post, say},
};

/// Of the first 200,000 bytes of a picture, as sha256sum has it.
const SUM_OF_200_000: &str = "cc448c694ef0915b1f88a0f50ec32c09a2647e4c56fefa63524df20b32bc11ec";

const PNG: (&str, &str) = ("content-type", "image/png");

/// No text: every byte value, and more than one chunk.
fn picture(length: usize) -> Bytes {
    (0..length).map(|index| (index % 251) as u8 ^ (index >> 8) as u8).collect()
}

/// A hub with its history in a directory of its own.
struct Disk {
    hub: HubProcess,
    directory: TempDir,
}

impl Disk {
    fn start(arguments: &[&str]) -> Disk {
        let directory = TempDir::new().expect("a place for the log");
        Disk { hub: start(directory.path(), arguments), directory }
    }

    /// The same directory with a new process.
    fn restart(self) -> Disk {
        drop(self.hub);
        Disk { hub: start(self.directory.path(), &[]), directory: self.directory }
    }

    fn files(&self) -> BTreeSet<String> {
        let entries = std::fs::read_dir(self.directory.path().join("attachments")).expect("it is there");
        entries.map(|entry| entry.expect("an entry").file_name().into_string().expect("ASCII")).collect()
    }

    async fn post(&self, target: &str, headers: Headers<'_>, body: impl AsRef<[u8]>) -> Answer {
        ask(&self.hub.address, "POST", target, headers, body).await
    }

    /// Publishes a file, and gives back its URL.
    async fn attach(&self, target: &str, body: impl AsRef<[u8]>) -> String {
        let answer = self.post(target, &[PNG], body).await;
        assert_eq!(answer.status(), 200, "{answer:?}");
        answer.json()["attachment"].as_str().expect("the answer names it").to_owned()
    }

    async fn get(&self, url: &str, headers: Headers<'_>) -> Response<Bytes> {
        self.ask("GET", url, headers).await
    }

    async fn ask(&self, method: &str, url: &str, headers: Headers<'_>) -> Response<Bytes> {
        let mut request = request(&self.hub.address, method, url);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = send(&self.hub.address, request.body(full("")).expect("a valid request")).await;
        let (parts, body) = response.into_parts();
        let body = body.collect().await.expect("the body is as long as the head says").to_bytes();
        Response::from_parts(parts, body)
    }
}

fn start(directory: &Path, arguments: &[&str]) -> HubProcess {
    let directory = directory.to_str().expect("its name is UTF-8");
    HubProcess::start(&[&["--data", directory], arguments].concat())
}

fn header<'r>(response: &'r Response<Bytes>, name: &str) -> &'r str {
    response.headers().get(name).map_or("", |value| value.to_str().expect("ASCII"))
}

/// Waits until a condition of the hub's files holds, which nothing else tells.
async fn eventually(holds: impl Fn() -> bool) {
    for _ in 0..6000 {
        if holds() {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("it never came to hold");
}

#[tokio::test]
async fn a_file_is_announced_and_comes_back_as_it_was() {
    let disk = Disk::start(&[]);
    let mut stream = Stream::live(&disk.hub.address, "/topics/a").await;
    let picture = picture(200_000);
    let answer = disk.post("/topics/a?name=photo%201.png", &[PNG], &picture).await.json();
    let event = stream.event().await;
    assert_eq!((event.event_type.as_str(), &event.id.as_str().into()), ("attachment", &answer["id"]));
    let announced = event.json();
    assert_eq!(announced["url"], answer["attachment"]);
    assert_eq!(announced["type"], "image/png");
    assert_eq!(announced["size"], 200_000);
    assert_eq!(announced["name"], "photo 1.png");
    assert_eq!(announced["sha256"], SUM_OF_200_000);

    let url = announced["url"].as_str().expect("a URL");
    let response = disk.get(url, &[]).await;
    assert_eq!(response.status(), 200);
    assert!(response.body() == &picture, "the bytes are the same");
    assert_eq!(header(&response, "content-type"), "image/png");
    assert_eq!(header(&response, "content-length"), "200000");
    assert_eq!(header(&response, "etag"), format!("\"{SUM_OF_200_000}\""));
    assert_eq!(header(&response, "accept-ranges"), "bytes");
    assert!(header(&response, "cache-control").contains("immutable"));

    let response = disk.ask("HEAD", url, &[]).await;
    assert_eq!((response.status(), response.body().len()), (StatusCode::OK, 0));
    assert_eq!(header(&response, "content-length"), "200000");
    assert_eq!(header(&response, "content-type"), "image/png");
}

#[tokio::test]
async fn parameters_make_the_event_that_announces() {
    let disk = Disk::start(&[]);
    let mut stream = Stream::live(&disk.hub.address, "/topics/a").await;
    let answer = disk.post("/topics/a?type=picture&id=p-1&retry=700&close=done", &[PNG], "x").await.json();
    assert_eq!((&answer["count"], &answer["first"]), (&2.into(), &"p-1".into()), "{answer}");
    let event = stream.event().await;
    assert_eq!((event.event_type.as_str(), event.id.as_str()), ("picture", "p-1"));
    assert_eq!(event.retry.as_deref(), Some("700"));
    assert_eq!(event.json()["url"], answer["attachment"]);
    assert_eq!(stream.event().await.event_type, "close");
}

#[tokio::test]
async fn an_empty_file_is_a_file() {
    let disk = Disk::start(&[]);
    let url = disk.attach("/topics/a", "").await;
    let response = disk.get(&url, &[]).await;
    assert_eq!((response.status(), response.body().len()), (StatusCode::OK, 0));
    assert_eq!(header(&response, "content-length"), "0");
}

#[tokio::test]
async fn one_range_is_sent_alone() {
    let disk = Disk::start(&[]);
    let picture = picture(100_000);
    let url = disk.attach("/topics/a", &picture).await;
    for (range, first, last) in [
        ("bytes=0-0", 0, 0),
        ("bytes=70000-80000", 70_000, 80_000),
        ("bytes=99990-", 99_990, 99_999),
        ("bytes=-10", 99_990, 99_999),
        ("bytes=50-999999", 50, 99_999),
    ] {
        let response = disk.get(&url, &[("range", range)]).await;
        assert_eq!(response.status(), 206, "{range}");
        assert!(response.body()[..] == picture[first..=last], "{range}");
        assert_eq!(header(&response, "content-range"), format!("bytes {first}-{last}/100000"), "{range}");
        assert_eq!(header(&response, "content-length"), (last - first + 1).to_string(), "{range}");
    }
    for range in ["bytes=0-1,5-6", "bytes=5-1", "pages=1-2", "bytes=x"] {
        let response = disk.get(&url, &[("range", range)]).await;
        assert_eq!((response.status(), response.body().len()), (StatusCode::OK, 100_000), "{range}");
    }
    for range in ["bytes=100000-", "bytes=-0"] {
        let response = disk.get(&url, &[("range", range)]).await;
        assert_eq!(response.status(), 416, "{range}");
        assert_eq!(header(&response, "content-range"), "bytes */100000", "{range}");
    }
    let response = disk.ask("HEAD", &url, &[("range", "bytes=0-0")]).await;
    assert_eq!(header(&response, "content-length"), "100000", "a range is of GET alone");
}

#[tokio::test]
async fn a_client_that_has_it_is_not_sent_it_again() {
    let disk = Disk::start(&[]);
    let url = disk.attach("/topics/a", "bytes").await;
    let etag = header(&disk.get(&url, &[]).await, "etag").to_owned();
    for tags in [etag.clone(), format!("W/{etag}"), format!("\"other\", {etag}"), "*".into()] {
        let response = disk.get(&url, &[("if-none-match", &tags), ("range", "bytes=0-1")]).await;
        assert_eq!((response.status(), response.body().len()), (StatusCode::NOT_MODIFIED, 0), "{tags}");
        assert_eq!(header(&response, "etag"), etag);
    }
    assert_eq!(disk.get(&url, &[("if-none-match", "\"other\"")]).await.status(), 200);

    let ranged = |tag| [("range", "bytes=1-2"), ("if-range", tag)];
    assert_eq!(disk.get(&url, &ranged(&etag)).await.status(), 206);
    let weak = format!("W/{etag}");
    for other in ["\"other\"", &weak, "Sat, 01 Jan 2000 00:00:00 GMT"] {
        let response = disk.get(&url, &ranged(other)).await;
        assert_eq!((response.status(), &response.body()[..]), (StatusCode::OK, &b"bytes"[..]), "{other}");
    }
}

#[tokio::test]
async fn an_attachment_over_the_limit_is_refused_and_leaves_nothing() {
    let disk = Disk::start(&["--max-attachment", "100KiB"]);
    let (fits, over) = (picture(100 << 10), picture((100 << 10) + 1));
    disk.attach("/topics/fits", &fits).await;
    let files = disk.files();
    // By its length, before a byte is read.
    let mut wire = Wire::connect(&disk.hub.address).await;
    let headers = [PNG, ("content-length", "102401")];
    wire.write(head(&disk.hub.address, "POST", "/topics/a", &headers)).await;
    wire.answer().await.refusal(413, "102400");
    // And without one, where it is crossed.
    let mut wire = Wire::connect(&disk.hub.address).await;
    let headers = [PNG, ("transfer-encoding", "chunked")];
    wire.write(head(&disk.hub.address, "POST", "/topics/a", &headers)).await;
    wire.write_chunk(&over).await;
    wire.answer().await.refusal(413, "102400");
    eventually(|| disk.files() == files).await;
    assert_eq!(data(&page(&disk.hub.address, "/topics/a").await), [""; 0]);
}

#[tokio::test]
async fn a_full_store_refuses_until_updates_go() {
    let disk = Disk::start(&["--attachment-quota", "100KiB", "--max-updates", "2"]);
    let half = picture(60 << 10);
    let first = disk.attach("/topics/a", &half).await;
    let refusal = disk.post("/topics/a", &[PNG], &half).await.refusal(507, "102400");
    assert!(refusal["detail"].to_string().contains("--attachment-quota"), "{refusal}");
    // Without a length it is found out on the way, and what came is given back.
    let mut wire = Wire::connect(&disk.hub.address).await;
    let headers = [PNG, ("transfer-encoding", "chunked")];
    wire.write(head(&disk.hub.address, "POST", "/topics/a", &headers)).await;
    wire.write_chunk(&half[..30 << 10]).await;
    wire.write_chunk(&half[..30 << 10]).await;
    wire.answer().await.refusal(507, "102400");
    eventually(|| disk.files().len() == 1).await;

    say(&disk.hub.address, "/topics/b", "1").await;
    say(&disk.hub.address, "/topics/b", "2").await;
    eventually(|| disk.files().is_empty()).await;
    assert_eq!(disk.get(&first, &[]).await.status(), 404);
    let second = disk.attach("/topics/a", &half).await;
    assert_eq!(disk.get(&second, &[]).await.body().len(), half.len());
}

#[tokio::test]
async fn one_connection_cannot_hold_the_room_of_all_attachments() {
    let disk = Disk::start(&["--max-attachment", "100KiB", "--attachment-quota", "1MiB"]);
    let mut http2 = Http2::connect(&disk.hub.direct).await;
    let mut unfinished = Vec::new();
    // A quarter of all is one connection's at most.
    for number in 1..=5 {
        let (mut upload, answer) = http2.begin("POST", "/topics/a", &[PNG]).await;
        upload.send(picture(50 << 10)).await;
        disk.hub.metric(&format!("tidings_attachment_bytes {}", number * (50 << 10))).await;
        unfinished.push((upload, answer));
    }
    let one_too_many = http2.send("POST", "/topics/a", &[PNG], picture(10 << 10)).await.expect("an answer");
    assert_eq!(one_too_many.status(), 507);
    let problem = one_too_many.into_body().collect().await.expect("the answer is whole").to_bytes();
    assert!(String::from_utf8_lossy(&problem).contains("this connection has 262144 bytes"), "{problem:?}");
    // Another publisher has room.
    disk.attach("/topics/b", picture(100 << 10)).await;

    let (upload, answer) = unfinished.pop().expect("five are under way");
    answer.abort();
    drop(upload);
    disk.hub.metric(&format!("tidings_attachment_bytes {}", (4 * 50 + 100) << 10)).await;
    let next = http2.send("POST", "/topics/a", &[PNG], picture(50 << 10)).await.expect("an answer");
    assert_eq!(next.status(), 200, "what one upload has given back is the next one's");
}

#[tokio::test]
async fn an_upload_that_is_cut_off_leaves_no_file_and_no_event() {
    let disk = Disk::start(&[]);
    for headers in [[PNG, ("content-length", "100000")], [PNG, ("transfer-encoding", "chunked")]] {
        let mut wire = Wire::connect(&disk.hub.address).await;
        wire.write(head(&disk.hub.address, "POST", "/topics/a", &headers)).await;
        wire.write_chunk(picture(50_000)).await;
        eventually(|| disk.files().len() == 1).await;
        drop(wire);
        eventually(|| disk.files().is_empty()).await;
    }
    assert_eq!(data(&page(&disk.hub.address, "/topics/a").await), [""; 0]);
    let metrics = ask(&disk.hub.address, "GET", "/metrics", &[], "").await.body;
    assert!(metrics.contains("tidings_attachment_bytes 0\n"), "its room is given back: {metrics}");
}

#[tokio::test]
async fn repeating_an_upload_keeps_one_file_and_answers_as_the_first_time() {
    let disk = Disk::start(&[]);
    let upload =
        async |target: &str, body: &str| disk.post(target, &[PNG, ("idempotency-key", "k-1")], body).await;
    let first = upload("/topics/a?name=n", "bytes").await;
    let files = disk.files();
    let second = upload("/topics/a?name=n", "bytes").await;
    assert_eq!((second.status(), second.json()), (200, first.json()));
    assert_eq!(disk.files(), files);
    for (target, body) in [("/topics/a?name=n", "other"), ("/topics/a?name=m", "bytes")] {
        upload(target, body).await.refusal(422, "k-1");
    }
    let other_type = [("content-type", "image/gif"), ("idempotency-key", "k-1")];
    disk.post("/topics/a?name=n", &other_type, "bytes").await.refusal(422, "k-1");
    assert_eq!(disk.files(), files);
    // An ID of the publisher's own does the same.
    let first = disk.post("/topics/a?id=i", &[PNG], "bytes").await.json();
    assert_eq!(disk.post("/topics/a?id=i", &[PNG], "bytes").await.json(), first);
    disk.post("/topics/a?id=i", &[PNG], "other").await.refusal(409, "i");
    assert_eq!(disk.files().len(), 2);
    let url = first["attachment"].as_str().expect("a URL");
    assert_eq!(&disk.get(url, &[]).await.body()[..], b"bytes");
}

#[tokio::test]
async fn what_a_closed_topic_refuses_leaves_no_file() {
    let disk = Disk::start(&[]);
    post(&disk.hub.address, "/topics/a?close=over", ("content-type", "text/plain"), "").await;
    disk.post("/topics/a", &[PNG], "bytes").await.refusal(409, "over");
    assert_eq!(disk.files().len(), 0);
}

#[tokio::test]
async fn a_download_goes_on_when_its_update_is_gone() {
    let disk = Disk::start(&["--max-updates", "1"]);
    // More than the sockets between the two hold.
    let picture = picture(32 << 20);
    let url = disk.attach("/topics/a", &picture).await;
    let mut wire = Wire::connect(&disk.hub.address).await;
    wire.write(head(&disk.hub.address, "GET", &url, &[("connection", "close")])).await;
    let head = wire.head().await;
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    say(&disk.hub.address, "/topics/a", "next").await;
    eventually(|| disk.files().is_empty()).await;
    assert_eq!(disk.get(&url, &[]).await.status(), 404);
    assert!(wire.rest().await == picture, "all of it came");
}

#[tokio::test]
async fn attachments_survive_a_restart_and_what_a_crash_left_does_not() {
    let disk = Disk::start(&[]);
    let url = disk.attach("/topics/a", "bytes").await;
    let files = disk.files();
    let attachments = disk.directory.path().join("attachments");
    let orphan = "AAAAAAAAAAAAAAAAAAAAAA";
    std::fs::write(attachments.join(orphan), "no update announces it").expect("written");
    std::fs::write(attachments.join(format!("{orphan}.part")), "half").expect("written");
    assert_eq!(disk.get(&format!("/attachments/{orphan}"), &[]).await.status(), 404);
    let disk = disk.restart();
    assert_eq!(disk.files(), files);
    let response = disk.get(&url, &[]).await;
    assert_eq!((header(&response, "content-type"), &response.body()[..]), ("image/png", &b"bytes"[..]));
    let metrics = ask(&disk.hub.address, "GET", "/metrics", &[], "").await.body;
    for line in ["tidings_attachments 1\n", "tidings_attachment_bytes 5\n"] {
        assert!(metrics.contains(line), "{metrics}");
    }
}

#[tokio::test]
async fn a_hostile_file_is_no_page_of_the_hub() {
    let disk = Disk::start(&[]);
    for (content_type, served, disposition) in [
        ("image/png", "image/png", "inline"),
        ("video/mp4; codecs=\"avc1\"", "video/mp4; codecs=\"avc1\"", "inline"),
        ("application/pdf", "application/pdf", "attachment"),
        ("application/xhtml", "application/xhtml", "attachment"),
        ("application/javascript", "application/octet-stream", "attachment"),
        ("APPLICATION/x-JavaScript; x=y", "application/octet-stream", "attachment"),
        ("image/svg", "image/svg", "attachment"),
    ] {
        let answer =
            disk.post("/topics/a", &[("content-type", content_type)], "<script>alert(1)</script>").await;
        let answer = answer.json();
        let url = answer["attachment"].as_str().unwrap_or_else(|| panic!("{content_type}: {answer}"));
        let response = disk.get(url, &[]).await;
        assert_eq!(header(&response, "content-type"), served);
        assert_eq!(header(&response, "content-disposition"), disposition, "{content_type}");
        assert_eq!(header(&response, "x-content-type-options"), "nosniff");
        let policy = header(&response, "content-security-policy");
        assert!(policy.starts_with("sandbox; default-src 'none'"), "{policy}");
    }
}

#[tokio::test]
async fn a_name_is_no_path_and_forges_no_header() {
    let disk = Disk::start(&[]);
    for name in ["", ".", "..", "..%2Fx", "a%5Cb", "a%0D%0Ax-forged:1", "%00", "%FF", &"x".repeat(256)] {
        let answer = disk.post(&format!("/topics/a?name={name}"), &[PNG], "x").await;
        answer.refusal(400, "name");
    }
    let url = disk.attach("/topics/a?name=%22;%20filename=evil.exe%E2%82%AC", "x").await;
    let response = disk.get(&url, &[]).await;
    assert_eq!(
        header(&response, "content-disposition"),
        "inline; filename*=UTF-8''%22%3B%20filename%3Devil.exe%E2%82%AC"
    );
    assert_eq!(disk.files().len(), 1);
}

#[tokio::test]
async fn what_is_no_attachment_is_not_found() {
    let disk = Disk::start(&[]);
    let url = disk.attach("/topics/a", "x").await;
    for path in [
        "/attachments/",
        "/attachments/AAAAAAAAAAAAAAAAAAAAAA",
        "/attachments/..%2Flog.sqlite",
        "/attachments/../log.sqlite",
        "/attachments/%2e%2e%2flock",
        &format!("{url}/"),
        &format!("{url}.part"),
        &url.to_uppercase().replace("/ATTACHMENTS", "/attachments"),
    ] {
        assert_eq!(disk.get(path, &[]).await.status(), 404, "{path}");
    }
    let response = disk.ask("POST", &url, &[]).await;
    assert_eq!(
        (response.status(), header(&response, "allow")),
        (StatusCode::METHOD_NOT_ALLOWED, "GET, HEAD, OPTIONS")
    );
}

#[tokio::test]
async fn a_client_that_may_not_subscribe_may_not_read_attachments() {
    let disk = Disk::start(&["--anonymous", "publish"]);
    let url = disk.attach("/topics/a", "x").await;
    assert_eq!(disk.get(&url, &[("x-forwarded-for", "203.0.113.7")]).await.status(), 403);
}

#[tokio::test]
async fn bodies_that_are_no_single_file_are_refused() {
    let disk = Disk::start(&[]);
    for (content_type, word) in [
        ("multipart/form-data; boundary=x", "by itself"),
        ("image", "media type"),
        ("image/", "media type"),
        ("image/p ng", "media type"),
    ] {
        disk.post("/topics/a", &[("content-type", content_type)], "x").await.refusal(415, word);
    }
    assert_eq!(disk.files().len(), 0);
}

#[tokio::test]
async fn a_hub_without_a_directory_says_what_it_needs() {
    let hub = HubProcess::start(&[]);
    post(&hub.address, "/topics/a", PNG, "x").await.refusal(415, "--data");
    let answer = ask(&hub.address, "GET", "/attachments/AAAAAAAAAAAAAAAAAAAAAA", &[], "").await;
    answer.refusal(404, "AAAA");
}

/// `TIDINGS_ATTACHMENT_MIB` makes it larger.
#[tokio::test]
async fn memory_does_not_grow_with_a_file() {
    const PIECE: usize = 1 << 20;
    let mib = std::env::var("TIDINGS_ATTACHMENT_MIB").map_or(64, |mib| mib.parse().expect("a whole number"));
    let disk = Disk::start(&["--max-attachment", "1GiB"]);
    let piece = picture(PIECE);
    disk.attach("/topics/a", &piece).await;
    let before = disk.hub.resident_bytes();

    let mut wire = Wire::connect(&disk.hub.address).await;
    let length = (mib * PIECE).to_string();
    wire.write(head(&disk.hub.address, "POST", "/topics/a", &[PNG, ("content-length", &length)])).await;
    let mut most = before;
    for _ in 0..mib {
        wire.write(&piece).await;
        most = most.max(disk.hub.resident_bytes());
    }
    let answer = wire.answer().await;
    assert_eq!(answer.status(), 200, "{answer:?}");
    let answer: Value = answer.json();

    let request = request(&disk.hub.address, "GET", answer["attachment"].as_str().expect("a URL"));
    let mut response = send(&disk.hub.address, request.body(full("")).expect("a valid request")).await;
    let mut received = 0;
    while let Some(frame) = response.body_mut().frame().await {
        let data = frame.expect("it comes whole").into_data().expect("no trailers");
        // Each piece of a mebibyte is the same one.
        for (offset, byte) in data.iter().enumerate().step_by(997) {
            assert_eq!(*byte, piece[(received + offset) % PIECE], "at {}", received + offset);
        }
        received += data.len();
        most = most.max(disk.hub.resident_bytes());
    }
    assert_eq!(received, mib * PIECE);
    let grown = most - before;
    println!("{mib} MiB up and down: grown by {} KiB", grown >> 10);
    // What is in flight: a piece of what the connection has read, a chunk of what it sends, their threads' stacks.
    assert!(grown < 16 << 20, "the hub grew by {grown} bytes");
}

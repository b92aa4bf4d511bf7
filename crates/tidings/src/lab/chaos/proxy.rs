//! Handles one request: passes it on, and applies the faults.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use http::{
    HeaderValue, Method, Request, Response, StatusCode,
    header::{AGE, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, VARY},
    request::Parts,
};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tidings_client::{HyperTransport, Transport, is_event_stream};

use super::{
    answer::{self, Answer},
    body::SpoiledBody,
    bom::Bom,
    crlf::CrlfSplit,
    fault::{Fault, Kind, named},
    gzip::{self, Gzip},
    hold::{self, Hold},
    one_behind::OneBehind,
    random::Random,
    recordings::{Recording, Recordings},
    repeats::{Repeat, Repeats},
    upstream::{Upstream, remove_connection_headers},
};

const LAST_EVENT_ID: &str = "last-event-id";

pub(super) struct Proxy {
    upstream: Upstream,
    transport: HyperTransport,
    faults: Vec<Fault>,
    seed: u64,
    requests: AtomicU64,
    recordings: Recordings,
    repeats: Arc<Repeats>,
}

impl Proxy {
    pub(super) fn new(upstream: Upstream, mut faults: Vec<Fault>, seed: u64) -> Proxy {
        faults.sort_by_key(Fault::place);
        Proxy {
            upstream,
            transport: HyperTransport::new(),
            faults,
            seed,
            requests: AtomicU64::new(0),
            recordings: Recordings::default(),
            repeats: Arc::default(),
        }
    }

    /// Whether HTTP/2 responses get a header that HTTP/2 forbids.
    pub(super) fn adds_forbidden_header(&self) -> bool {
        self.faults.iter().any(|fault| *fault.kind() == Kind::ConnectionHeader)
    }

    pub(super) async fn answer(&self, request: Request<Incoming>) -> Answer {
        let number = self.requests.fetch_add(1, Ordering::Relaxed) + 1;
        let mut random = Random::of(self.seed, number);
        let faults: Vec<Fault> = self.faults.iter().filter_map(|fault| fault.choose(&mut random)).collect();
        eprintln!("#{number} {} {}: {}", request.method(), request.uri(), named(&faults));

        let (mut parts, body) = request.into_parts();
        if let Some(answer) = answer::instead(&faults, &parts.uri) {
            return answer;
        }
        parts.uri = answer::without_mark(&parts.uri);
        let url = parts.uri.to_string();
        let is_cached = parts.method == Method::GET && has(&faults, &Kind::Cached);
        if let Some(recording) = is_cached.then(|| self.recordings.find(&url)).flatten() {
            return self.spoil(replay(&recording), &parts, &faults);
        }
        let mut upstream = self.upstream.request(&parts, body);
        if has(&faults, &Kind::StripLastEventId) {
            upstream.headers_mut().remove(LAST_EVENT_ID);
        }
        let mut response = match self.transport.send(upstream).await {
            Ok(response) => response,
            Err(error) => {
                let error = anyhow::Error::new(error);
                crate::terminal::say(&format!("#{number} the upstream does not answer: {error:#}"));
                let text = format!("tidings chaos: the upstream does not answer: {error:#}\n");
                return answer::text(StatusCode::BAD_GATEWAY, text);
            }
        };
        remove_connection_headers(response.headers_mut());
        if !is_event_stream(response.headers()) {
            return sent(response.map(SpoiledBody::new));
        }
        let mut response = response.map(SpoiledBody::new);
        if is_cached {
            if let Some(recorder) = self.recordings.begin(&url, response.headers()) {
                response.body_mut().add(recorder);
            }
            response.headers_mut().insert("x-cache", HeaderValue::from_static("MISS"));
        }
        self.spoil(response, &parts, &faults)
    }

    /// Applies to an event stream the faults for responses.
    fn spoil(&self, mut response: Response<SpoiledBody>, request: &Parts, faults: &[Fault]) -> Answer {
        if !faults.is_empty() {
            // The spoiled stream has another length, and a stream should have none.
            response.headers_mut().remove(CONTENT_LENGTH);
        }
        if self.faults.iter().any(|fault| *fault.kind() == Kind::DuplicateOnResume) {
            let path = request.uri.path();
            let asked = request.headers.get(LAST_EVENT_ID).filter(|_| has(faults, &Kind::DuplicateOnResume));
            let again = asked.and_then(|id| self.repeats.find(path, id.as_bytes()));
            response.body_mut().add(Repeat::new(Arc::clone(&self.repeats), path, again));
        }
        for fault in faults {
            spoil_with(fault.kind(), &mut response, request);
        }
        sent(response)
    }
}

/// Applies one fault to a response. Faults of requests and of connections are skipped.
fn spoil_with(kind: &Kind, response: &mut Response<SpoiledBody>, request: &Parts) {
    match kind {
        Kind::ContentType(value) => {
            response.headers_mut().insert(CONTENT_TYPE, value.clone());
        }
        Kind::ContentLength(length) => {
            response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(length.bytes()));
            response.body_mut().end_after(length.bytes());
        }
        Kind::Bom => response.body_mut().add(Bom::default()),
        Kind::CrlfSplit => response.body_mut().add(CrlfSplit::default()),
        Kind::OneBehind => response.body_mut().add(OneBehind::default()),
        Kind::Hold(size) => response.body_mut().add(Hold::new(size.bytes())),
        Kind::HoldAll => response.body_mut().add(Hold::new(hold::ALL)),
        Kind::Gzip if gzip::is_accepted(&request.headers) => {
            response.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
            response.headers_mut().append(VARY, HeaderValue::from_static("Accept-Encoding"));
            response.body_mut().add(Gzip::new());
        }
        Kind::Drip(rate) => response.body_mut().drip(rate.bytes()),
        Kind::IdleCut(time) => response.body_mut().cut_when_idle(time.time()),
        Kind::Lifetime(time) => response.body_mut().cut_after(time.time()),
        Kind::Gzip
        | Kind::Status(_)
        | Kind::Redirect(_)
        | Kind::Cached
        | Kind::StripLastEventId
        | Kind::DuplicateOnResume
        | Kind::ConnectionHeader => {}
    }
}

/// The response of a cache.
fn replay(recording: &Recording) -> Response<SpoiledBody> {
    let mut response = Response::new(SpoiledBody::new(answer::whole(recording.bytes())));
    let headers = response.headers_mut();
    headers.clone_from(&recording.headers);
    headers.insert(AGE, HeaderValue::from(recording.began.elapsed().as_secs()));
    headers.insert("x-cache", HeaderValue::from_static("HIT"));
    response
}

fn sent(response: Response<SpoiledBody>) -> Answer {
    let (head, body) = response.into_parts();
    let mut answer = Response::new(body.boxed_unsync());
    // The version is that of the connection to the client.
    *answer.status_mut() = head.status;
    *answer.headers_mut() = head.headers;
    answer
}

fn has(faults: &[Fault], kind: &Kind) -> bool {
    faults.iter().any(|fault| fault.kind() == kind)
}

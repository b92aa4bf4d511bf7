//! The bytes of a probe's stream, each at its time.

use std::{
    convert::Infallible,
    fmt,
    future::Future,
    pin::Pin,
    sync::LazyLock,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, request::Parts};
use http_body::{Body, Frame, SizeHint};
use serde_json::{Map, Value, json};
use tidings_codec::{Event, EventId, EventType, encode_comment, encode_retry};
use tokio::time::{Instant, Sleep, sleep_until};

use super::{Knobs, room::Position};

/// Request headers that the stream repeats. A doctor needs to know how they were changed on the way here. None of them
/// is a secret.
const REPEATED: [&str; 7] =
    ["accept", "accept-encoding", "cache-control", "connection", "last-event-id", "via", "x-forwarded-proto"];

/// The body of a response of [`Probes`](super::Probes).
pub struct ProbeBody(Kind);

enum Kind {
    Text(Option<Bytes>),
    Stream(Box<Stream>),
}

struct Stream {
    knobs: Knobs,
    next: Next,
    /// The time of the next item.
    due: Pin<Box<Sleep>>,
    began: Instant,
    /// The number of bytes sent so far.
    sent: usize,
    filler: Filler,
    position: Position,
}

/// The next item of the stream.
enum Next {
    Opening(Value),
    Event(u32),
    /// A comment or nothing, until the silence ends at this time.
    Silence {
        until: Instant,
    },
    Nothing,
}

impl ProbeBody {
    /// Makes a body of one line of text, or an empty body.
    pub(super) fn text(text: String) -> ProbeBody {
        ProbeBody(Kind::Text(Some(text.into()).filter(|text: &Bytes| !text.is_empty())))
    }

    /// Makes a stream of the events after `seen`. `asked` is whether the request had a last event ID, known or unknown.
    pub(super) fn stream(
        knobs: Knobs,
        request: &Parts,
        seen: Option<u32>,
        asked: bool,
        name: String,
        position: Position,
    ) -> ProbeBody {
        let began = Instant::now();
        let start = json!({
            "stream": name,
            "events": knobs.events,
            "every_ms": knobs.every.as_millis() as u64,
            "resumed_after": seen,
            "gap": asked && seen.is_none(),
            "request": { "version": format!("{:?}", request.version), "headers": repeated(&request.headers) },
        });
        ProbeBody(Kind::Stream(Box::new(Stream {
            next: Next::Opening(json!({ "start": start, "first": seen.unwrap_or(0) + 1 })),
            knobs,
            due: Box::pin(sleep_until(began)),
            began,
            sent: 0,
            filler: Filler::default(),
            position,
        })))
    }
}

fn repeated(headers: &HeaderMap) -> Map<String, Value> {
    let text = |name: &str| {
        let values: Vec<_> =
            headers.get_all(name).iter().map(|value| String::from_utf8_lossy(value.as_bytes())).collect();
        (!values.is_empty()).then(|| Value::from(values.join(", ")))
    };
    REPEATED.iter().filter_map(|name| Some(((*name).to_owned(), text(name)?))).collect()
}

impl Stream {
    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Bytes>> {
        let mut bytes = Vec::new();
        while bytes.is_empty() {
            if matches!(self.next, Next::Nothing) {
                return Poll::Ready(None);
            }
            ready!(self.due.as_mut().poll(context));
            self.take_due(&mut bytes);
        }
        self.sent += bytes.len();
        let next = self.position.sent(bytes.len());
        if next > self.due.deadline() {
            self.due.as_mut().reset(next);
        }
        Poll::Ready(Some(bytes.into()))
    }

    /// Encodes the items that are due now, and sets the time of the next one.
    fn take_due(&mut self, bytes: &mut Vec<u8>) {
        match std::mem::replace(&mut self.next, Next::Nothing) {
            Next::Opening(mut opening) => {
                encode_comment("", bytes);
                encode_retry(Duration::from_secs(2), bytes);
                if self.knobs.pad > 0 {
                    encode_comment(self.filler.take(self.knobs.pad), bytes);
                }
                self.event("start", None, opening["start"].take(), bytes);
                let first = opening["first"].as_u64().and_then(|first| u32::try_from(first).ok());
                self.after(first.unwrap_or(1), self.began);
            }
            Next::Event(number) => {
                let data = json!({
                    "n": number,
                    "sent_us": self.began.elapsed().as_micros() as u64,
                    "bytes": self.sent,
                    "fill": self.filler.take(self.knobs.size),
                });
                self.event("message", Some(number), data, bytes);
                self.after(number + 1, self.due.deadline());
            }
            Next::Silence { until } if self.due.deadline() < until => {
                encode_comment("", bytes);
                self.silent(until);
            }
            Next::Silence { .. } => {
                if self.knobs.finish {
                    let sent = self.began.elapsed().as_micros() as u64;
                    self.event("end", None, json!({ "sent_us": sent, "bytes": self.sent }), bytes);
                }
            }
            Next::Nothing => {}
        }
    }

    /// Continues with this event, after the items that were due at `last`.
    fn after(&mut self, number: u32, last: Instant) {
        if number <= self.knobs.events {
            self.next = Next::Event(number);
            self.due.as_mut().reset(last + self.knobs.every);
        } else {
            self.silent(last + self.knobs.idle);
        }
    }

    fn silent(&mut self, until: Instant) {
        let heartbeat = self.knobs.heartbeat;
        let now = Instant::now();
        self.due.as_mut().reset(if heartbeat.is_zero() { until } else { until.min(now + heartbeat) });
        self.next = Next::Silence { until };
    }

    fn event(&self, event_type: &str, id: Option<u32>, data: Value, bytes: &mut Vec<u8>) {
        let mut event = Event::new(data.to_string());
        if let Ok(event_type) = EventType::parse(event_type) {
            event = event.with_type(event_type);
        }
        if let Some(id) = id.and_then(|id| EventId::parse(id.to_string()).ok()) {
            event = event.with_id(id);
        }
        event.encode(bytes);
    }
}

/// Letters and digits that compress badly, so that a compressed stream stays about as long. They come from xorshift,
/// and are made once for all streams. The period is longer than the window of compressors.
static FILLER: LazyLock<String> = LazyLock::new(|| {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut state: u32 = 0x9E37_79B9;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        char::from(ALPHABET[(state >> 8) as usize % ALPHABET.len()])
    };
    (0..1 << 20).map(|_| next()).collect()
});

/// How much of the filler a stream has used.
#[derive(Default)]
struct Filler(usize);

impl Filler {
    /// Returns the next piece, of at most 64 KiB.
    fn take(&mut self, count: usize) -> &'static str {
        if count == 0 {
            return "";
        }
        if self.0 + count > FILLER.len() {
            self.0 = 0;
        }
        self.0 += count;
        &FILLER[self.0 - count..self.0]
    }
}

impl Body for ProbeBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let bytes = match &mut self.get_mut().0 {
            Kind::Text(text) => text.take(),
            Kind::Stream(stream) => ready!(stream.poll_next(context)),
        };
        Poll::Ready(bytes.map(|bytes| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Kind::Text(text) => text.is_none(),
            Kind::Stream(stream) => matches!(stream.next, Next::Nothing),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Kind::Text(text) => SizeHint::with_exact(text.as_ref().map_or(0, Bytes::len) as u64),
            Kind::Stream(_) => SizeHint::default(),
        }
    }
}

impl fmt::Debug for ProbeBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProbeBody").field("ended", &self.is_end_stream()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use http::Request;
    use http_body_util::BodyExt;
    use tidings_codec::{Decoder, Item};

    use super::super::Probes;
    use super::*;

    async fn events(path: &str, last_event_id: Option<&str>) -> (u16, Vec<(String, String, Value)>) {
        let mut request = Request::get(path);
        if let Some(id) = last_event_id {
            request = request.header("last-event-id", id);
        }
        let response = Probes::default().answer(&request.body(()).unwrap().into_parts().0);
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        let (mut decoder, mut input, mut events) = (Decoder::new(), &body[..], Vec::new());
        while let Some(item) = decoder.decode(&mut input) {
            if let Item::Event(event) = item.unwrap() {
                let data = serde_json::from_str(event.data()).unwrap();
                events.push((event.event_type().to_owned(), event.id().unwrap_or_default().to_owned(), data));
            }
        }
        (status, events)
    }

    #[tokio::test(start_paused = true)]
    async fn each_event_says_when_it_was_sent_and_what_went_before_it() {
        let (status, events) = events("/probe?events=3&every=100&idle=400&size=10", None).await;
        assert_eq!(status, 200);
        let types: Vec<_> = events.iter().map(|(event_type, ..)| &**event_type).collect();
        assert_eq!(types, ["start", "message", "message", "message", "end"]);
        let sent: Vec<_> =
            events[1..].iter().map(|(.., data)| data["sent_us"].as_u64().unwrap() / 1000).collect();
        assert_eq!(sent, [100, 200, 300, 700]);
        let bytes = |event: usize| events[event].2["bytes"].as_u64().unwrap();
        assert_eq!(bytes(3) - bytes(2), bytes(2) - bytes(1));
        assert_eq!(events[2].2["fill"].as_str().map(str::len), Some(10));
    }

    #[tokio::test(start_paused = true)]
    async fn it_goes_on_strictly_after_the_last_event_id() {
        let (_, after) = events("/probe?events=3", Some("2")).await;
        assert_eq!((&*after[1].1, after.len()), ("3", 3));
        assert_eq!(after[0].2["gap"], false);
        assert_eq!(events("/probe?events=3", Some("3")).await, (204, vec![]));
        let (_, unknown) = events("/probe?events=3", Some("nonsense")).await;
        assert_eq!((&*unknown[1].1, &unknown[0].2["gap"]), ("1", &Value::Bool(true)));
    }

    #[tokio::test(start_paused = true)]
    async fn heartbeats_fill_the_silence_when_they_are_asked_for() {
        let request =
            Request::get("/probe?events=1&idle=10000&heartbeat=3000").body(()).unwrap().into_parts().0;
        let body = Probes::default().answer(&request).into_body().collect().await.unwrap().to_bytes();
        let text = std::str::from_utf8(&body).unwrap();
        assert_eq!(text.lines().filter(|line| *line == ":").count(), 1 + 3, "{text}");
    }

    #[tokio::test]
    async fn there_is_a_bound_to_the_streams_at_a_time() {
        let probes = Probes::default();
        let request = || Request::get("/probe?idle=60000").body(()).unwrap().into_parts().0;
        let mut open: Vec<_> = (0..512).map(|_| probes.answer(&request())).collect();
        assert!(open.iter().all(|answer| answer.status() == 200));
        assert_eq!(probes.answer(&request()).status(), 503);
        open.pop();
        assert_eq!(probes.answer(&request()).status(), 200);
    }
}

//! The plan: decides which exchanges to make of a URL. It does not interpret them.

use std::time::{Duration, SystemTime};

use anyhow::anyhow;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header, uri::PathAndQuery};
use tidings_client::Request;
use tidings_hub::probe::TIDINGS_PROBE;
use tokio::task::JoinSet;

use super::{
    alternative,
    case::{Case, ENCODED, Role},
    exchange::{Ask, Way, exchange, fan},
    fan::Fan,
    observation::{End, Protocol, Seen},
    rules::{Credential, ORIGIN, unreadable},
};

/// Chrome's Accept-Encoding over https.
const BROWSER: &str = "gzip, deflate, br, zstd";

/// The time limit for the first look, and for each of the later ones, which run at the same time.
const FIRST_LOOK: Duration = Duration::from_secs(6);
const LOOK: Duration = Duration::from_secs(5);

/// How long to wait for a head alone.
const HEAD_LOOK: Duration = Duration::from_secs(3);

/// One event each 100 ms for 3 s, then a silence, which reveals a stream that is one event behind.
const PROBE: &str = "events=30&every=100&idle=500";
/// Enough bytes to fill buffers several times.
const BIG: &str = "events=40&every=50&size=4096&idle=200";
/// A silence of 2 s with five comments in it.
const BEATS: &str = "events=2&every=100&idle=2000&heartbeat=400";
const RESUMABLE: &str = "events=10&every=50&idle=200";
const RESUMED_AFTER: &str = "4";
const FINISHED_AFTER: &str = "10";

/// One more than a browser opens to a site over HTTP/1.1, and more than the 100 streams that it may expect over HTTP/2.
const MANY_CONNECTIONS: usize = 7;
const MANY_STREAMS: usize = 120;
/// Streams that stay open until all of them should be answered.
const MANY: &str = "events=1&every=100&idle=1900";
const MANY_LOOK: Duration = Duration::from_millis(1500);
/// If one answer takes longer than this, do not expect many answers in the time limit.
const PROMPT: Duration = Duration::from_millis(500);

/// An ID that does not exist.
const UNKNOWN_ID: &str = "tidings-doctor-was-never-given-this-id";

/// The maximum number of redirects.
const MAX_REDIRECTS: usize = 3;

/// The URL and the options of an examination.
#[derive(Clone, Debug)]
pub(super) struct Target {
    pub(super) url: Uri,
    pub(super) method: Method,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    pub(super) way: Way,
    /// The length of the silence to try.
    pub(super) idle: Option<Duration>,
    /// The duration of the stream to try.
    pub(super) long: Option<Duration>,
}

/// Examines a target in every way that it allows.
///
/// # Errors
/// If no connection can be made.
pub(super) async fn examine(mut target: Target) -> anyhow::Result<Case> {
    let mut case = Case::new(target.url.clone());
    let (plain, probe) = first_look(&mut target, &mut case).await?;
    // After the redirects, which may have taken the credential away.
    let authorization = target.headers.get(header::AUTHORIZATION);
    case.credential = authorization.map(|value| Credential::of(value.as_bytes(), SystemTime::now()));
    case.url = target.url.clone();
    if let Some(why) = probe.as_ref().and_then(unreadable) {
        case.not_measured.push((Role::Probe.asked(), why));
    }
    let cooperative = probe.is_some_and(|probe| {
        let is_one = probe.is_probe() && probe.is_stream();
        if is_one {
            case.seen.push((Role::Probe, probe));
        }
        is_one
    });
    let is_stream = plain.is_stream();
    let plan = match (target.method == Method::GET, cooperative) {
        (false, _) => vec![],
        (true, true) => target.cooperative_plan(&mut case),
        // The same error or page is the answer to every kind of request.
        (true, false) if is_stream || plain.head.is_none() => target.passive_plan(&mut case, &plain),
        (true, false) => vec![],
    };
    case.seen.push((Role::Plain, plain));
    let mut running = JoinSet::new();
    for (role, ask, way) in plan {
        running.spawn(async move { (role, exchange(&ask, &way).await) });
    }
    while let Some(seen) = running.join_next().await {
        match seen {
            // A browser goes on without HTTP/3, and reports nothing.
            Ok((Role::Http3, Seen { end: End::Unreachable(reason), .. })) => {
                case.not_measured.push(("HTTP/3", format!("Alt-Svc offers it, but {reason}")));
            }
            Ok((role, Seen { end: End::Unreachable(reason), .. })) if role.is_for_the_stream() => {
                case.not_measured.push((role.asked(), format!("no connection: {reason}")));
            }
            Ok((_, Seen { end: End::Unreachable(_), .. })) | Err(_) => {}
            Ok(seen) => case.seen.push(seen),
        }
    }
    // Alone, because so many streams would delay those whose timing counts.
    target.look_at_many(&mut case).await;
    target.say_what_is_missing(&mut case);
    Ok(case)
}

/// Requests the stream itself, and the stream of known timing if there may be one. Follows redirects.
async fn first_look(target: &mut Target, case: &mut Case) -> anyhow::Result<(Seen, Option<Seen>)> {
    loop {
        let plain = target.ask(None, FIRST_LOOK);
        let probe = target.ask(Some(PROBE), FIRST_LOOK);
        let (plain, probe) = match target.method {
            Method::GET => {
                let (plain, probe) =
                    tokio::join!(exchange(&plain, &target.way), exchange(&probe, &target.way));
                (plain, Some(probe))
            }
            // The effects of a POST are unknown, so only one is sent.
            _ => (exchange(&plain, &target.way).await, None),
        };
        if let End::Unreachable(reason) = &plain.end {
            return Err(anyhow!("{reason}"));
        }
        let status = plain.status().unwrap_or_default();
        let is_redirect = matches!(status, 301 | 302 | 303 | 307 | 308);
        let head = plain.head.as_ref().filter(|_| is_redirect);
        let Some(location) = head.and_then(|head| head.headers.get(header::LOCATION)) else {
            return Ok((plain, probe));
        };
        let shown = String::from_utf8_lossy(location.as_bytes());
        case.redirects.push((status, without_query(&shown)));
        match target.redirected(status, location) {
            Some(next) if case.redirects.len() <= MAX_REDIRECTS && target.method == Method::GET => {
                target.go_to(&next)?;
            }
            _ => return Ok((plain, probe)),
        }
    }
}

type Plan = Vec<(Role, Ask, Way)>;

impl Target {
    fn ask(&self, knobs: Option<&str>, within: Duration) -> Ask {
        let mut headers = self.headers.clone();
        let mut default = |name: HeaderName, value: &'static str| {
            headers.entry(name).or_insert(HeaderValue::from_static(value));
        };
        default(header::ACCEPT, "text/event-stream");
        // The same headers as an EventSource sends.
        default(header::CACHE_CONTROL, "no-cache");
        default(header::USER_AGENT, concat!("tidings-doctor/", env!("CARGO_PKG_VERSION")));
        let url = knobs.map_or_else(|| self.url.clone(), |knobs| with_query(&self.url, knobs));
        Ask { method: self.method.clone(), url, headers, body: self.body.clone(), within }
    }

    /// The request to which a redirect leads, by the same rules as in tidings-client: secrets stay with their origin.
    /// `None` if the redirect leads nowhere.
    fn redirected(&self, status: u16, location: &HeaderValue) -> Option<Request> {
        let mut request = Request::get(&self.url.to_string()).ok()?;
        for (name, value) in &self.headers {
            request = request.with_header(name.clone(), value.clone());
        }
        let next = request.redirected(StatusCode::from_u16(status).ok()?, location).ok()?;
        matches!(next.url().scheme_str(), Some("http" | "https")).then_some(next)
    }

    fn go_to(&mut self, next: &Request) -> anyhow::Result<()> {
        let origin = |url: &Uri| (url.scheme().cloned(), url.authority().cloned());
        if origin(next.url()) != origin(&self.url) {
            let connect_to = self.way.connect_to.take().filter(|_| next.url().host() == self.url.host());
            self.way = Way::new(next.url(), connect_to, self.way.protocol)?;
        }
        self.headers.clone_from(next.headers());
        self.url = next.url().clone();
        Ok(())
    }

    /// All measurements with streams of known timing.
    fn cooperative_plan(&self, case: &mut Case) -> Plan {
        let probe = |role, coding: Option<&'static str>| {
            let mut ask = self.ask(Some(PROBE), LOOK + Duration::from_secs(1));
            set(&mut ask, header::ACCEPT_ENCODING, coding);
            (role, ask, self.way.clone())
        };
        let knobs = |role, knobs, name, value: Option<&'static str>| {
            let mut ask = self.ask(Some(knobs), LOOK);
            set(&mut ask, name, value);
            (role, ask, self.way.clone())
        };
        let last = HeaderName::from_static("last-event-id");
        case.resumed_after = Some(RESUMED_AFTER.into());
        let mut plan = vec![
            probe(Role::Again, None),
            knobs(Role::Big, BIG, last.clone(), None),
            knobs(Role::Beats, BEATS, last.clone(), None),
            knobs(Role::BeatsGzip, BEATS, header::ACCEPT_ENCODING, Some("gzip")),
            knobs(Role::Resume, RESUMABLE, last.clone(), Some(RESUMED_AFTER)),
            knobs(Role::Finished, RESUMABLE, last, Some(FINISHED_AFTER)),
        ];
        for (role, coding) in ENCODED {
            plan.push(probe(role, Some(if role == Role::Browser { BROWSER } else { coding })));
        }
        for (role, way) in case.get(Role::Probe).map_or_else(Vec::new, |seen| self.other_protocols(seen)) {
            plan.push((role, self.ask(Some(PROBE), LOOK), way));
        }
        let mut any_accept = self.ask(Some(PROBE), LOOK);
        set(&mut any_accept, header::ACCEPT, Some("*/*"));
        plan.push((Role::AnyAccept, any_accept, self.way.clone()));
        if case.get(Role::Probe).is_some_and(may_be_posted) {
            let mut post = Ask { method: Method::POST, body: Bytes::new(), ..self.ask(Some(PROBE), LOOK) };
            // A hub takes a POST at a topic's path for a publish, unless this header says otherwise.
            set(&mut post, TIDINGS_PROBE, Some("1"));
            plan.push((Role::Post, post, self.way.clone()));
        }
        plan.extend(self.heads());
        if let Some(idle) = self.idle {
            let seconds = idle.as_secs();
            let silent = format!("events=2&every=100&idle={}", idle.as_millis());
            let busy = format!("events={seconds}&every=1000&idle=100");
            let within = idle + LOOK;
            plan.push((Role::Idle, self.ask(Some(&silent), within), self.way.clone()));
            plan.push((Role::Busy, self.ask(Some(&busy), within), self.way.clone()));
            plan.push((Role::Watch, self.ask(None, within), self.way.clone()));
        }
        if let Some(long) = self.long {
            let knobs = format!("events={}&every=5000&idle=100", long.as_secs() / 5);
            plan.push((Role::Long, self.ask(Some(&knobs), long + LOOK), self.way.clone()));
        }
        plan
    }

    /// The stream itself again, with other requests.
    fn passive_plan(&self, case: &mut Case, plain: &Seen) -> Plan {
        let look = |role, name, value: Option<&str>| {
            let mut ask = self.ask(None, LOOK);
            set(&mut ask, name, value);
            (role, ask, self.way.clone())
        };
        let last = HeaderName::from_static("last-event-id");
        let mut plan = vec![
            look(Role::Again, last.clone(), None),
            look(Role::Gzip, header::ACCEPT_ENCODING, Some("gzip")),
            look(Role::Browser, header::ACCEPT_ENCODING, Some(BROWSER)),
        ];
        let ids = plain.ids();
        if let [.., asked, _] = &*ids {
            // The last ID but one: the event after it is in even the shortest history.
            case.resumed_after = Some((*asked).to_owned());
            plan.push(look(Role::Resume, last.clone(), Some(asked)));
            plan.push(look(Role::Unknown, last.clone(), Some(UNKNOWN_ID)));
        }
        if plain.end == End::Complete {
            plan.push(look(Role::Finished, last, ids.last().copied()));
        }
        for (role, way) in self.other_protocols(plain) {
            plan.push((role, self.ask(None, LOOK), way));
        }
        if plain.head.is_none() {
            let mut ask = self.ask(None, HEAD_LOOK);
            ask.url = elsewhere(&self.url);
            plan.push((Role::Elsewhere, ask, self.way.clone()));
        }
        plan.extend(self.heads());
        if let Some(idle) = self.idle {
            plan.push((Role::Watch, self.ask(None, idle + LOOK), self.way.clone()));
        }
        if let Some(long) = self.long {
            plan.push((Role::Long, self.ask(None, long + LOOK), self.way.clone()));
        }
        plan
    }

    /// Many streams at the same time. If the server sends no streams of known timing, the doctor requests seven and not
    /// more: their cost for the server is unknown. If such streams end, it requests none, because each may be a job
    /// that was done.
    async fn look_at_many(&self, case: &mut Case) {
        let is_prompt = |seen: &Seen| seen.head.as_ref().is_some_and(|head| head.at < PROMPT);
        let is_endless = |seen: &Seen| seen.is_stream() && seen.end == End::Open;
        let is_cooperative = case.is_cooperative();
        let is_fit =
            case.reference().is_some_and(|seen| is_prompt(seen) && (is_cooperative || is_endless(seen)));
        if self.method != Method::GET || !is_fit {
            return;
        }
        let many = self.ask(is_cooperative.then_some(MANY), MANY_LOOK);
        if case.was_answered_by(Protocol::Http1) {
            case.connections = fan(&many, &self.way, Protocol::Http1, MANY_CONNECTIONS).await;
        }
        if is_cooperative && case.was_answered_by(Protocol::Http2) {
            case.streams = fan(&many, &self.way, Protocol::Http2, MANY_STREAMS).await;
        }
    }

    /// Requests whose head is enough.
    fn heads(&self) -> Plan {
        let look = |role, method, headers: &[(&'static str, &'static str)]| {
            let mut ask = self.ask(None, HEAD_LOOK);
            ask.method = method;
            for (name, value) in headers {
                set(&mut ask, HeaderName::from_static(name), Some(value));
            }
            (role, ask, self.way.clone())
        };
        let preflight = [
            ("origin", ORIGIN),
            ("access-control-request-method", "GET"),
            ("access-control-request-headers", "last-event-id"),
        ];
        vec![
            look(Role::Head, Method::HEAD, &[]),
            look(Role::CrossOrigin, Method::GET, &[("origin", ORIGIN)]),
            look(Role::Preflight, Method::OPTIONS, &preflight),
        ]
    }

    /// The other versions of HTTP to compare, if both sides are free to choose.
    fn other_protocols(&self, seen: &Seen) -> Vec<(Role, Way)> {
        if self.way.tls.is_none() || self.way.protocol.is_some() {
            return vec![];
        }
        let other = match seen.protocol {
            Some(Protocol::Http1) => Some((Role::Http2, self.way.by(Protocol::Http2))),
            Some(Protocol::Http2) => Some((Role::Http1, self.way.by(Protocol::Http1))),
            _ => None,
        };
        let http3 = seen.header("alt-svc").and_then(alternative::http3);
        other
            .into_iter()
            .chain(http3.map(|there| (Role::Http3, self.way.by_http3(&self.url, there))))
            .collect()
    }

    /// Lists the measurements that were not made, because an unmeasured part may be faulty.
    fn say_what_is_missing(&self, case: &mut Case) {
        let mut missing = Vec::new();
        for (role, seen) in
            case.seen.iter().filter(|(role, _)| *role != Role::Plain && role.is_for_the_stream())
        {
            if let Some(why) = unreadable(seen) {
                missing.push((role.asked(), why));
            } else if seen.head.is_none() {
                let seconds = seen.ended.as_secs();
                missing.push((role.asked(), format!("it was not answered within {seconds} s")));
            }
        }
        let has = |role| case.get(role).is_some();
        if self.method != Method::GET {
            let why = format!("a {} is sent only once, because a second one may have an effect", self.method);
            missing.push(("other encodings and protocols, resuming, CORS", why));
        } else if !case.is_cooperative() {
            let why = "the server sends no stream of known timing; run `tidings doctor origin` as the server of the same proxy";
            missing.push(("holding delay and buffer size", why.into()));
            if case.resumed_after.is_none() {
                missing.push(("resuming", "too few events with IDs arrived".into()));
            }
            if !has(Role::Finished) {
                missing.push((
                    "what happens after the end",
                    "the stream did not end during the measurement".into(),
                ));
            }
        } else if case.get(Role::Plain).is_some_and(|plain| !plain.is_probe()) {
            missing.push((
                "the application's own resuming",
                "only streams of known timing were resumed, which tests the way but not the application"
                    .into(),
            ));
        }
        let versions = [Protocol::Http1, Protocol::Http2].map(|protocol| case.was_answered_by(protocol));
        if !versions[1] {
            let why = match (self.way.tls.is_some(), self.way.protocol) {
                (_, Some(_)) => "the command line chose one version of HTTP",
                (false, _) => "an http:// URL cannot negotiate it; use --http2",
                _ => "the server does not offer it",
            };
            missing.push(("HTTP/2", why.into()));
        }
        if !versions[0] && versions[1] {
            missing.push(("HTTP/1.1", "the command line or the server chose one version of HTTP".into()));
        }
        if self.method == Method::GET && case.timing(Role::Post).is_none_or(|(_, post)| post.asked == 0) {
            let why = "only a stream of known timing declares that a POST changes nothing";
            missing.push(("whether POST streams like GET", why.into()));
        }
        let unknown = |fan: &Option<Fan>| fan.as_ref().and_then(Fan::number).is_none();
        let why = "measured only if a stream is answered at once, and stays open or is of known timing";
        if versions[0] && unknown(&case.connections) {
            missing.push(("how many connections at a time are served", why.into()));
        }
        if versions[1] && unknown(&case.streams) {
            missing.push(("how many HTTP/2 streams at a time are served", why.into()));
        }
        if !has(Role::Http3) && case.not_measured.iter().all(|(what, _)| *what != "HTTP/3") {
            let why = match self.way.protocol {
                Some(_) => "the command line chose one version of HTTP",
                None => "no Alt-Svc header offers it",
            };
            missing.push(("HTTP/3", why.into()));
        }
        if self.idle.is_none() {
            missing.push((
                "how long a silence may last, and heartbeats",
                "takes up to 130 s; use --idle".into(),
            ));
        }
        if self.long.is_none() {
            missing.push(("how long a stream may last", "takes up to 16 minutes; use --long".into()));
        }
        let packed = case.seen.iter().find(|(_, seen)| !seen.reads.is_empty() && !seen.is_decoded);
        if let Some(coding) = packed.and_then(|(_, seen)| seen.header("content-encoding")) {
            missing.push((
                "the content of compressed streams",
                format!("{coding} is not decompressed; its pieces were counted"),
            ));
        }
        let why = "virus scanners, extensions and service workers are visible only in the reader's browser";
        missing.push(("the reader's machine", why.into()));
        case.not_measured.extend(missing);
    }
}

/// Whether the stream of known timing allows POST too. For other URLs, the effect of a POST is unknown.
fn may_be_posted(probe: &Seen) -> bool {
    let allowed = probe.header("allow").unwrap_or_default();
    probe.is_probe() && allowed.split(',').any(|method| method.trim() == "POST")
}

fn set(ask: &mut Ask, name: HeaderName, value: Option<&str>) {
    match value.and_then(|value| HeaderValue::from_str(value).ok()) {
        Some(value) => drop(ask.headers.insert(name, value)),
        None => drop(ask.headers.remove(name)),
    }
}

fn with_query(url: &Uri, knobs: &str) -> Uri {
    let mut parts = url.clone().into_parts();
    let path = url.path();
    let query = url.query().map_or_else(String::new, |query| format!("{query}&"));
    parts.path_and_query = format!("{path}?{query}probe=1&{knobs}").parse().ok();
    Uri::from_parts(parts).unwrap_or_else(|_| url.clone())
}

fn elsewhere(url: &Uri) -> Uri {
    let mut parts = url.clone().into_parts();
    parts.path_and_query = Some(PathAndQuery::from_static("/tidings-doctor-asks-who-is-there"));
    Uri::from_parts(parts).unwrap_or_else(|_| url.clone())
}

/// A URL to show, without its query, which may hold a secret.
fn without_query(location: &str) -> String {
    match location.split_once('?') {
        Some((path, _)) => format!("{path}?…"),
        None => location.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::case::made;

    #[test]
    fn a_redirect_is_followed_as_the_client_does_it_and_takes_no_secret_along() {
        let mut target = Target {
            url: "https://h:1/a/b?x=1".parse().unwrap(),
            method: Method::GET,
            headers: HeaderMap::from_iter([(
                HeaderName::from_static("x-api-key"),
                "secret".parse().unwrap(),
            )]),
            body: Bytes::new(),
            way: Way { connect_to: None, protocol: None, tls: None },
            idle: None,
            long: None,
        };
        let to = |target: &Target, location: &'static str| {
            target.redirected(302, &HeaderValue::from_static(location))
        };
        for (location, url) in [
            ("HTTPS://i/c", "https://i/c"),
            ("/c?d=1#e", "https://h:1/c?d=1"),
            ("../c/", "https://h:1/c/"),
            ("//i/c", "https://i/c"),
        ] {
            assert_eq!(to(&target, location).unwrap().url(), url, "{location}");
        }
        assert!(to(&target, "ftp://i/c").is_none() && to(&target, "mailto:a@b").is_none());
        target.go_to(&to(&target, "/c").unwrap()).unwrap();
        assert!(target.headers.contains_key("x-api-key"));
        target.go_to(&to(&target, "http://i/c").unwrap()).unwrap();
        assert!(target.headers.is_empty() && target.way.tls.is_none());
    }

    #[test]
    fn only_a_stream_of_known_timing_that_says_so_is_asked_for_by_post() {
        let answer = |headers: &[(&str, &str)]| made::answer(200, headers, &[], End::Open);
        let probe = ("tidings-probe", "1");
        assert!(may_be_posted(&answer(&[probe, ("allow", "GET, HEAD, POST")])));
        assert!(!may_be_posted(&answer(&[probe, ("allow", "GET, HEAD")])));
        assert!(!may_be_posted(&answer(&[probe])));
        assert!(!may_be_posted(&answer(&[("allow", "GET, HEAD, POST")])));
    }

    #[test]
    fn knobs_follow_the_query_that_is_there() {
        let url = |url: &str| with_query(&url.parse().unwrap(), "events=1").to_string();
        assert_eq!(url("http://h/a"), "http://h/a?probe=1&events=1");
        assert_eq!(url("http://h/a?topic=b"), "http://h/a?topic=b&probe=1&events=1");
    }
}

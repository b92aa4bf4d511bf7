//! A measured server: its URLs for subscribing and publishing, and its processes.

use std::{
    hash::{BuildHasher, RandomState},
    net::{SocketAddr, ToSocketAddrs},
};

use anyhow::Context;

use super::{job::Job, process::Processes, started::Started};
use crate::{cli::BenchTarget, exit::UsageError, net::request};

/// The name of the reference server.
const BOUND: &str = "bound";

/// A server, and how to use it.
pub(super) struct Target {
    pub(super) name: &'static str,
    subscribe: Endpoint,
    pub(super) publish: Publishing,
    /// How many connections may be opening at once.
    connecting: u32,
    /// Its processes, if they are known.
    pub(super) processes: Processes,
    /// Its memory before the measurement: a later round uses again the memory that an earlier one has freed.
    pub(super) memory_before: Option<u64>,
    /// The server, if the measurement started it. It ends when this is dropped.
    _started: Option<Started>,
}

impl Job {
    /// The same with `streams` on a connection over HTTP/2, for all servers except the bound, which speaks only
    /// HTTP/1.1.
    pub(super) fn over_http2(self, target: &Target, streams: Option<u32>) -> Job {
        Job { streams: streams.filter(|_| target.name != BOUND), ..self }
    }
}

/// The way to publish updates to a server.
#[derive(Debug, Clone)]
pub(super) struct Publishing {
    endpoint: Endpoint,
    content_type: String,
    body: String,
}

/// The target of requests.
#[derive(Debug, Clone)]
struct Endpoint {
    address: SocketAddr,
    host: String,
    /// The path with `{topic}` in it, and the query.
    path: String,
    /// Header lines, each with its line end.
    headers: String,
}

impl Target {
    /// The server of the command line, and with `--bound` the reference server after it.
    pub(super) fn all(flags: &BenchTarget) -> anyhow::Result<Vec<Target>> {
        let mut targets = Vec::new();
        if flags.serve {
            let hub = Started::hub(flags.server_core)?;
            targets.push(Target::hub(&hub.url(), "server", flags, Some(hub))?);
        } else if let (Some(subscribe), Some(publish)) = (&flags.subscribe_url, &flags.publish_url) {
            let processes = Processes::new(flags.server_pid.clone());
            targets.push(Target::new("server", subscribe, publish, flags, processes, None)?);
        } else {
            targets.push(Target::hub(&flags.hub.url, "server", flags, None)?);
        }
        if flags.bound {
            let bound = Started::bound(flags.server_core)?;
            targets.push(Target::hub(&bound.url(), BOUND, flags, Some(bound))?);
        }
        Ok(targets)
    }

    fn hub(
        url: &str,
        name: &'static str,
        flags: &BenchTarget,
        started: Option<Started>,
    ) -> anyhow::Result<Target> {
        let url = format!("{}/topics/{{topic}}", url.trim_end_matches('/'));
        let ids = started.as_ref().map_or_else(|| flags.server_pid.clone(), |started| vec![started.id()]);
        let mut target = Target::new(name, &url, &url, flags, Processes::new(ids), started)?;
        // --publish-body is only for the other server.
        target.publish.body = "{data}".into();
        target.publish.content_type = "text/plain".into();
        Ok(target)
    }

    fn new(
        name: &'static str,
        subscribe: &str,
        publish: &str,
        flags: &BenchTarget,
        processes: Processes,
        started: Option<Started>,
    ) -> anyhow::Result<Target> {
        let publish = Publishing {
            endpoint: Endpoint::parse(publish, &flags.header)?,
            content_type: flags.publish_type.clone(),
            body: flags.publish_body.clone(),
        };
        let subscribe = Endpoint::parse(subscribe, &flags.header)?;
        let memory_before = processes.memory();
        let connecting = flags.connecting;
        Ok(Target { name, subscribe, publish, connecting, processes, memory_before, _started: started })
    }

    /// Checks that the URLs can distinguish `topics` topics.
    pub(super) fn check_topics(&self, topics: usize) -> anyhow::Result<()> {
        let tells = |path: &str| path.contains("{topic}");
        if topics > 1 && !(tells(&self.subscribe.path) && tells(&self.publish.endpoint.path)) {
            let problem = format!("{topics} topics need {{topic}} in the URLs to subscribe and to publish");
            return Err(UsageError(problem).into());
        }
        Ok(())
    }

    /// The streams of `subscribers`. They begin after `last_event_id` if there is one.
    pub(super) fn job(&self, run: &Run, subscribers: u32, last_event_id: Option<&str>) -> Job {
        let Endpoint { address, host, path, headers } = &self.subscribe;
        let id = last_event_id.map(|id| format!("Last-Event-ID: {id}\r\n")).unwrap_or_default();
        Job {
            address: *address,
            source: None,
            head: format!(
                "GET {path} HTTP/1.1\r\nHost: {host}\r\nAccept: text/event-stream\r\n{headers}{id}\r\n"
            ),
            topics: run.topics.clone(),
            subscribers,
            streams: None,
            first: 0,
            run: run.number,
            bytes: run.bytes,
            first_update: 0,
            window: self.connecting,
            churns: false,
            wants_id: false,
        }
    }
}

/// One run on a server, with its own topics and updates.
#[derive(Debug, Clone)]
pub(super) struct Run {
    pub(super) number: u32,
    pub(super) topics: Vec<String>,
    pub(super) bytes: usize,
}

impl Run {
    pub(super) fn new(topics: u32, bytes: u32) -> Run {
        // The keys of a `RandomState` are random, so no two runs share one.
        let number = RandomState::new().hash_one(0) as u32;
        let topics = (0..topics).map(|topic| format!("bench-{number:08x}-{topic}")).collect();
        Run { number, topics, bytes: bytes as usize }
    }
}

impl Publishing {
    pub(super) fn address(&self) -> SocketAddr {
        self.endpoint.address
    }

    /// Appends the whole request that publishes `data`.
    pub(super) fn request(&self, topic: &str, data: &str, out: &mut Vec<u8>) {
        let body = self.body.replace("{topic}", topic).replace("{data}", data);
        self.head(topic, &self.content_type, &format!("Content-Length: {}", body.len()), out);
        out.extend_from_slice(body.as_bytes());
    }

    /// Appends the head of a request whose body is streamed.
    pub(super) fn stream_head(&self, topic: &str, content_type: &str, out: &mut Vec<u8>) {
        self.head(topic, content_type, "Transfer-Encoding: chunked", out);
    }

    fn head(&self, topic: &str, content_type: &str, framing: &str, out: &mut Vec<u8>) {
        let Endpoint { host, path, headers, .. } = &self.endpoint;
        let path = path.replace("{topic}", topic);
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: {content_type}\r\n{framing}\r\n{headers}\r\n"
        );
        out.extend_from_slice(head.as_bytes());
    }
}

impl Endpoint {
    fn parse(url: &str, headers: &[String]) -> anyhow::Result<Endpoint> {
        let refuse = |why: &str| UsageError(format!("{url:?}: {why}"));
        let rest = url.strip_prefix("http://").ok_or_else(|| {
            refuse("only http:// URLs can be measured, because reading must cost almost nothing")
        })?;
        let (host, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        if !path.bytes().all(|byte| byte.is_ascii_graphic()) || host.contains('@') {
            return Err(refuse(
                "percent-encode spaces and non-ASCII letters, and send a password in a header",
            )
            .into());
        }
        let with_port = if host.rsplit(':').next().is_some_and(|port| port.parse::<u16>().is_ok())
            && !host.ends_with(']')
        {
            host.to_owned()
        } else {
            format!("{host}:80")
        };
        let address = with_port
            .to_socket_addrs()
            .with_context(|| format!("{host} is unknown"))?
            .next()
            .with_context(|| format!("{host} has no address"))?;
        let mut lines = String::new();
        for line in headers {
            let (name, value) = request::header(line)?;
            lines.push_str(&format!("{name}: {}\r\n", String::from_utf8_lossy(value.as_bytes())));
        }
        Ok(Endpoint { address, host: host.to_owned(), path, headers: lines })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_taken_apart() {
        let cases = [
            ("http://127.0.0.1:4400/topics/{topic}?a=b", "127.0.0.1:4400", "/topics/{topic}?a=b"),
            ("http://127.0.0.1", "127.0.0.1:80", "/"),
            ("http://[::1]:8080?x", "[::1]:8080", "/?x"),
            ("http://[::1]/", "[::1]:80", "/"),
        ];
        for (url, address, path) in cases {
            let endpoint = Endpoint::parse(url, &[]).expect(url);
            assert_eq!((endpoint.address.to_string(), &*endpoint.path), (address.to_owned(), path));
        }
        for url in ["https://127.0.0.1/", "http://a:b@127.0.0.1/", "http://127.0.0.1/a b"] {
            let error = Endpoint::parse(url, &[]).expect_err(url);
            assert!(error.downcast_ref::<UsageError>().is_some(), "{error}");
        }
    }
}

//! `tidings subscribe`: follows topics of a hub, or any event stream.

mod exec;
pub(super) mod print;
mod transport;

use std::{io, sync::Arc};

use anyhow::Context;
use http::{Uri, header::AUTHORIZATION};
use tidings_client::{Error, EventId, EventSource, EventStream, Item, Request};
use tidings_hub::TopicFilter;

use self::{exec::Exec, print::Printer};
use crate::{
    cli::{HUB_IDLE_TIMEOUT, Subscribe},
    exit::UsageError,
    net::{hub_url, request, token::Token},
    terminal::say,
};

pub(crate) async fn run(subscribe: Subscribe) -> anyhow::Result<()> {
    let target = Target::of(&subscribe)?;
    let request = request::request(&subscribe.request, &target.url)?;
    // The client's form of the URL, without a password.
    let name = if target.is_of_topics { subscribe.topics.join(", ") } else { request.url().to_string() };
    let mut source = Source::new(&subscribe, &target, request)?;
    let printer = Printer {
        json: subscribe.json,
        comments: subscribe.comments,
        raw: subscribe.raw,
        asked_for_envelopes: subscribe.json && target.is_of_topics,
        ..Printer::default()
    };
    match follow(&mut source, printer, &subscribe, target, &name).await {
        // The reader has closed the pipe, as `head` does. This is not an error.
        Err(error) if is_broken_pipe(&error) => Ok(()),
        followed => followed,
    }
}

async fn follow(
    source: &mut Source,
    mut printer: Printer,
    subscribe: &Subscribe,
    target: Target,
    name: &str,
) -> anyhow::Result<()> {
    let mut open_topics = target.open_topics;
    let mut exec = subscribe.exec.as_deref().map(Exec::new);
    while let Some(item) = source.next().await {
        let item = match item {
            Ok(item) => item,
            Err(error) => {
                printer.fatal(&error)?;
                return Err(error).context(format!("cannot follow {name}"));
            }
        };
        let event = printer.print(&item)?;
        let Some(event) = event else { continue };
        if let Some(exec) = &mut exec {
            // The hub's events that the stream has begun, and that its token ends, are not updates.
            if !(printer.is_hub && ["start", "access"].contains(&&*event.event_type)) {
                exec.run(&event).await?;
            }
        }
        if !printer.is_hub {
            continue;
        }
        if let (Some(open), "close", Some(topic)) = (&mut open_topics, &*event.event_type, &event.topic) {
            open.retain(|open| open != topic);
            if open.is_empty() {
                break;
            }
        }
    }
    Ok(printer.closed()?)
}

/// The stream to follow.
struct Target {
    url: String,
    last_event_id: Option<EventId>,
    /// Whether the target is topics of a hub, and not a URL.
    is_of_topics: bool,
    /// The topics, if none of them is a pattern. Then the subscription ends with its topics.
    open_topics: Option<Vec<String>>,
}

impl Target {
    fn of(subscribe: &Subscribe) -> anyhow::Result<Target> {
        let id = |text: &str| EventId::parse(text).map_err(|error| UsageError(format!("{text:?}: {error}")));
        let last_event_id = subscribe.last_event_id.as_deref().map(id).transpose()?;
        if let [url] = &*subscribe.topics {
            if hub_url::is_url(url) {
                return Ok(Target {
                    url: url.clone(),
                    last_event_id,
                    is_of_topics: false,
                    open_topics: None,
                });
            }
        }

        let mut open_topics = Some(Vec::new());
        for text in &subscribe.topics {
            match TopicFilter::parse(text).map_err(|error| UsageError(error.to_string()))? {
                TopicFilter::Exact(topic) => {
                    open_topics.iter_mut().for_each(|open| open.push(topic.to_string()));
                }
                TopicFilter::Below(_) | TopicFilter::All => open_topics = None,
            }
        }
        // In both cases an event names its topic. Only the envelope has its time.
        let mut parameters = vec![if subscribe.json { ("envelope", "json") } else { ("fields", "topic") }];
        let last_event_id = match &*subscribe.from {
            "end" => last_event_id,
            "start" => {
                parameters.push(("from", "start"));
                None
            }
            text => Some(id(text)?),
        };
        let url = hub_url::of_topics(&subscribe.hub.url, &subscribe.topics, &parameters);
        Ok(Target { url, last_event_id, is_of_topics: true, open_topics })
    }
}

/// The token for a request to the hub. A URL of another server gets none, and neither does a request with another credential.
fn token(subscribe: &Subscribe, request: &Request) -> Option<Token> {
    let origin = |url: &Uri| (url.scheme().cloned(), url.authority().cloned());
    let hub: Option<Uri> = subscribe.hub.url.parse().ok();
    let is_of_hub = hub.is_some_and(|hub| origin(&hub) == origin(request.url()));
    let file = subscribe.token.token_file.as_ref();
    if let (false, Some(file)) = (is_of_hub, file) {
        let (file, hub) = (file.display(), &subscribe.hub.url);
        say(&format!(
            "tidings: the token in {file} is for the hub at {hub}, and is not sent to another server; use -H for that"
        ));
    }
    (is_of_hub && !request.headers().contains_key(AUTHORIZATION)).then(|| Token::of_hub(file)).flatten()
}

/// A stream that is followed across reconnections, or read once.
enum Source {
    Following(Box<EventSource>),
    Once(Box<EventStream>),
}

impl Source {
    fn new(subscribe: &Subscribe, target: &Target, request: Request) -> anyhow::Result<Source> {
        let idle_timeout =
            subscribe.idle_timeout.map(|time| time.0).or(target.is_of_topics.then_some(HUB_IDLE_TIMEOUT));
        let max_event_bytes =
            usize::try_from(subscribe.max_event_bytes.0).context("--max-event-bytes is too large")?;
        let transport = Arc::new(transport::transport(subscribe)?);
        macro_rules! configured {
            ($source:expr) => {{
                let mut source = $source
                    .with_transport(transport)
                    .with_comments(subscribe.comments)
                    .with_max_event_bytes(max_event_bytes)
                    .with_max_line_bytes(max_event_bytes);
                if let Some(id) = &target.last_event_id {
                    source = source.with_last_event_id(id.clone());
                }
                if let Some(timeout) = idle_timeout {
                    source = source.with_idle_timeout(timeout);
                }
                Box::new(source)
            }};
        }
        let token = token(subscribe, &request);
        Ok(if subscribe.once || !request.is_repeatable() {
            let request = match token {
                Some(token) => request.with_header(AUTHORIZATION, token.header()?),
                None => request,
            };
            Source::Once(configured!(EventStream::new(request)))
        } else {
            let source = EventSource::new(request)
                .with_reconnection_time(subscribe.initial_retry.0)
                .with_status_retries(!subscribe.strict);
            Source::Following(match token {
                Some(token) => configured!(source.with_token(move |_| {
                    let token = token.read();
                    async move { Ok(token?) }
                })),
                None => configured!(source),
            })
        })
    }

    async fn next(&mut self) -> Option<Result<Item, Error>> {
        match self {
            Source::Following(source) => source.next().await,
            Source::Once(stream) => stream.next().await,
        }
    }
}

/// Whether an error means that the reader of our output has closed the pipe.
pub(super) fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

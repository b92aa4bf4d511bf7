//! `POST /tickets`: a ticket for the URL of one stream.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::{HeaderMap, Response, StatusCode};
use http_body::Body;
use serde::{Deserialize, Serialize};

use crate::{
    Grant, Hub, MAX_FILTERS, Right, Selector, StartAt, Subject, TopicFilter,
    authorize::{Control, CredentialKind, TicketTerms, new_ticket},
    dialect::native::start_at,
    http::{HubBody, Problem, json::json, json_body::read_json, service::BoxError},
};

/// How long a ticket may wait for its use, in seconds, if its request does not say.
const HOLDS: u64 = 30;
const MAX_HOLDS: u64 = 300;

/// How long its stream may be open, in seconds, if its request does not say.
const LIFE: u64 = 3_600;
const MAX_LIFE: u64 = 30 * 86_400;

/// The most bytes of a ticket's topics together.
const MAX_TOPIC_BYTES: usize = 4 << 10;

const EXAMPLE: &str = "{\"topics\": [\"users/alice/*\"], \"for\": 30}";

/// The ticket that is asked for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    topics: Vec<String>,
    from: Option<String>,
    #[serde(rename = "for")]
    holds: Option<u64>,
    life: Option<u64>,
    sub: Option<String>,
    #[serde(default)]
    reconnect: bool,
}

#[derive(Serialize)]
struct Made<'a> {
    ticket: &'a str,
    url: String,
    expires: String,
}

/// Makes a ticket for the bearer of a credential.
///
/// # Errors
/// 403 for topics that the credential does not allow to read, and for a subject of somebody else without the right for that; 429
/// when there are too many tickets.
pub(crate) async fn ticket<B>(
    hub: &Hub,
    control: &Control,
    grant: &Grant,
    headers: &HeaderMap,
    body: B,
) -> Result<Response<HubBody>, Problem>
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let (Some(accepted), Some(credential)) = (grant.accepted(), grant.credential()) else {
        return Err(Problem::credential_missing());
    };
    if credential.kind == CredentialKind::Ticket {
        return Err(Problem::forbidden(
            "a ticket gets no other ticket; send the credential that has got this one",
        )
        .with("rule", "credential-not-here"));
    }
    let Asked { topics, from, holds, life, sub, reconnect } = read_json(hub, headers, body, EXAMPLE).await?;
    let asked = selector(&topics)?;
    // The grant is looked at again when the ticket is used. But a client should hear of a mistake now.
    drop(grant.reading(asked.clone())?);
    let from = match from {
        Some(from) if matches!(start_at(&from)?, StartAt::Oldest | StartAt::Tail | StartAt::After(_)) => {
            Some(from)
        }
        _ => None,
    };
    let holds = seconds("for", holds, HOLDS, MAX_HOLDS)?;
    let life = seconds("life", life, LIFE, MAX_LIFE)?;
    let subject = match sub {
        None => credential.subject.clone(),
        Some(_) if !grant.has(Right::Tickets) => {
            return Err(Problem::forbidden(
                "a ticket in the name of somebody else (sub) needs the right \"tickets\"; leave sub out, or send a credential \
                 that has the right",
            )
            .with("rule", "right-missing"));
        }
        Some(name) if name.is_empty() || name.len() > 256 || name.chars().any(char::is_control) => {
            return Err(Problem::invalid("sub has 1 to 256 bytes, and no control characters"));
        }
        Some(name) => Some(Subject::new(credential.issuer.clone().unwrap_or_default(), name)),
    };
    let end = |life: Duration| SystemTime::now().checked_add(life);
    let ends = end(life).into_iter().chain(credential.expires).min();
    let ends = ends.ok_or_else(|| Problem::invalid("life is too long"))?;
    let ticket = new_ticket().map_err(|error| {
        tracing::error!(%error, "there is no randomness for a ticket");
        Problem::no_randomness()
    })?;
    let terms = TicketTerms {
        of: accepted.clone(),
        asked,
        from: from.map(Into::into),
        ends,
        subject,
        reconnects: reconnect,
    };
    control.put_ticket(&ticket, terms, holds)?;
    let expires = humantime::format_rfc3339_seconds(end(holds).unwrap_or(ends)).to_string();
    let made = Made { ticket: &ticket, url: format!("/topics?ticket={ticket}"), expires };
    let made = serde_json::to_vec(&made).expect("texts are valid JSON");
    let mut response = json(HubBody::from(Bytes::from(made)), "no-store");
    *response.status_mut() = StatusCode::CREATED;
    Ok(response)
}

/// The topics and patterns that are asked for.
fn selector(topics: &[String]) -> Result<Selector, Problem> {
    let bytes: usize = topics.iter().map(String::len).sum();
    if topics.is_empty() || topics.len() > MAX_FILTERS || bytes > MAX_TOPIC_BYTES {
        let count = topics.len();
        return Err(Problem::invalid(format!(
            "a ticket is for 1 to {MAX_FILTERS} topics and patterns of at most {MAX_TOPIC_BYTES} bytes together, and this is for \
             {count} of {bytes} bytes"
        )));
    }
    let filters = topics.iter().map(|text| TopicFilter::parse(text));
    filters.collect::<Result<_, _>>().map_err(Problem::invalid)
}

fn seconds(name: &str, asked: Option<u64>, default: u64, most: u64) -> Result<Duration, Problem> {
    match asked.unwrap_or(default) {
        seconds if (1..=most).contains(&seconds) => Ok(Duration::from_secs(seconds)),
        seconds => {
            Err(Problem::invalid(format!("{name} is {seconds}; it is a number of seconds from 1 to {most}")))
        }
    }
}

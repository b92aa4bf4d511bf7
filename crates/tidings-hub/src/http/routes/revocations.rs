//! `/revocations`: credentials that hold no longer.

use std::time::{Duration, SystemTime};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use bytes::Bytes;
use http::{HeaderMap, Response};
use http_body::Body;
use serde::{Deserialize, Serialize};
use tokio::task::spawn_blocking;

use std::sync::Arc;

use crate::{
    Hub,
    authorize::{
        Control, NotRevoked, Revocation, RevocationRequest, Target, id_of_api_key, is_api_key_id,
        revocation_target, ticket_name,
    },
    http::{HubBody, Problem, json::json, json_body::read_json, service::BoxError},
};

const EXAMPLE: &str = "{\"sub\": \"alice\"}";

/// The most bytes of a reason.
const MAX_REASON_BYTES: usize = 1 << 10;

/// The latest time that a revocation may name: the year 9999.
const MAX_SECONDS: f64 = 253_402_300_799.0;

/// The revocation that is asked for. Times are in seconds since 1970, as in a token.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    jti: Option<Box<str>>,
    sub: Option<Box<str>>,
    iss: Option<Box<str>>,
    key: Option<Box<str>>,
    ticket: Option<Box<str>>,
    issued_before: Option<f64>,
    /// When the token expires anyway.
    exp: Option<f64>,
    reason: Option<Box<str>>,
}

/// A revocation, in an answer.
#[derive(Serialize)]
struct RevocationJson {
    id: Box<str>,
    #[serde(flatten)]
    target: TargetJson,
    #[serde(skip_serializing_if = "Option::is_none")]
    issued_before: Option<String>,
    until: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<Box<str>>,
    time: String,
}

#[derive(Serialize)]
#[serde(rename_all = "lowercase", untagged)]
enum TargetJson {
    Token {
        jti: Box<str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        iss: Option<Box<str>>,
    },
    Subject {
        sub: Box<str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        iss: Option<Box<str>>,
    },
    Issuer {
        iss: Box<str>,
    },
    ApiKey {
        key: Box<str>,
    },
    Ticket {
        ticket: Box<str>,
    },
}

#[derive(Serialize)]
struct MadeJson {
    id: Box<str>,
    until: Option<String>,
    /// How many open streams end by it.
    streams: u32,
    /// How many unused tickets are void.
    tickets: usize,
    /// Whether it outlives the process.
    durable: bool,
}

#[derive(Serialize)]
struct ListJson {
    durable: bool,
    revocations: Vec<RevocationJson>,
}

/// Revokes credentials, and ends their streams.
///
/// # Errors
/// 400 for a request that names none, or several kinds; 507 when the list is full; 503 when it cannot be written.
pub(crate) async fn revoke<B>(
    hub: &Hub,
    control: &Arc<Control>,
    headers: &HeaderMap,
    body: B,
) -> Result<Response<HubBody>, Problem>
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let Asked { jti, sub, iss, key, ticket, issued_before, exp, reason } =
        read_json(hub, headers, body, EXAMPLE).await?;
    let ticket = ticket.map(|ticket| if ticket.starts_with("tdt_") { ticket_name(&ticket) } else { ticket });
    let key = key.map(id_of_key).transpose()?;
    if jti.as_ref().is_some_and(|jti| looks_like_token(jti)) {
        return Err(Problem::invalid(
            "jti has the form of a whole token; send the ID in it, and keep the token secret",
        ));
    }
    let texts = [&jti, &sub, &iss, &key, &ticket];
    if texts.into_iter().flatten().any(|text| text.len() > MAX_REASON_BYTES)
        || reason.as_ref().is_some_and(|reason| reason.len() > MAX_REASON_BYTES)
    {
        return Err(Problem::invalid(format!("a name or the reason is over {MAX_REASON_BYTES} bytes")));
    }
    let target = revocation_target(jti, sub, iss, key, ticket).ok_or_else(|| {
        Problem::invalid(format!(
            "a revocation names one of jti and sub (with iss or without), iss, key and ticket; send JSON such as {EXAMPLE}"
        ))
    })?;
    let (issued_before, exp) = (time("issued_before", issued_before)?, time("exp", exp)?);
    // One that a subject gets after this holds: otherwise nobody could log in again. The clock of its issuer may be ahead. An ID is of one credential, whenever it was
    // issued.
    let issued_before = match &target {
        Target::Subject { .. } | Target::Issuer(_) => {
            issued_before.or_else(|| SystemTime::now().checked_add(control.largest_leeway()))
        }
        Target::Token { .. } | Target::ApiKey(_) | Target::Ticket(_) => issued_before,
    };
    let request = RevocationRequest { target, issued_before, until: exp, reason };
    let (hub, control) = (hub.clone(), control.clone());
    let made = blocking(move || {
        let made = control.revoke(request)?;
        hub.look_at_grants();
        Ok::<_, NotRevoked>(MadeJson {
            id: made.revocation.id,
            until: made.revocation.until.map(text),
            streams: made.streams,
            tickets: made.tickets,
            durable: control.revocations().are_durable(),
        })
    })
    .await?;
    Ok(answer(&made))
}

/// The ID of an API key, also of one that is given whole: its secret is neither kept nor repeated.
fn id_of_key(key: Box<str>) -> Result<Box<str>, Problem> {
    match id_of_api_key(&key) {
        Some(id) => Ok(id.into()),
        None if is_api_key_id(&key) => Ok(key),
        None => Err(Problem::invalid(
            "key is no ID of an API key; send the 8 letters and digits after tdk_, and keep the rest secret",
        )),
    }
}

/// Whether a text has the form of a JSON Web Token: three parts, of which the first is a JSON object.
fn looks_like_token(text: &str) -> bool {
    let parts: Vec<_> = text.split('.').map(|part| URL_SAFE_NO_PAD.decode(part)).collect();
    matches!(&parts[..], [Ok(head), Ok(_), Ok(_)] if head.starts_with(b"{"))
}

/// All revocations, the newest first.
pub(crate) fn list(control: &Control) -> Response<HubBody> {
    let revocations = control.revocations();
    answer(&ListJson {
        durable: revocations.are_durable(),
        revocations: revocations.all().into_iter().map(RevocationJson::from).collect(),
    })
}

/// Takes a revocation back: credentials that it hit are accepted again.
///
/// # Errors
/// 404 for an unknown ID.
pub(crate) async fn take_back(control: &Arc<Control>, id: &str) -> Result<Response<HubBody>, Problem> {
    let (control, asked) = (control.clone(), id.to_owned());
    match blocking(move || control.take_back(&asked)).await? {
        Some(revocation) => Ok(answer(&RevocationJson::from(revocation))),
        None => Err(Problem::no_such_revocation(id)),
    }
}

/// Waits for the disk where a thread may wait.
async fn blocking<T: Send + 'static>(
    step: impl FnOnce() -> Result<T, NotRevoked> + Send + 'static,
) -> Result<T, Problem> {
    let done = spawn_blocking(step).await;
    Ok(done.map_err(|error| NotRevoked::Disk(std::io::Error::other(error)))??)
}

fn answer(value: &impl Serialize) -> Response<HubBody> {
    let value = serde_json::to_vec(value).expect("texts and numbers are valid JSON");
    json(HubBody::from(Bytes::from(value)), "no-store")
}

fn time(name: &str, seconds: Option<f64>) -> Result<Option<SystemTime>, Problem> {
    match seconds {
        None => Ok(None),
        Some(seconds) if (0.0..=MAX_SECONDS).contains(&seconds) => {
            Ok(Some(SystemTime::UNIX_EPOCH + Duration::from_secs_f64(seconds)))
        }
        Some(seconds) => Err(Problem::invalid(format!(
            "{name} is {seconds}; it is a number of seconds since 1970, as in a token"
        ))),
    }
}

fn text(time: SystemTime) -> String {
    humantime::format_rfc3339_seconds(time).to_string()
}

impl From<Revocation> for RevocationJson {
    fn from(revocation: Revocation) -> RevocationJson {
        let Revocation { id, target, issued_before, until, reason, made } = revocation;
        let target = match target {
            Target::Token { id, issuer } => TargetJson::Token { jti: id, iss: issuer },
            Target::Subject { name, issuer } => TargetJson::Subject { sub: name, iss: issuer },
            Target::Issuer(iss) => TargetJson::Issuer { iss },
            Target::ApiKey(key) => TargetJson::ApiKey { key },
            Target::Ticket(ticket) => TargetJson::Ticket { ticket },
        };
        let (issued_before, until) = (issued_before.map(text), until.map(text));
        RevocationJson { id, target, issued_before, until, reason, time: text(made) }
    }
}

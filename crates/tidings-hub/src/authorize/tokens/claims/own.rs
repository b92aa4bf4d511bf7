//! The claim `tidings`: what the bearer of a token may do.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::{Refusal, quoted, shown};
use crate::{
    MAX_FILTERS,
    authorize::{InvalidLimits, Limits, Right, Rights, Template, tokens::report::Report},
};

/// Its members.
const MEMBERS: [&str; 5] = ["publish", "read", "rights", "limits", "payload"];

/// The largest `payload`, in bytes of JSON.
const MAX_PAYLOAD_BYTES: usize = 1 << 10;

/// The rights of a token.
#[derive(Debug, Default)]
pub(super) struct Own {
    pub(super) publish: Vec<Template>,
    pub(super) read: Vec<Template>,
    pub(super) rights: Rights,
    pub(super) limits: Limits,
    pub(super) payload: Option<Arc<Value>>,
}

/// Reads the claim, each member in a step of its own. A token without it allows nothing by itself.
pub(super) fn read(claims: &Map<String, Value>, report: &mut Report) -> Result<Option<Own>, Refusal> {
    let own = match claims.get("tidings") {
        None => return Ok(Some(Own::default())),
        Some(own) => report.silent_step("tidings", members(own))?,
    };
    let Some(own) = own else { return Ok(None) };
    let publish = report.step("tidings.publish", topics(own, "publish"), |topics| said(topics))?;
    let read = report.step("tidings.read", topics(own, "read"), |topics| said(topics))?;
    let rights = report.silent_step("tidings.rights", rights(own))?;
    let limits = report.silent_step("tidings.limits", limits(own))?;
    let payload = report.silent_step("tidings.payload", payload(own))?;
    let (Some(publish), Some(read), Some(rights), Some(limits), Some(payload)) =
        (publish, read, rights, limits, payload)
    else {
        return Ok(None);
    };
    Ok(Some(Own { publish, read, rights, limits, payload }))
}

/// The members. A name that nobody knows may be a typing error, which must not widen or narrow what a token allows.
fn members(own: &Value) -> Result<&Map<String, Value>, Refusal> {
    let Value::Object(own) = own else {
        return Err(Refusal::after("claims-malformed", "the claim tidings is no object"));
    };
    match own.keys().find(|name| !MEMBERS.contains(&name.as_str())) {
        None => Ok(own),
        Some(unknown) => {
            Err(is_unknown("the claim tidings", unknown, "publish, read, rights, limits and payload"))
        }
    }
}

fn is_unknown(place: &str, name: &str, known: &str) -> Refusal {
    Refusal::after("claim-unknown", format!("{place} has {}; it has {known}", quoted(name)))
}

fn malformed(detail: String) -> Refusal {
    Refusal::after("claims-malformed", detail)
}

/// The elements of a list; none if there is no such member.
fn list<'a>(own: &'a Map<String, Value>, member: &str, of: &str) -> Result<&'a [Value], Refusal> {
    match own.get(member) {
        None => Ok(&[]),
        Some(Value::Array(list)) => Ok(list),
        Some(other) => Err(malformed(format!("{member} is {}; it is a list of {of}", shown(other)))),
    }
}

/// Topics, in which parts of the token may stand as placeholders.
fn topics(own: &Map<String, Value>, member: &str) -> Result<Vec<Template>, Refusal> {
    let texts = list(own, member, "topics")?;
    if texts.len() > MAX_FILTERS {
        let detail = format!("{member} has {} topics; at most {MAX_FILTERS} are allowed", texts.len());
        return Err(Refusal::after("too-many-matchers", detail));
    }
    let read = |text: &Value| {
        let malformed = |what: String| {
            Refusal::after("pattern-malformed", format!("{member} has {}: {what}", shown(text)))
        };
        let topic = text.as_str().ok_or_else(|| malformed("a topic is a string".into()))?;
        topic.parse::<Template>().map_err(|error| malformed(error.to_string()))
    };
    texts.iter().map(read).collect()
}

/// For people.
fn said(topics: &[Template]) -> String {
    match topics {
        [] => "no topic".to_owned(),
        topics => shown(topics.iter().map(Template::to_string).collect::<Vec<_>>().join(", ")),
    }
}

fn rights(own: &Map<String, Value>) -> Result<Rights, Refusal> {
    let read = |word: &Value| {
        word.as_str().and_then(Right::parse).ok_or_else(|| {
            let known = Right::ALL.map(Right::as_str).join(", ");
            malformed(format!("rights has {}; the rights are {known}", shown(word)))
        })
    };
    list(own, "rights", "rights")?.iter().map(read).collect()
}

fn limits(own: &Map<String, Value>) -> Result<Limits, Refusal> {
    let Some(limits) = own.get("limits") else { return Ok(Limits::default()) };
    Limits::parse(limits).map_err(|InvalidLimits { is_unknown, detail }| {
        Refusal::after(if is_unknown { "claim-unknown" } else { "claims-malformed" }, detail)
    })
}

fn payload(own: &Map<String, Value>) -> Result<Option<Arc<Value>>, Refusal> {
    let Some(payload) = own.get("payload") else { return Ok(None) };
    let bytes = payload.to_string().len();
    match bytes > MAX_PAYLOAD_BYTES {
        true => Err(malformed(format!(
            "payload has {bytes} bytes of JSON; at most {MAX_PAYLOAD_BYTES} are allowed"
        ))),
        false => Ok(Some(Arc::new(payload.clone()))),
    }
}

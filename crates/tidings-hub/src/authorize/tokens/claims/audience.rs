//! Whether a token is for this hub.

use serde_json::{Map, Value};

use super::{Demands, Refusal, shown};

/// Whether `aud` names the hub, or may be left out.
pub(super) fn is_met(claims: &Map<String, Value>, demands: &Demands<'_>) -> Result<(), Refusal> {
    let named: Vec<_> = match claims.get("aud") {
        None if demands.issuer.demands_audience() => {
            let detail = format!(
                "the token does not say whom it is for (aud), and the key of {} may sign for other services, too; {}",
                demands.issuer.shown(),
                ours(demands.audience)
            );
            return Err(Refusal::after("audience-missing", detail));
        }
        None => return Ok(()),
        Some(Value::String(one)) => vec![one.as_str()],
        Some(Value::Array(several)) if several.iter().all(Value::is_string) => {
            several.iter().filter_map(Value::as_str).collect()
        }
        Some(_) => {
            return Err(Refusal::after("claims-malformed", "aud is neither a string nor a list of strings"));
        }
    };
    if named.iter().any(|name| demands.audience.iter().any(|own| own == name)) {
        return Ok(());
    }
    let detail = format!("the token is for {}; {}", shown(format!("{named:?}")), ours(demands.audience));
    Err(Refusal::after("audience-wrong", detail))
}

/// The names of the hub, for people.
fn ours(audience: &[String]) -> String {
    match audience {
        [] => "this hub has no name for it: give it one (tidings serve --audience NAME)".to_owned(),
        ours => format!("this hub is {}", ours.join(" or ")),
    }
}

/// For people.
pub(super) fn said(claims: &Map<String, Value>) -> String {
    match claims.get("aud") {
        Some(named) => shown(named),
        None => "none; the key of a secret needs none".to_owned(),
    }
}

//! `/session`: a token as a cookie, for pages that cannot send a header.

use std::{sync::Arc, time::SystemTime};

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header, request::Parts};
use serde_json::json as object;
use tokio::task::spawn_blocking;

use crate::{
    Grant, Hub,
    authorize::{Control, CredentialKind, NotRevoked},
    http::{HubBody, Problem, cross_site::Site, json::json, request_head::text},
};

/// The longest cookie that browsers keep, name and value together.
const MAX_COOKIE_BYTES: usize = 4_096;

/// Makes the token of a request a cookie, until it expires.
///
/// # Errors
/// 403 for a credential that is no token, and for a page of another site that is not listed; 404 if cookies are off.
pub(crate) fn log_in(
    hub: &Hub,
    control: &Control,
    grant: &Grant,
    parts: &Parts,
) -> Result<Response<HubBody>, Problem> {
    let name = control.cookie().ok_or_else(Problem::no_sessions)?;
    // The request itself has a token, but later ones have the cookie by themselves.
    Site::of(parts, &hub.engine().settings).may_publish()?;
    let Some(credential) = grant.credential() else { return Err(Problem::credential_missing()) };
    let shown = text(&parts.headers, header::AUTHORIZATION).and_then(|value| value.trim().split_once(' '));
    let token = shown.map(|(_, token)| token.trim()).filter(|_| credential.kind == CredentialKind::Token);
    let Some(token) = token else {
        return Err(Problem::forbidden(
            "only a token can be a cookie; send one as Authorization: Bearer TOKEN",
        )
        .with("rule", "credential-not-here"));
    };
    if name.len() + token.len() > MAX_COOKIE_BYTES {
        return Err(Problem::invalid(format!(
            "the token has {} bytes, and browsers keep a cookie of at most {MAX_COOKIE_BYTES}; put less into it",
            token.len()
        )));
    }
    let expires = credential.expires;
    // A token without an end is a cookie until the browser is closed.
    let max_age = expires.map(|expires| {
        let left = expires.duration_since(SystemTime::now()).unwrap_or_default();
        format!("; Max-Age={}", left.as_secs())
    });
    let cookie = format!("{name}={token}{}", max_age.unwrap_or_default());
    let expires = expires.map(|expires| humantime::format_rfc3339_seconds(expires).to_string());
    let body = format!("{}\n", object!({ "expires": expires }));
    let mut response = json(HubBody::from(Bytes::from(body)), "no-store");
    set_cookie(&mut response, &cookie)?;
    Ok(response)
}

/// Clears the cookie, and revokes the ID of its token: the streams of the session end. Of a token without an ID the streams end, and
/// nothing is revoked.
///
/// It clears a cookie that does not hold, too: otherwise a page could not get rid of it.
///
/// # Errors
/// 404 if cookies are off; 429 when too many credentials from the client's network were refused; 503 when the revocation cannot be
/// written.
pub(crate) async fn log_out(
    hub: &Hub,
    control: &Arc<Control>,
    parts: &Parts,
) -> Result<Response<HubBody>, Problem> {
    let name = control.cookie().ok_or_else(Problem::no_sessions)?;
    let credential = control.credential_of_session(parts).await?;
    if let Some(credential) = credential {
        let logging_out = control.clone();
        let logged_out = spawn_blocking(move || logging_out.log_out(&credential)).await;
        logged_out.map_err(|error| NotRevoked::Disk(std::io::Error::other(error)))??;
        hub.look_at_grants();
    }
    let mut response = Response::new(HubBody::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    set_cookie(&mut response, &format!("{name}=; Max-Age=0"))?;
    Ok(response)
}

fn set_cookie(response: &mut Response<HubBody>, cookie: &str) -> Result<(), Problem> {
    let value = format!("{cookie}; Path=/; Secure; HttpOnly; SameSite=Strict");
    let mut value = HeaderValue::try_from(value).map_err(|_| Problem::no_sessions())?;
    value.set_sensitive(true);
    response.headers_mut().append(header::SET_COOKIE, value);
    Ok(())
}

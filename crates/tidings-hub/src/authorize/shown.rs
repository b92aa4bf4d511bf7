//! The credential that a request shows.

use std::borrow::Cow;

use http::{HeaderMap, Method, header, request::Parts};
use percent_encoding::percent_decode_str;

use super::{Refusal, TICKET_PREFIX};

/// A credential as a request shows it. Nothing of it has been verified.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Shown<'r> {
    /// `Authorization: Bearer`.
    Bearer(&'r str),
    /// `Authorization: Basic`, the part after that word.
    Basic(&'r str),
    /// `ticket` in the query.
    Ticket(Cow<'r, str>),
    /// The cookie of the session.
    Cookie(&'r str),
    /// `token` in the query.
    Query(Cow<'r, str>),
}

/// The one credential of a request: the first that is there, in the order of [`Shown`]. The others are not looked at.
///
/// # Errors
/// An `Authorization` that is none of the known ones, or two of them; a ticket for something else than reading topics.
pub(super) fn shown<'r>(request: &'r Parts, cookie: Option<&str>) -> Result<Option<Shown<'r>>, Refusal> {
    let mut credentials = request.headers.get_all(header::AUTHORIZATION).iter();
    match (credentials.next(), credentials.next()) {
        (None, _) => {}
        (Some(value), None) => return of_header(value.as_bytes()).map(Some),
        _ => return Err(Refusal::before("token-malformed", "there are two Authorization headers")),
    }
    let query = request.uri.query().unwrap_or_default();
    let named = |name: &str| {
        let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        pairs
            .find(|(found, _)| *found == name)
            .map(|(_, value)| percent_decode_str(value).decode_utf8_lossy())
    };
    let ticket = named("ticket");
    let reads = matches!(request.method, Method::GET | Method::HEAD) && request.uri.path() != "/subscribers";
    if ticket.is_some() && !reads {
        return Err(Refusal::after(
            "credential-not-here",
            "a ticket in the URL opens a stream, and is for nothing else; send a token or an API key as Authorization: Bearer TOKEN",
        ));
    }
    Ok((ticket.map(Shown::Ticket))
        .or_else(|| of_cookie(&request.headers, cookie?).map(Shown::Cookie))
        .or_else(|| named("token").map(Shown::Query)))
}

/// The cookie of the session, if the request has one.
pub(super) fn of_cookie<'r>(headers: &'r HeaderMap, name: &str) -> Option<&'r str> {
    let lines = headers.get_all(header::COOKIE).iter().filter_map(|line| line.to_str().ok());
    let mut pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.split_once('='));
    // A browser sends the cookie of the most specific path first.
    pairs.find(|(found, _)| found.trim() == name).map(|(_, value)| value.trim().trim_matches('"'))
}

fn of_header(value: &[u8]) -> Result<Shown<'_>, Refusal> {
    let text = std::str::from_utf8(value).ok();
    let parts = text.and_then(|text| text.trim().split_once(' '));
    match parts {
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("bearer") => match rest.trim() {
            // A ticket is for a URL. In a header it would look as if it could be used twice.
            ticket if ticket.starts_with(TICKET_PREFIX) => Err(Refusal::after(
                "credential-not-here",
                "a ticket belongs in the URL, as in /topics?ticket=TICKET; send a token or an API key in this header",
            )),
            token => Ok(Shown::Bearer(token)),
        },
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("basic") => Ok(Shown::Basic(rest.trim())),
        _ => Err(Refusal::before("token-malformed", "Authorization is not 'Bearer', a space, and a token")),
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, Request};

    use super::*;

    fn of(method: Method, target: &str, headers: &[(HeaderName, &str)]) -> Parts {
        let request = Request::builder().method(method).uri(target);
        let request =
            headers.iter().fold(request, |request, (name, value)| request.header(name.clone(), *value));
        request.body(()).unwrap().into_parts().0
    }

    #[test]
    fn the_first_credential_counts_alone_and_a_header_comes_first() {
        let target = "/topics/a?token=q&ticket=tdt_x";
        let bearer = (header::AUTHORIZATION, "bEaReR  t ");
        let cookies = (header::COOKIE, "a=b; session=c; session=d");
        let get = |headers: &[_]| of(Method::GET, target, headers);
        let all = get(&[bearer.clone(), cookies.clone()]);
        assert_eq!(shown(&all, Some("session")).unwrap(), Some(Shown::Bearer("t")));
        let no_header = get(std::slice::from_ref(&cookies));
        assert_eq!(shown(&no_header, Some("session")).unwrap(), Some(Shown::Ticket("tdt_x".into())));
        let post = |headers: &[_]| of(Method::POST, "/topics/a?token=q", headers);
        let with_cookie = post(std::slice::from_ref(&cookies));
        assert_eq!(shown(&with_cookie, Some("session")).unwrap(), Some(Shown::Cookie("c")));
        assert_eq!(shown(&with_cookie, None).unwrap(), Some(Shown::Query("q".into())));
        assert_eq!(shown(&of(Method::POST, "/topics/a", &[cookies]), Some("sessio")).unwrap(), None);
        let basic = get(&[(header::AUTHORIZATION, "Basic YTpi")]);
        assert_eq!(shown(&basic, None).unwrap(), Some(Shown::Basic("YTpi")));
    }

    #[test]
    fn a_ticket_is_refused_where_no_topic_is_read_although_another_credential_is_there() {
        let cookies = [(header::COOKIE, "session=c")];
        for (method, target) in [
            (Method::POST, "/topics/a?ticket=tdt_x"),
            (Method::DELETE, "/revocations/a?ticket=tdt_x"),
            (Method::GET, "/subscribers?topic=a&ticket=tdt_x"),
        ] {
            let refused = shown(&of(method, target, &cookies), Some("session")).unwrap_err();
            assert_eq!(refused.rule, "credential-not-here", "{target}");
        }
    }

    #[test]
    fn a_header_that_is_no_credential_is_refused_although_another_credential_is_there() {
        for (value, rule) in [
            ("token", "token-malformed"),
            ("Digest x", "token-malformed"),
            ("", "token-malformed"),
            ("Bearer tdt_x", "credential-not-here"),
        ] {
            let request = of(Method::GET, "/topics/a?ticket=tdt_x", &[(header::AUTHORIZATION, value)]);
            assert_eq!(shown(&request, None).unwrap_err().rule, rule, "{value}");
        }
        let two = [(header::AUTHORIZATION, "Bearer a"), (header::AUTHORIZATION, "Bearer a")];
        assert_eq!(shown(&of(Method::GET, "/", &two), None).unwrap_err().rule, "token-malformed");
    }
}

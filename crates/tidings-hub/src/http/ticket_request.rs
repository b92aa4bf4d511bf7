//! A request that leaves its topics to a ticket.

use std::borrow::Cow;

use http::{Uri, request::Parts, uri::PathAndQuery};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::Problem;
use crate::{Grant, Matchers, dialect::query::pairs};

/// The request as the dialect reads it. One that names no topic is for all topics of its ticket, and begins where the ticket says,
/// unless the request itself says where.
///
/// # Errors
/// 400 for a URL that is too long with these topics.
pub(super) fn with_topics_of_ticket<'p>(parts: &'p Parts, grant: &Grant) -> Result<Cow<'p, Parts>, Problem> {
    let Some(ticket) = grant.ticket() else { return Ok(Cow::Borrowed(parts)) };
    let names = |name: &str| pairs(parts.uri.query()).any(|(found, _)| found == name);
    if parts.uri.path() != "/topics" || names("topic") {
        return Ok(Cow::Borrowed(parts));
    }
    let terms = ticket.terms();
    let mut target = parts.uri.path_and_query().map(ToString::to_string).unwrap_or_default();
    let mut add = |name: &str, value: &str| {
        target.push_str(&format!("&{name}={}", utf8_percent_encode(value, NON_ALPHANUMERIC)));
    };
    Matchers::from(terms.asked.clone()).iter().for_each(|filter| add("topic", &filter.to_string()));
    if let Some(from) = terms.from.as_deref().filter(|_| !names("from")) {
        add("from", from);
    }
    let mut uri = parts.uri.clone().into_parts();
    let too_long = |_| {
        Problem::invalid("the URL is too long with the topics of its ticket; get a ticket for fewer topics")
    };
    uri.path_and_query = Some(PathAndQuery::try_from(target).map_err(too_long)?);
    let mut asked = parts.clone();
    asked.uri = Uri::from_parts(uri).map_err(|_| Problem::invalid("the URL has no host"))?;
    Ok(Cow::Owned(asked))
}

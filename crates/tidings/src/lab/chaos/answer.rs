//! Responses that the proxy makes itself, instead of the upstream.

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, Uri, header::LOCATION, uri::PathAndQuery};
use http_body_util::{BodyExt, Full, combinators::UnsyncBoxBody};
use tidings_client::{BoxError, ResponseBody};

use super::fault::{Fault, Kind};

pub(super) type Answer = Response<UnsyncBoxBody<Bytes, BoxError>>;

/// The mark that a redirect adds to the query, so that the client is redirected only once.
const MARK: &str = "chaos=redirected";

/// The response of the first fault that makes one, if there is such a fault.
pub(super) fn instead(faults: &[Fault], url: &Uri) -> Option<Answer> {
    faults.iter().find_map(|fault| match fault.kind() {
        Kind::Status(status) => Some(text(*status, format!("tidings chaos: the fault {fault}\n"))),
        Kind::Redirect(status) if !is_marked(url) => {
            let target = url.path_and_query().map_or("/", PathAndQuery::as_str);
            let separator = if url.query().is_some() { '&' } else { '?' };
            let mut answer = text(*status, format!("tidings chaos: the fault {fault}\n"));
            let target = HeaderValue::try_from(format!("{target}{separator}{MARK}"));
            answer.headers_mut().insert(LOCATION, target.expect("a path is a header's value"));
            Some(answer)
        }
        _ => None,
    })
}

pub(super) fn text(status: StatusCode, text: String) -> Answer {
    let mut answer = Response::new(Full::from(text).map_err(|never| match never {}).boxed_unsync());
    *answer.status_mut() = status;
    answer.headers_mut().insert("content-type", HeaderValue::from_static("text/plain; charset=utf-8"));
    answer
}

/// A whole body, in the form of an upstream's.
pub(super) fn whole(bytes: Bytes) -> ResponseBody {
    ResponseBody::new(Full::new(bytes).map_err(|never| match never {}))
}

fn is_marked(url: &Uri) -> bool {
    url.query().is_some_and(|query| query.split('&').any(|pair| pair == MARK))
}

/// The URL without the mark of a redirect.
pub(super) fn without_mark(url: &Uri) -> Uri {
    if !is_marked(url) {
        return url.clone();
    }
    let query: Vec<_> = url.query().unwrap_or_default().split('&').filter(|pair| *pair != MARK).collect();
    let target =
        if query.is_empty() { url.path().to_owned() } else { format!("{}?{}", url.path(), query.join("&")) };
    target.parse().expect("a part of a URL is one")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_redirect_is_made_once_and_leaves_nothing_behind() {
        let faults = [Fault::parse("redirect").unwrap()];
        for path in ["/topics/a", "/topics?topic=a&topic=b"] {
            let url: Uri = path.parse().unwrap();
            let answer = instead(&faults, &url).unwrap();
            let target: Uri = answer.headers()[LOCATION].to_str().unwrap().parse().unwrap();
            assert!(instead(&faults, &target).is_none());
            assert_eq!(without_mark(&target), url);
        }
    }
}

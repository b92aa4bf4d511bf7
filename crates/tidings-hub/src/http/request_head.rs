//! The rules of HTTP for the head of every request.

use http::{HeaderMap, HeaderName, Version, header, request::Parts};

use super::Problem;
use crate::dialect::list::elements;

/// # Errors
/// 400 for a request of HTTP/1.1 without `Host`, and for any with two of them (RFC 9112, section 3.2); 501 for a transfer coding
/// that the hub does not undo (section 6.1).
pub(super) fn check(parts: &Parts) -> Result<(), Problem> {
    // Most requests have few fields. To go through them costs less than to look each name up.
    let (mut hosts, mut is_coded) = (0, false);
    for (name, _) in &parts.headers {
        hosts += usize::from(name == header::HOST);
        is_coded |= name == header::TRANSFER_ENCODING;
    }
    has_one_host(hosts, parts.version)?;
    if is_coded { is_chunked_at_most(&parts.headers) } else { Ok(()) }
}

fn has_one_host(hosts: usize, version: Version) -> Result<(), Problem> {
    match hosts {
        0 if version == Version::HTTP_11 => Err(Problem::invalid(
            "the request has no Host, and HTTP/1.1 requires one; send a line such as Host: localhost",
        )),
        0 | 1 => Ok(()),
        _ => Err(Problem::invalid("the request has more than one Host line; send one")),
    }
}

/// hyper undoes `chunked`, and hands on a body with another coding as it is: compressed bytes would be published as text.
fn is_chunked_at_most(headers: &HeaderMap) -> Result<(), Problem> {
    match elements(headers, header::TRANSFER_ENCODING).find(|coding| !coding.eq_ignore_ascii_case("chunked"))
    {
        None => Ok(()),
        Some(coding) => Err(Problem::unknown_transfer_coding(&coding)),
    }
}

/// # Errors
/// 415 for a body with a content coding (RFC 9110, section 8.4). `identity` means that there is none.
pub(crate) fn has_no_coding(headers: &HeaderMap) -> Result<(), Problem> {
    match elements(headers, header::CONTENT_ENCODING).find(|coding| !coding.eq_ignore_ascii_case("identity"))
    {
        None => Ok(()),
        Some(coding) => Err(Problem::unsupported_coding(&coding)),
    }
}

/// The value of a header, if it is there and is visible ASCII. Of several lines, the first counts.
pub(crate) fn text(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok()
}

#[cfg(test)]
mod tests {
    use http::{Request, StatusCode};

    use super::*;

    fn status(version: Version, fields: &[(&str, &str)]) -> Option<StatusCode> {
        let request = Request::get("/").version(version);
        let request = fields.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        check(&request.body(()).unwrap().into_parts().0).err().map(|problem| problem.into_response().status())
    }

    #[test]
    fn a_request_has_one_host_at_most_and_of_http_1_1_one_exactly() {
        let (one, two) = (&[("host", "a")][..], &[("host", "a"), ("host", "a")][..]);
        for version in [Version::HTTP_10, Version::HTTP_11, Version::HTTP_2] {
            assert_eq!(status(version, one), None, "{version:?}");
            assert_eq!(status(version, two), Some(StatusCode::BAD_REQUEST), "{version:?}");
        }
        assert_eq!(status(Version::HTTP_11, &[]), Some(StatusCode::BAD_REQUEST));
        assert_eq!(status(Version::HTTP_10, &[]), None);
        assert_eq!(status(Version::HTTP_2, &[]), None, "it has :authority");
    }

    #[test]
    fn a_transfer_coding_that_nobody_undoes_is_not_implemented() {
        let of = |codings: &[&'static str]| {
            let fields: Vec<_> = codings.iter().map(|coding| ("transfer-encoding", *coding)).collect();
            status(Version::HTTP_2, &fields)
        };
        for codings in [&["chunked"][..], &["Chunked"], &[" , chunked,"], &["chunked", "chunked"]] {
            assert_eq!(of(codings), None, "{codings:?}");
        }
        for codings in [&["gzip, chunked"][..], &["gzip", "chunked"], &["GZIP,chunked"], &["x-unknown"]] {
            assert_eq!(of(codings), Some(StatusCode::NOT_IMPLEMENTED), "{codings:?}");
        }
    }
}

//! Decompression of responses. The client does not ask for compression, because compressors tend to delay a stream.

#[cfg(feature = "gzip")]
mod gzip;

use http::{HeaderMap, Response, header::CONTENT_ENCODING};

use crate::body::ResponseBody;

/// How many encodings are undone, one around the other. No proxy adds more by mistake: a response with more is a bomb.
const MAX_ENCODINGS: usize = 4;

/// Undoes the content encoding of a response.
///
/// # Errors
///
/// Returns the response unchanged if its encoding cannot be undone here.
#[expect(clippy::result_large_err, reason = "a response goes in and comes out, once per attempt")]
pub(crate) fn decoded(
    response: Response<ResponseBody>,
) -> Result<Response<ResponseBody>, Response<ResponseBody>> {
    let names = named(response.headers());
    let readable = |name: &String| cfg!(feature = "gzip") && matches!(name.as_str(), "gzip" | "x-gzip");
    if names.len() > MAX_ENCODINGS || !names.iter().all(readable) {
        return Err(response);
    }
    #[cfg(feature = "gzip")]
    let response = response.map(|mut body| {
        for _ in names {
            body = ResponseBody::new(gzip::Gunzip::new(body));
        }
        body
    });
    Ok(response)
}

/// The content encodings that the headers name, in lower case.
///
/// A name that is not an encoding is left out, as in browsers. Some servers send `identity` for none, `none` to keep
/// proxies from compressing, and `utf-8` or `chunked` by mistake. The body is then the stream itself.
pub(crate) fn named(headers: &HeaderMap) -> Vec<String> {
    headers
        .get_all(CONTENT_ENCODING)
        .iter()
        .flat_map(|value| value.as_bytes().split(|&byte| byte == b','))
        .map(|name| String::from_utf8_lossy(name.trim_ascii()).to_ascii_lowercase())
        .filter(|name| is_encoding(name))
        .collect()
}

/// Source: the registry of content codings (RFC 9110, "Content Coding Registry").
fn is_encoding(name: &str) -> bool {
    let names = [
        "gzip",
        "x-gzip",
        "deflate",
        "br",
        "zstd",
        "compress",
        "x-compress",
        "dcb",
        "dcz",
        "exi",
        "pack200-gzip",
        "aes128gcm",
    ];
    names.contains(&name)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn read(values: &[&'static str]) -> String {
        let header = |value: &&'static str| (CONTENT_ENCODING, HeaderValue::from_static(value));
        named(&values.iter().map(header).collect()).join(",")
    }

    #[test]
    fn encodings_are_known_by_name_in_any_case_joined_or_repeated() {
        assert_eq!(read(&["GZip"]), "gzip");
        assert_eq!(read(&["gzip, br"]), "gzip,br");
        assert_eq!(read(&["gzip", " x-gzip ,, zstd"]), "gzip,x-gzip,zstd");
    }

    #[test]
    fn what_is_no_encoding_is_none() {
        for values in [
            &["identity"][..],
            &["none"],
            &[""],
            &[","],
            &["utf-8"],
            &["UTF-8"],
            &["chunked"],
            &["identity, utf-8", "none"],
            &["text/event-stream"],
            &["\"gzip\""],
        ] {
            assert_eq!(read(values), "", "{values:?}");
        }
        assert_eq!(read(&["utf-8, gzip"]), "gzip");
    }
}

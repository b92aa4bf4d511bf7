//! Responses that a server compresses. They are not asked for, since whatever compresses a stream tends to hold it back.

#[cfg(feature = "gzip")]
mod gzip;

use http::{HeaderMap, Response, header::CONTENT_ENCODING};

use crate::body::ResponseBody;

/// Undoes the content encoding of a response.
///
/// # Errors
///
/// The response as it is, when its encoding is not one that can be read.
#[expect(clippy::result_large_err, reason = "a response goes in and comes out, once per attempt")]
pub(crate) fn decoded(
    response: Response<ResponseBody>,
) -> Result<Response<ResponseBody>, Response<ResponseBody>> {
    match named(response.headers()).as_str() {
        // `none` is no encoding, but servers say it to keep proxies from compressing.
        "" | "identity" | "none" => Ok(response),
        #[cfg(feature = "gzip")]
        "gzip" | "x-gzip" => Ok(response.map(|body| ResponseBody::new(gzip::Gunzip::new(body)))),
        _ => Err(response),
    }
}

/// The content encodings that the headers name, in lower case and separated by commas.
pub(crate) fn named(headers: &HeaderMap) -> String {
    let names: Vec<_> = headers
        .get_all(CONTENT_ENCODING)
        .iter()
        .map(|value| String::from_utf8_lossy(value.as_bytes()).trim().to_ascii_lowercase())
        .collect();
    names.join(",")
}

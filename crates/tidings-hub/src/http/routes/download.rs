//! `GET` of an attachment.

use std::sync::Arc;

use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, header, request::Parts};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::{
    AttachmentId, Grant,
    attachments::{Announcement, MediaType},
    authorize::UsedTicket,
    delivery::Engine,
    http::{
        HubBody, Problem,
        file_body::FileBody,
        range::{Wanted, wanted},
        request_head::text,
    },
};

/// Anyone may publish a file, and it comes from the origin of the console: if a browser shows it as a page, that page has
/// no origin, runs nothing, and loads nothing but itself.
const POLICY: &str =
    "sandbox; default-src 'none'; img-src 'self'; media-src 'self'; style-src 'unsafe-inline'";

/// An ID never gets other bytes. `private`, because a shared cache does not ask which client may read them.
const CACHE: &str = "private, max-age=31536000, immutable";

/// The types that a browser shows as pictures. SVG is not one of them: it is a document that can run scripts.
const PICTURES: [&str; 6] = ["image/png", "image/jpeg", "image/gif", "image/webp", "image/avif", "image/bmp"];

/// RFC 8187, "attr-char", without characters that are rare in names.
const NAME: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_');

/// Serves the attachment `id`, if `grant` allows to receive the update that announces it.
///
/// # Errors
/// 401 for a ticket that comes back, which is for streams alone.
pub(crate) async fn attachment(
    engine: &Arc<Engine>,
    grant: &Grant,
    id: &str,
    parts: &Parts,
) -> Result<Response<HubBody>, Problem> {
    grant.ticket().map_or(Ok(()), UsedTicket::may_open_all)?;
    let missing = || Problem::no_such_attachment(id);
    let (Some(attachments), Some(id)) = (engine.log.attachments(), AttachmentId::parse(id)) else {
        return Err(missing());
    };
    let record = engine.log.announcing(&id).await?.filter(|record| grant.may_receive(record));
    let announcement =
        record.and_then(|record| Announcement::parse(record.event().data())).ok_or_else(missing)?;

    let etag = format!("\"{}\"", announcement.sha256);
    let mut response = Response::new(HubBody::empty());
    if text(&parts.headers, header::IF_NONE_MATCH).is_some_and(|tags| names(tags, &etag)) {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
    } else {
        let size = announcement.size;
        let (first, length) = match wanted_part(parts, &etag, size) {
            Wanted::Whole => (0, size),
            Wanted::Nothing => return Err(Problem::unsatisfiable_range(size)),
            Wanted::Part { first, last } => {
                *response.status_mut() = StatusCode::PARTIAL_CONTENT;
                let range = header_value(format!("bytes {first}-{last}/{size}"));
                response.headers_mut().insert(header::CONTENT_RANGE, range);
                (first, last - first + 1)
            }
        };
        // Also for HEAD: whether it is there is part of the answer.
        let bytes = attachments.clone().read(id, first, length).await.map_err(|error| {
            // It may have been evicted a moment ago, or another program has changed the directory.
            tracing::warn!(%error, url = announcement.url, "an attachment cannot be opened");
            missing()
        })?;
        if parts.method == Method::GET {
            *response.body_mut() = HubBody::file(FileBody::new(bytes, length));
        }
        describe(response.headers_mut(), &announcement);
        response.headers_mut().insert(header::CONTENT_LENGTH, length.into());
    }
    let headers = response.headers_mut();
    headers.insert(header::ETAG, header_value(etag));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(CACHE));
    Ok(response)
}

/// Says of which type the bytes are, and how a browser may use them.
fn describe(headers: &mut HeaderMap, announcement: &Announcement) {
    let essence = announcement.media_type.essence();
    headers.insert(header::CONTENT_TYPE, served_type(&announcement.media_type, &essence));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    let harmless =
        PICTURES.contains(&&*essence) || essence.starts_with("audio/") || essence.starts_with("video/");
    let mut disposition = if harmless { "inline" } else { "attachment" }.to_owned();
    if let Some(name) = &announcement.name {
        disposition = format!("{disposition}; filename*=UTF-8''{}", utf8_percent_encode(name.as_str(), NAME));
    }
    headers.insert(header::CONTENT_DISPOSITION, header_value(disposition));
}

/// The type that the publisher gave. A script gets another type, so no page runs it. Otherwise a publisher could give the console
/// a script that the console's policy takes for its own.
fn served_type(media_type: &MediaType, essence: &str) -> HeaderValue {
    if essence.ends_with("javascript") || essence.ends_with("ecmascript") {
        return HeaderValue::from_static("application/octet-stream");
    }
    header_value(media_type.as_str().to_owned())
}

/// The part of `size` bytes that is asked for. A range counts for GET alone, and with `If-Range` only if that names these bytes.
fn wanted_part(parts: &Parts, etag: &str, size: u64) -> Wanted {
    let range = text(&parts.headers, header::RANGE).filter(|_| parts.method == Method::GET);
    let is_same = text(&parts.headers, header::IF_RANGE).is_none_or(|tag| tag.trim() == etag);
    range.filter(|_| is_same).map_or(Wanted::Whole, |range| wanted(range, size))
}

/// Whether a list of entity tags has `etag` in it. For `If-None-Match` a weak tag is as good as a strong one.
fn names(tags: &str, etag: &str) -> bool {
    tags.split(',').map(str::trim).any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == etag)
}

fn header_value(text: String) -> HeaderValue {
    HeaderValue::try_from(text)
        .expect("an announcement is made of visible ASCII, and a name is percent-encoded")
}

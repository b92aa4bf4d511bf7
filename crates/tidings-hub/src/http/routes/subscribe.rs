//! `GET` as an event stream.

use std::sync::Arc;

use bytes::BytesMut;
use http::{HeaderValue, Response, StatusCode, Version, header::CACHE_CONTROL, request::Parts};
use serde_json::json;
use tidings_server::{Frame, KeepAlive, Sse, Visibility, stream_headers};

use crate::{
    Cursor,
    authorize::{Held, Reading},
    delivery::{Engine, cursor::Begin, hub_event},
    dialect::Dialect,
    http::{
        HubBody, Problem,
        disconnect::{Disconnect, DisconnectWatch},
        hand_over::HandOver,
    },
    log::HubId,
};

/// Opens a subscription. The response's head and its first bytes go out before any event.
///
/// While the hub shuts down, the stream ends at once. A 503 would be clearer, but an `EventSource` never comes back from it.
pub(crate) async fn subscribe(
    engine: &Arc<Engine>,
    dialect: &dyn Dialect,
    reading: Reading,
    begin: Begin,
    keep_alive: KeepAlive,
    held: Option<Box<Held>>,
    request: &Parts,
) -> Result<Response<HubBody>, Problem> {
    match Cursor::open(engine.clone(), reading, begin).await? {
        Some(cursor) => Ok(deliver(engine, dialect, cursor.holding(held), keep_alive, request)),
        None => Ok(ended()),
    }
}

/// The answer to a subscriber that will never get another update.
pub(crate) fn ended() -> Response<HubBody> {
    // 204 is the one answer after which an EventSource does not come back.
    let mut response = Response::new(HubBody::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    // A cache may keep a 204 by default, and the name of a topic may be used again when its close is forgotten.
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// The answer to a subscriber if nothing can be read at the moment: a stream that ends at once. As every stream, it begins with
/// the time after which to come back.
///
/// A subscriber that begins with the next update also gets its position. Otherwise it would come back without one, and miss the
/// updates that were published meanwhile.
pub(crate) fn put_off(engine: &Engine, dialect: &dyn Dialect, begins_now: bool) -> Response<HubBody> {
    engine.metrics.put_off.inc();
    let mut stream = BytesMut::from(&Frame::opening(Some(engine.settings.retry)).into_bytes()[..]);
    if begins_now {
        let bounds = engine.log.bounds();
        let id = HubId { epoch: bounds.epoch, position: bounds.newest }.to_string();
        stream.extend_from_slice(&hub_event("start", &json!({ "id": id }), id));
    }
    let mut response = Response::new(HubBody::from(stream.freeze()));
    *response.headers_mut() = stream_headers(Visibility::default());
    dialect.sign_stream(response.headers_mut(), None);
    response
}

/// The response whose body is what `cursor` reads.
pub(crate) fn deliver(
    engine: &Engine,
    dialect: &dyn Dialect,
    mut cursor: Cursor,
    keep_alive: KeepAlive,
    request: &Parts,
) -> Response<HubBody> {
    let has_private = cursor.subscription().terms.reach.has_private();
    let verdict = cursor.verdict();
    let keep_alive = keep_alive.after(engine.settings.heartbeat);
    let retry = engine.settings.retry;
    let hand_over = HandOver::offered(request).filter(|_| !engine.is_shutting_down());
    // A cache may not keep private updates for other clients.
    let visibility = if has_private { Visibility::Private } else { Visibility::default() };
    let first = hand_over.as_ref().and_then(|_| cursor.take_queued());
    let mut response = match (hand_over, first) {
        (Some(hand_over), Some(queued)) => {
            let first = [Frame::opening(Some(retry)).into_bytes(), queued];
            hand_over.accept(cursor, keep_alive, &request.headers);
            let mut response = Response::new(HubBody::first_bytes(first, hand_over));
            *response.headers_mut() = stream_headers(visibility);
            response
        }
        _ => {
            cursor.over(name(request.version));
            let sse = Sse::new(cursor).retry(retry).keep_alive(keep_alive);
            let sse = if has_private { sse.private() } else { sse };
            let disconnect = request.extensions.get::<Disconnect>().cloned();
            sse.into_response().map(|body| HubBody::stream(body, disconnect.map(DisconnectWatch::AtEof)))
        }
    };
    dialect.sign_stream(response.headers_mut(), verdict);
    response
}

/// The usual name of the protocol.
fn name(version: Version) -> &'static str {
    match version {
        Version::HTTP_2 => "HTTP/2",
        Version::HTTP_10 => "HTTP/1.0",
        _ => "HTTP/1.1",
    }
}

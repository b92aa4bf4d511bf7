//! How a subscription's socket leaves hyper.

use std::sync::{Arc, Mutex, PoisonError};

use http::{HeaderMap, Method, Version, header, request::Parts};
use tidings_server::KeepAlive;

use crate::Cursor;

/// A connection's offer to hand over its socket, in the extensions of its requests.
///
/// The service opens the subscription and leaves it here; hyper writes the head and the first bytes, as it does for every
/// response. Once these are with the kernel, nothing of the stream is in hyper any more, and its socket can be taken.
#[derive(Debug, Clone, Default)]
pub(crate) struct HandOver(Arc<Mutex<(Progress, Option<Taken>)>>);

/// A subscription on its way to a delivery loop.
#[derive(Debug)]
pub(crate) struct Taken {
    pub(crate) cursor: Cursor,
    pub(crate) keep_alive: KeepAlive,
    /// Whether the connection serves on when the stream has ended.
    pub(crate) persistent: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Progress {
    #[default]
    Nothing,
    /// hyper has all first bytes.
    Given,
    /// hyper has written them.
    Written,
}

impl HandOver {
    /// The offer of the connection that a request came over, if this request's stream can leave it: a plain `GET` over
    /// HTTP/1.1, of which nothing is still to be read.
    pub(crate) fn offered(parts: &Parts) -> Option<HandOver> {
        const BODY: [header::HeaderName; 3] =
            [header::CONTENT_LENGTH, header::TRANSFER_ENCODING, header::EXPECT];
        let plain = parts.method == Method::GET
            && parts.version == Version::HTTP_11
            && !BODY.iter().any(|name| parts.headers.contains_key(name));
        plain.then(|| parts.extensions.get().cloned()).flatten()
    }

    /// Leaves the subscription to the delivery loop that takes the socket.
    pub(crate) fn accept(&self, cursor: Cursor, keep_alive: KeepAlive, headers: &HeaderMap) {
        let persistent = !asks_to_close(headers);
        self.change(|state| *state = (Progress::Nothing, Some(Taken { cursor, keep_alive, persistent })));
    }

    /// Notes that hyper has taken the last of the first bytes from the body. hyper may ask for more after it has written them,
    /// too.
    pub(super) fn given(&self) {
        self.change(|(progress, _)| {
            if *progress == Progress::Nothing {
                *progress = Progress::Given;
            }
        });
    }

    /// Notes that hyper flushes: everything that it had is written.
    pub(crate) fn flushed(&self) {
        self.change(|(progress, _)| {
            if *progress == Progress::Given {
                *progress = Progress::Written;
            }
        });
    }

    /// The subscription, after hyper has written its first bytes.
    pub(crate) fn take(&self) -> Option<Taken> {
        self.change(|(progress, taken)| if *progress == Progress::Written { taken.take() } else { None })
    }

    fn change<T>(&self, change: impl FnOnce(&mut (Progress, Option<Taken>)) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn asks_to_close(headers: &HeaderMap) -> bool {
    let tokens = headers.get_all(header::CONNECTION).iter().filter_map(|value| value.to_str().ok());
    tokens.flat_map(|value| value.split(',')).any(|token| token.trim().eq_ignore_ascii_case("close"))
}

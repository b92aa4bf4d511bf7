//! A connection that speaks HTTP/1.1: hyper, until a subscription takes its socket.

use std::{
    convert::Infallible,
    future::{Future, poll_fn},
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http::{Method, Request, Response};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpStream;

#[cfg(feature = "tls")]
use super::http2::progress::{Progress, Watched};
use super::{
    last_chance::LastChance,
    socket::{Socket, Unread},
    write_buffer::WriteBuffer,
};
use crate::{
    Hub,
    http::{
        HubBody,
        disconnect::Disconnect,
        hand_over::{HandOver, Taken},
        service::{BoxError, answer},
    },
    peer::Peer,
};

/// How long a client may take to send the head of a request.
pub(super) const HEAD_TIMEOUT: Duration = Duration::from_secs(30);

/// How many bytes of the head of a request, and of answers to a slow client, are kept for one connection.
const MAX_BUFFER_BYTES: usize = 128 << 10;

/// How many bytes that a client sends after its subscription are kept until the stream has ended: the head of a request.
const MAX_PIPELINED_BYTES: usize = 16 << 10;

/// How often hyper is polled in a row for a client that pipelines, sixteen requests each time, before other tasks have their
/// turn. Subscribers are cheaper to write to in longer runs, in which their side does not fall asleep.
const POLLS_IN_A_ROW: usize = 8;

/// A subscription with its socket, which is non-blocking and has no other owner.
#[derive(Debug)]
pub(super) struct HandedOver {
    pub(super) socket: TcpStream,
    pub(super) taken: Taken,
    /// The bytes that the client has sent after its request.
    pub(super) pipelined: Bytes,
}

/// Serves the requests of one connection until it ends, or until `Some` subscription leaves it with its socket.
///
/// `read` are the bytes that have been read from the connection already.
pub(super) async fn serve(hub: Hub, socket: TcpStream, peer: Peer, read: Bytes) -> Option<HandedOver> {
    let mut shutdown = pin!(hub.engine().shutdown_begun());
    let socket = Arc::new(socket);
    let hand_over = HandOver::default();
    let unread = Unread::default();
    let io =
        WriteBuffer::new(Socket::new(hub.clone(), socket.clone(), read, hand_over.clone(), unread.clone()));
    let midway = io.midway();
    let disconnect = Disconnect::of(socket, midway.clone());
    let (answering, offer) = (hub.clone(), hand_over.clone());
    let under_way = UnderWay::default();
    let (of_request, unread) = (&under_way, &unread);
    let service = service_fn(move |mut request: Request<Incoming>| {
        // Each of them would cost a publish several allocations, and a publish needs neither.
        if !is_plain_publish(&request) {
            let disconnect = disconnect.of_request(request.version());
            request.extensions_mut().insert(disconnect);
        }
        if needs_peer(&answering, &request) {
            request.extensions_mut().insert(peer);
        }
        if cfg!(unix) && request.method() == Method::GET {
            request.extensions_mut().insert(offer.clone());
        }
        // Not the hub's service, which boxes every answer: subscribers leave, and publishers send many requests.
        let hub = answering.clone();
        async move {
            of_request.begin();
            let response = answer(&hub, request).await;
            Ok::<_, Infallible>(of_request.answered(response, unread))
        }
    });
    // A publisher may close as soon as it has sent everything, and its updates count. See `Disconnect` for the rest.
    let mut connection = builder().half_close(true).serve_connection(TokioIo::new(io.clone()), service);
    let (mut last_chance, mut ended) = (LastChance::default(), None);
    let is_idle = || !under_way.is() && !midway.load(Ordering::Relaxed);
    let taken = poll_fn(|context| {
        // A client that does not take its answers gets no more requests read.
        ready!(io.poll_written(context))?;
        if !last_chance.has_begun() && shutdown.as_mut().poll(context).is_ready() {
            last_chance.begin();
            Pin::new(&mut connection).graceful_shutdown();
        }
        for _ in 0..POLLS_IN_A_ROW {
            if ended.is_some() {
                break;
            }
            if let Poll::Ready(result) = Pin::new(&mut connection).poll(context) {
                ended = Some(result);
            }
            if io.take_writes() < 2 {
                break;
            }
        }
        ready!(io.poll_written(context))?;
        match ended.take() {
            Some(result) => Poll::Ready(result.map(|()| None).map_err(BoxError::from)),
            None => match hand_over.take() {
                Some(taken) => Poll::Ready(Ok(Some(taken))),
                None => last_chance.poll_over(context, is_idle).map(|()| Ok(None)),
            },
        }
    });
    let mut taken = match taken.await {
        Ok(taken) => taken?,
        Err(error) => {
            tracing::debug!(%error, "a connection ended early");
            return None;
        }
    };
    let parts = connection.into_parts();
    drop((parts.io, parts.service));
    let (socket, read) = io.into_inner().expect("hyper's share has been dropped").into_parts();
    // Copied, because hyper's buffer would live as long as this, even if it is empty.
    let mut pipelined = Bytes::from([parts.read_buf, read].concat());
    if pipelined.len() > MAX_PIPELINED_BYTES {
        tracing::info!(
            bytes = pipelined.len(),
            "a connection will end with its stream: the client has sent more after its request than is kept"
        );
        pipelined = Bytes::new();
        taken.persistent = false;
    }
    let socket =
        Arc::into_inner(socket).expect("the service and the body, which watched it, have been dropped");
    Some(HandedOver { socket, taken, pipelined })
}

/// Whether a request of a connection is being answered.
#[derive(Default)]
struct UnderWay {
    answering: AtomicBool,
    /// Held by each answer that is given in pieces.
    bodies: Arc<()>,
}

impl UnderWay {
    fn is(&self) -> bool {
        self.answering.load(Ordering::Relaxed) || Arc::strong_count(&self.bodies) > 1
    }

    /// Notes that an answer begins. Requests of a connection are answered one after the other.
    ///
    /// Not a future around the answer: the answer is large, and would be moved into it with each request.
    fn begin(&self) {
        self.answering.store(true, Ordering::Relaxed);
    }

    /// The answer that has begun.
    fn answered(&self, mut response: Response<HubBody>, unread: &Unread) -> Response<HubBody> {
        self.answering.store(false, Ordering::Relaxed);
        response.body_mut().keep(&self.bodies);
        unread.note(&response);
        response
    }
}

/// Whether the answer can only be a receipt. A request with a query may be a probe.
fn is_plain_publish<B>(request: &Request<B>) -> bool {
    let uri = request.uri();
    request.method() == Method::POST && uri.query().is_none() && uri.path().starts_with("/topics/")
}

/// Whether anything asks for the address of a request. To know the address costs an allocation for each request.
pub(super) fn needs_peer<B>(hub: &Hub, request: &Request<B>) -> bool {
    hub.engine().settings.access.is_personal() || may_be_probe(request)
}

/// Whether the request may ask for a probe, whose number is bounded for each address.
fn may_be_probe<B>(request: &Request<B>) -> bool {
    request.uri().query().is_some() || request.uri().path() == "/probe"
}

/// Serves the requests of a connection over TLS until it ends: its streams stay with hyper, as bodies.
///
/// A client that stops sending counts as gone, even if it waits for the answer to a publish. The socket is encrypted, so only
/// hyper can watch for the end of a stream.
#[cfg(feature = "tls")]
pub(super) async fn serve_encrypted<S>(hub: Hub, stream: S, peer: Peer, unread: Unread)
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Send + Unpin + 'static,
{
    let mut shutdown = pin!(hub.engine().shutdown_begun());
    let (answering, progress) = (hub.clone(), Progress::new(hub.engine().answers_room.clone()));
    let (watching, under_way) = (progress.clone(), UnderWay::default());
    let (of_request, unread) = (&under_way, &unread);
    let service = service_fn(move |mut request: Request<Incoming>| {
        if needs_peer(&answering, &request) {
            request.extensions_mut().insert(peer);
        }
        let (hub, progress) = (answering.clone(), watching.clone());
        async move {
            of_request.begin();
            let response = of_request.answered(answer(&hub, request).await, unread);
            Ok::<_, Infallible>(response.map(|body| Watched::new(body, progress)))
        }
    });
    let mut connection = Box::pin(builder().serve_connection(TokioIo::new(stream), service));
    let mut last_chance = LastChance::default();
    let ended = poll_fn(|context| {
        if !last_chance.has_begun() && shutdown.as_mut().poll(context).is_ready() {
            last_chance.begin();
            connection.as_mut().graceful_shutdown();
        }
        match connection.as_mut().poll(context) {
            Poll::Ready(ended) => Poll::Ready(ended),
            Poll::Pending => {
                last_chance.poll_over(context, || !under_way.is() && progress.has_nothing()).map(Ok)
            }
        }
    });
    let ended = ended.await;
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended early");
        if is_stalled(&error) {
            progress.drop_stalled(connection);
        }
    }
}

/// Whether the socket accepted nothing for the write timeout.
#[cfg(feature = "tls")]
fn is_stalled(error: &hyper::Error) -> bool {
    let source = std::error::Error::source(error).and_then(|source| source.downcast_ref::<std::io::Error>());
    source.is_some_and(|error| error.kind() == std::io::ErrorKind::TimedOut)
}

fn builder() -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT).max_buf_size(MAX_BUFFER_BYTES);
    builder
}

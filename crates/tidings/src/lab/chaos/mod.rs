//! `tidings chaos`: a proxy that spoils event streams on purpose.

mod answer;
mod blocks;
mod body;
mod bom;
mod crlf;
mod fault;
mod forbidden_header;
mod gzip;
mod hold;
mod one_behind;
mod proxy;
mod random;
mod recordings;
mod repeats;
mod span;
mod stage;
mod upstream;

use std::{
    sync::Arc,
    time::{Duration, UNIX_EPOCH},
};

use anyhow::Context;
use hyper::service::service_fn;
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    task::JoinSet,
};

use self::proxy::Proxy;
pub(crate) use self::{fault::Fault, upstream::Upstream};
use crate::{cli::Chaos, exit::UsageError, net::listen::bind, signals::stop_signal};

pub(crate) async fn run(chaos: Chaos) -> anyhow::Result<()> {
    if chaos.list {
        print!("{}", fault::list());
        return Ok(());
    }
    let upstream = chaos.upstream.ok_or_else(|| UsageError("--upstream is missing".into()))?;
    // Any seed works. This one is short enough to type again.
    let any = || UNIX_EPOCH.elapsed().map_or(0, |time| u64::from(time.subsec_micros()));
    let seed = chaos.seed.unwrap_or_else(any);
    let listener = bind(chaos.listen)?;
    let address = listener.local_addr().context("the address of the listener is unknown")?;
    // The reader of this output may stop this program.
    let mut stop = std::pin::pin!(stop_signal()?);
    eprint!(
        "Chaos listens on http://{address}\n\
         \x20 Upstream  {upstream}\n\
         \x20 Faults    {}\n\
         \x20 Seed      {seed}\n",
        fault::named(&chaos.fault)
    );
    let proxy = Arc::new(Proxy::new(upstream, chaos.fault, seed));
    // Dropping the connections closes them, and their connections to the upstream.
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            stopped = &mut stop => return stopped,
            accepted = listener.accept() => match accepted {
                Ok((socket, _)) => {
                    connections.spawn(serve(socket, Arc::clone(&proxy)));
                }
                Err(error) => {
                    eprintln!("cannot accept a connection: {error}");
                    // Without free file descriptors, the next one fails too until a client disconnects.
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn serve(socket: TcpStream, proxy: Arc<Proxy>) {
    // Pieces should arrive as they are sent. An error costs only that, so it is ignored.
    let _ = socket.set_nodelay(true);
    if proxy.adds_forbidden_header() {
        let (inner, outer) = tokio::io::duplex(64 << 10);
        tokio::join!(serve_on(inner, proxy), forbidden_header::relay(outer, socket));
    } else {
        serve_on(socket, proxy).await;
    }
}

/// Serves HTTP/1.1, or HTTP/2 to a client that begins with it.
async fn serve_on(io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, proxy: Arc<Proxy>) {
    let service = service_fn(move |request| {
        let proxy = Arc::clone(&proxy);
        async move { Ok::<_, std::convert::Infallible>(proxy.answer(request).await) }
    });
    // Broken connections are the purpose of this program.
    let _ = auto::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(io), service).await;
}

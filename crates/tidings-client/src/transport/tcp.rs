//! TCP to a host: all of its addresses are tried, and a dead one delays nothing. Source: RFC 8305, "Happy Eyeballs".

use std::{
    future::{Future, poll_fn},
    io,
    net::SocketAddr,
    pin::Pin,
    task::Poll,
    time::Duration,
};

use tokio::{
    net::{TcpStream, lookup_host},
    time::{Sleep, sleep},
};

use crate::transport::address::Address;

/// How long an address may be silent before the next one is tried as well. Source: RFC 8305, "Connection Attempt Delay".
const HEAD_START: Duration = Duration::from_millis(250);

pub(super) async fn connect(address: &Address<'_>) -> io::Result<TcpStream> {
    let addresses = lookup_host((address.host, address.port)).await?.collect();
    let stream = race(alternating(addresses), TcpStream::connect).await?;
    // Without it, the second small piece of a published stream waits for the acknowledgement of the first. An error
    // here costs only that delay, so it is ignored.
    let _ = stream.set_nodelay(true);
    Ok(stream)
}

/// Alternates between the address families, so that a network without IPv6 costs one attempt. The resolver chooses the
/// first.
fn alternating(addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let first_is_v4 = addresses.first().is_some_and(SocketAddr::is_ipv4);
    let (first, other): (Vec<_>, Vec<_>) =
        addresses.into_iter().partition(|address| address.is_ipv4() == first_is_v4);
    let (mut first, mut other) = (first.into_iter(), other.into_iter());
    let mut alternating = Vec::new();
    loop {
        let pair = [first.next(), other.next()];
        if pair == [None, None] {
            return alternating;
        }
        alternating.extend(pair.into_iter().flatten());
    }
}

/// Connects to the addresses in turn. The next attempt begins when the last one has had its head start, or when all
/// attempts so far have failed. The first connection wins, and the others are dropped.
async fn race<C, F, S>(addresses: Vec<SocketAddr>, connect: C) -> io::Result<S>
where
    C: Fn(SocketAddr) -> F,
    F: Future<Output = io::Result<S>> + Send,
{
    let mut addresses = addresses.into_iter();
    let mut attempts: Vec<Pin<Box<F>>> = Vec::new();
    let mut head_start: Option<Pin<Box<Sleep>>> = None;
    let mut last_error = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    poll_fn(move |cx| {
        loop {
            let mut winner = None;
            attempts.retain_mut(|attempt| match attempt.as_mut().poll(cx) {
                Poll::Pending => true,
                Poll::Ready(Ok(stream)) => {
                    winner = Some(stream);
                    false
                }
                Poll::Ready(Err(error)) => {
                    last_error = io::Error::new(error.kind(), error.to_string());
                    false
                }
            });
            if let Some(stream) = winner {
                return Poll::Ready(Ok(stream));
            }
            let is_due = head_start.as_mut().is_some_and(|timer| timer.as_mut().poll(cx).is_ready());
            if !(attempts.is_empty() || is_due) {
                return Poll::Pending;
            }
            match addresses.next() {
                Some(address) => attempts.push(Box::pin(connect(address))),
                None if attempts.is_empty() => {
                    return Poll::Ready(Err(io::Error::new(last_error.kind(), last_error.to_string())));
                }
                None => {}
            }
            head_start = (addresses.len() > 0).then(|| Box::pin(sleep(HEAD_START)));
        }
    })
    .await
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;

    fn address(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    /// Connects to ports: those below 10 are silent, those below 20 refuse, others answer after so many milliseconds.
    async fn run(ports: &[u16]) -> (u128, Result<u16, String>) {
        let start = Instant::now();
        let addresses = ports.iter().map(|port| SocketAddr::from(([127, 0, 0, 1], *port))).collect();
        let won = race(addresses, |address| async move {
            match address.port() {
                0..10 => std::future::pending().await,
                10..20 => Err(io::Error::other(format!("{} refuses", address.port()))),
                port => {
                    sleep(Duration::from_millis(port.into())).await;
                    Ok(port)
                }
            }
        });
        let won = won.await.map_err(|error| error.to_string());
        (start.elapsed().as_millis(), won)
    }

    #[tokio::test(start_paused = true)]
    async fn each_address_is_tried_and_a_silent_one_holds_nothing_up() {
        assert_eq!(run(&[20, 30]).await, (20, Ok(20)));
        assert_eq!(run(&[10, 11, 30]).await, (30, Ok(30)));
        assert_eq!(run(&[1, 30]).await, (280, Ok(30)));
        assert_eq!(run(&[1, 2, 10, 30]).await, (780, Ok(30)));
        assert_eq!(run(&[400, 30]).await, (280, Ok(30)));
        assert_eq!(run(&[300, 400]).await, (300, Ok(300)));
        assert_eq!(run(&[10, 11]).await, (0, Err("11 refuses".to_owned())));
        assert_eq!(run(&[]).await, (0, Err("the name has no address".to_owned())));
    }

    #[test]
    fn families_alternate_and_the_first_stays_first() {
        let [a, b, c] = ["[::1]:1", "[::2]:1", "[::3]:1"].map(address);
        let [x, y] = ["1.1.1.1:1", "1.1.1.2:1"].map(address);
        assert_eq!(alternating(vec![a, b, c, x, y]), [a, x, b, y, c]);
        assert_eq!(alternating(vec![x, y, a]), [x, a, y]);
        assert_eq!(alternating(vec![]), []);
    }
}

//! The clock of an HTTP/2 connection, which stands still while nothing is read from the connection.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};

use hyper::rt::{Sleep, Timer};

use crate::log::turns::Publisher;

/// A timer that does not go off while the hub itself reads nothing. The answer to a PING may be among the unread bytes, no matter
/// how long the log keeps the publishes of the client waiting.
#[derive(Debug, Clone)]
pub(super) struct PatientTimer(pub(super) Publisher);

/// Goes off when its time has passed, in which all bytes that came were read.
struct PatientSleep {
    sleep: Pin<Box<tokio::time::Sleep>>,
    length: Duration,
    publisher: Publisher,
    /// How often reading had been put off when its time began.
    put_off: usize,
}

impl Timer for PatientTimer {
    fn sleep(&self, length: Duration) -> Pin<Box<dyn Sleep>> {
        let publisher = self.0.clone();
        let (sleep, put_off) = (Box::pin(tokio::time::sleep(length)), publisher.put_off());
        Box::pin(PatientSleep { sleep, length, publisher, put_off })
    }

    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn Sleep>> {
        self.sleep(deadline.saturating_duration_since(self.now()))
    }

    fn now(&self) -> Instant {
        tokio::time::Instant::now().into_std()
    }
}

impl Sleep for PatientSleep {}

impl Future for PatientSleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        loop {
            ready!(self.sleep.as_mut().poll(context));
            let put_off = self.publisher.put_off();
            if put_off == self.put_off && !self.publisher.has_too_much() {
                return Poll::Ready(());
            }
            self.put_off = put_off;
            // A time of zero would be looked at for ever.
            let until = tokio::time::Instant::now() + self.length.max(Duration::from_secs(1));
            self.sleep.as_mut().reset(until);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn time_in_which_nothing_was_read_does_not_count() {
        let publisher = Publisher::default();
        let mut context = Context::from_waker(Waker::noop());
        let mut sleep = PatientTimer(publisher.clone()).sleep(Duration::from_secs(60));
        let mut has_gone_off = || sleep.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready();
        let waits = publisher.much();
        assert!(publisher.poll_read(&mut context).is_pending() && !has_gone_off());
        tokio::time::advance(Duration::from_secs(500)).await;
        assert!(!has_gone_off());
        drop(waits);
        tokio::time::advance(Duration::from_secs(61)).await;
        assert!(has_gone_off(), "it has been read of since then");
    }

    #[tokio::test(start_paused = true)]
    async fn what_came_while_nothing_was_read_has_the_whole_time_to_be_read() {
        let publisher = Publisher::default();
        let mut sleep = PatientTimer(publisher.clone()).sleep(Duration::from_secs(60));
        let mut has_gone_off = || sleep.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready();
        assert!(!has_gone_off());
        {
            let _waits = publisher.much();
            let mut context = Context::from_waker(Waker::noop());
            assert!(publisher.poll_read(&mut context).is_pending());
        }
        tokio::time::advance(Duration::from_secs(61)).await;
        assert!(!has_gone_off());
        tokio::time::advance(Duration::from_secs(61)).await;
        assert!(has_gone_off());
    }
}

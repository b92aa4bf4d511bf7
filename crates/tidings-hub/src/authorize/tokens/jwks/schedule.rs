//! When the hub fetches a set of keys.

use std::{future::Future, time::Duration};

use tokio::time::{sleep, timeout};

use super::{
    fetch::{FETCH_TIMEOUT, FetchError},
    published::{Fetched, Shared},
};

/// The longest pause after a fetch that failed. The first one is a second, and each is twice as long as the one before.
const MAX_RETRY_PAUSE: Duration = Duration::from_secs(60);

/// Fetches the keys at once, and again when their time is over or somebody wants them.
pub(super) async fn keep_fresh<F>(shared: &Shared, url: &str, fetch: impl Fn() -> F)
where
    F: Future<Output = Result<Fetched, FetchError>>,
{
    let mut failures = 0_u32;
    loop {
        shared.begin();
        let fetched = timeout(FETCH_TIMEOUT, fetch()).await.unwrap_or(Err(FetchError::TooSlow));
        let is_new = shared.end(fetched.as_ref().ok());
        let pause = match &fetched {
            Ok(Fetched { keys, max_age, .. }) => {
                if is_new || failures > 0 {
                    tracing::info!(
                        url,
                        keys = keys.count(),
                        skipped = keys.skipped(),
                        "the keys of an issuer were fetched"
                    );
                }
                failures = 0;
                *max_age
            }
            Err(error) => {
                let pause = MAX_RETRY_PAUSE.min(Duration::from_secs(1 << failures.min(6)));
                failures += 1;
                let error = error as &dyn std::error::Error;
                let has_older = shared.current().is_some();
                tracing::warn!(url, error, has_older, "the keys of an issuer cannot be fetched");
                pause
            }
        };
        tokio::select! {
            () = sleep(pause) => {}
            () = shared.wanted.notified() => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        cell::{Cell, RefCell},
        future::ready,
    };

    use tokio::{
        task::{LocalSet, spawn_local, yield_now},
        time::{Instant, advance},
    };

    use super::*;
    use crate::authorize::tokens::TokenKeys;

    const HOUR: Duration = Duration::from_secs(3_600);

    fn set(byte: u8) -> Fetched {
        let keys = TokenKeys::parse(&[b'x'; 32]).unwrap();
        Fetched { keys, hash: [byte; 32], max_age: HOUR }
    }

    /// The seconds at which an issuer is asked that answers by `answer`, while `during` goes on.
    async fn asked<F: Future<Output = ()>>(
        answer: impl Fn(usize) -> Result<Fetched, FetchError> + 'static,
        during: impl FnOnce(std::rc::Rc<Shared>) -> F,
    ) -> Vec<u64> {
        let (shared, times) = (std::rc::Rc::new(Shared::new()), std::rc::Rc::new(RefCell::new(Vec::new())));
        let begin = Instant::now();
        let (of_task, of_times) = (shared.clone(), times.clone());
        LocalSet::new()
            .run_until(async move {
                let task = spawn_local(async move {
                    let count = Cell::new(0);
                    let fetch = || {
                        of_times.borrow_mut().push(begin.elapsed().as_secs());
                        count.set(count.get() + 1);
                        ready(answer(count.get()))
                    };
                    keep_fresh(&of_task, "https://app.example/keys", fetch).await;
                });
                yield_now().await;
                during(shared).await;
                task.abort();
            })
            .await;
        std::rc::Rc::into_inner(times).map_or_else(Vec::new, RefCell::into_inner)
    }

    #[tokio::test(start_paused = true)]
    async fn a_set_is_fetched_at_once_and_again_when_its_time_is_over() {
        let times = asked(|_| Ok(set(1)), |_| async { sleep(2 * HOUR + HOUR / 2).await }).await;
        assert_eq!(times, [0, 3_600, 7_200]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_fetch_that_fails_is_tried_again_after_ever_longer_pauses_up_to_a_minute() {
        let during = |_| async { sleep(Duration::from_secs(200)).await };
        let times = asked(|_| Err(FetchError::TooSlow), during).await;
        assert_eq!(times, [0, 1, 3, 7, 15, 31, 63, 123, 183]);
    }

    #[tokio::test(start_paused = true)]
    async fn an_unknown_key_makes_the_hub_fetch_at_most_once_a_minute() {
        let times = asked(
            |_| Ok(set(1)),
            |shared| async move {
                for _ in 0..180 {
                    advance(Duration::from_secs(1)).await;
                    shared.ask_again().await;
                }
            },
        )
        .await;
        assert_eq!(times, [0, 1, 61, 121]);
    }

    #[tokio::test(start_paused = true)]
    async fn the_last_set_serves_for_a_day_after_its_time_if_no_other_comes() {
        let answer = |count| if count == 1 { Ok(set(1)) } else { Err(FetchError::TooSlow) };
        asked(answer, |shared| async move {
            sleep(24 * HOUR + HOUR / 2).await;
            assert!(shared.current().is_some());
            sleep(HOUR).await;
            assert!(shared.current().is_none());
        })
        .await;
    }
}

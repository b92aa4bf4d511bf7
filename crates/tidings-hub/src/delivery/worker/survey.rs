//! Which rows lag most: a look at all of them when an operator asks, instead of a list that is kept up to date.

use std::{sync::Arc, time::Duration};

use tokio::sync::oneshot;

use super::{
    row::{Row, State},
    slots::Slot,
    work::Worker,
};
use crate::{
    Grant,
    delivery::lag::{FRESH, Furthest, Lag, Seen},
};

/// How many rows are looked at in one piece of work, for one grant.
const LOOKS: usize = 4096;

/// For how many grants one pass over the rows is. Others wait for the next one.
const GRANTS: usize = 64;

/// A question, and where to answer it.
#[derive(Debug)]
pub(super) struct Asker {
    /// Rows that its holder may not know of are left out.
    pub(super) grant: Grant,
    /// Where the answer goes.
    pub(super) tell: oneshot::Sender<Arc<Furthest>>,
}

/// How far the current pass over the rows has come, and what came of the last.
#[derive(Debug, Default)]
pub(super) struct Survey {
    /// The questions that the pass answers, one for each grant that may know something else.
    looks: Vec<Look>,
    /// The questions that have come since it began.
    waiting: Vec<Asker>,
    next: Slot,
    /// When the last one was done, in milliseconds of the worker's time, and for whom.
    last: Option<(u64, Vec<Answer>)>,
}

/// A grant, and the subscriptions that its holder is told of.
type Answer = (Grant, Arc<Furthest>);

/// The subscriptions that have been found for a grant.
#[derive(Debug)]
struct Look {
    grant: Grant,
    furthest: Furthest,
    tell: Vec<oneshot::Sender<Arc<Furthest>>>,
}

impl Survey {
    pub(super) fn is_running(&self) -> bool {
        !(self.looks.is_empty() && self.waiting.is_empty())
    }

    /// Begins a pass for those that wait, if none is under way.
    fn begin(&mut self) {
        if !self.looks.is_empty() {
            return;
        }
        self.next = 0;
        for asker in std::mem::take(&mut self.waiting) {
            let Asker { grant, tell } = asker;
            if tell.is_closed() {
                continue;
            }
            match self.looks.iter().position(|look| look.grant.knows_as_much_as(&grant)) {
                Some(at) => self.looks[at].tell.push(tell),
                None if self.looks.len() == GRANTS => self.waiting.push(Asker { grant, tell }),
                None => self.looks.push(Look { grant, furthest: Furthest::default(), tell: vec![tell] }),
            }
        }
    }

    /// Forgets the questions of clients that have left.
    fn forget_the_gone(&mut self) {
        self.looks.retain_mut(|look| {
            look.tell.retain(|tell| !tell.is_closed());
            !look.tell.is_empty()
        });
    }
}

impl Worker {
    /// Answers with the last result if it is fresh, otherwise after a search of all rows.
    pub(super) fn answer(&mut self, asker: Asker) {
        let fresh = FRESH.as_millis();
        let last = self.survey.last.as_ref();
        let last = last.filter(|(at, _)| u128::from(self.now.saturating_sub(*at)) < fresh);
        let known = last.and_then(|(_, all)| all.iter().find(|(of, _)| of.knows_as_much_as(&asker.grant)));
        match known {
            // A client that does not wait any more needs no answer.
            Some((_, furthest)) => drop(asker.tell.send(furthest.clone())),
            None => self.survey.waiting.push(asker),
        }
    }

    /// Goes on with the current pass, if there is one.
    pub(super) fn survey(&mut self) {
        if !self.survey.is_running() {
            return;
        }
        self.survey.forget_the_gone();
        self.survey.begin();
        let looks = &mut self.survey.looks;
        if looks.is_empty() {
            return;
        }
        let newest = self.engine.log.bounds().newest.sequence;
        let step = LOOKS / looks.len();
        let end = self.rows.end().min(self.survey.next.saturating_add(step as Slot));
        for slot in self.survey.next..end {
            let Some(row) = self.rows.get(slot) else { continue };
            let (lag, group) = (row.lag(newest, self.now), row.group);
            for Look { grant, furthest, .. } in &mut *looks {
                furthest.look_at(lag, || {
                    let subscription = &self.groups.get(group)?.subscription;
                    let seen =
                        || Seen { lag, subscription: subscription.clone(), protocol: Some("HTTP/1.1") };
                    subscription.may_be_told_to(grant).then(seen)
                });
            }
        }
        self.survey.next = end;
        if end < self.rows.end() {
            return;
        }
        let done = std::mem::take(looks).into_iter().map(|Look { grant, furthest, tell }| {
            let furthest = Arc::new(furthest);
            for tell in tell {
                let _ = tell.send(furthest.clone());
            }
            (grant, furthest)
        });
        self.survey.last = Some((self.now, done.collect()));
    }
}

impl Row {
    /// How much it lacks of a log that ends with `newest`.
    pub(super) fn lag(&self, newest: u64, now: u64) -> Lag {
        let behind = match self.state {
            // Its position is that of the last update for it, however many there were for others.
            State::Live => 0,
            _ => newest.saturating_sub(self.progress.position),
        };
        let stalled = match &self.state {
            State::Blocked(rest) => Some(Duration::from_millis(now.saturating_sub(rest.pace.since()))),
            _ => None,
        };
        let age = Duration::from_secs((now / 1000).saturating_sub(self.joined.into()));
        Lag { behind, stalled, age }
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use tokio::sync::mpsc;

    use super::*;
    use crate::{Hub, Matchers, Subject};

    fn asker(grant: &Grant) -> (Asker, oneshot::Receiver<Arc<Furthest>>) {
        let (tell, answer) = oneshot::channel();
        (Asker { grant: grant.clone(), tell }, answer)
    }

    #[tokio::test]
    async fn one_look_serves_all_that_wait_and_is_the_same_for_those_that_may_know_the_same() {
        let hub = Hub::default();
        let (returned, _returned) = mpsc::unbounded_channel();
        let mut worker = Worker::new(hub.engine().clone(), returned).unwrap();
        let all = Grant::default().with_read(Matchers::all());
        let news = Grant::default().with_read(Matchers::parse(["news/*"]).unwrap());
        let grants = [
            all.clone().with_subject(Subject::new("app", "alice")),
            all.clone().with_expiry(SystemTime::now() + Duration::from_secs(60)),
            all.clone().with_publish(Matchers::all()),
            news,
        ];
        let answers = grants.each_ref().map(|grant| {
            let (asker, answer) = asker(grant);
            worker.answer(asker);
            answer
        });
        worker.survey();
        assert!(!worker.survey.is_running());
        let [alice, ending, publisher, news] = answers.map(|mut answer| answer.try_recv().unwrap());
        assert!(Arc::ptr_eq(&alice, &ending) && Arc::ptr_eq(&alice, &publisher));
        assert!(!Arc::ptr_eq(&alice, &news));
        let (asker, mut answer) = asker(&all);
        worker.answer(asker);
        assert!(Arc::ptr_eq(&alice, &answer.try_recv().unwrap()), "it is fresh");
    }

    #[tokio::test]
    async fn nobody_looks_for_a_client_that_has_left() {
        let hub = Hub::default();
        let (returned, _returned) = mpsc::unbounded_channel();
        let mut worker = Worker::new(hub.engine().clone(), returned).unwrap();
        drop({
            let (asker, answer) = asker(&Grant::default());
            worker.answer(asker);
            answer
        });
        worker.survey();
        assert!(!worker.survey.is_running() && worker.survey.last.is_none());
    }
}

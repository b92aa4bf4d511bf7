//! Subscribers who asked for the same.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use tidings_server::KeepAlive;

use super::{
    inbox::Inbox,
    slots::{Slot, Slots},
};
use crate::{
    delivery::chunk::Encoded,
    routing::{Registration, Routing},
    subscription::{Standing, Subscription},
};

/// The groups of a worker: one for each subscription that its rows have.
#[derive(Debug)]
pub(super) struct Groups {
    slots: Slots<Group>,
    by_subscription: HashMap<Asked, Slot>,
}

type Asked = (Arc<Subscription>, KeepAlive);

/// Rows that get the same bytes when they are at the same place. The hub's routing knows the group, not its rows: an update
/// wakes each worker once, and the worker finds the rows here.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) subscription: Arc<Subscription>,
    keep_alive: KeepAlive,
    /// In the order of their sockets.
    pub(super) rows: BTreeSet<Slot>,
    /// Who waits for the page of the log that follows.
    pub(super) readers: HashMap<Standing, Vec<Slot>>,
    registration: Registration,
    waker: Waker,
}

impl Groups {
    pub(super) fn new() -> Groups {
        Groups { slots: Slots::new(), by_subscription: HashMap::new() }
    }

    pub(super) fn get(&self, slot: Slot) -> Option<&Group> {
        self.slots.get(slot)
    }

    pub(super) fn get_mut(&mut self, slot: Slot) -> Option<&mut Group> {
        self.slots.get_mut(slot)
    }

    /// The group of a subscription. A new one is registered with the hub's routing: of what is published from now on, it hears.
    pub(super) fn find_or_register(
        &mut self,
        subscription: &Arc<Subscription>,
        keep_alive: KeepAlive,
        routing: &Arc<Routing>,
        inbox: &Arc<Inbox>,
    ) -> Slot {
        let asked = (subscription.clone(), keep_alive);
        if let Some(slot) = self.by_subscription.get(&asked) {
            return *slot;
        }
        let slot = self.slots.insert(Group {
            subscription: subscription.clone(),
            keep_alive,
            rows: BTreeSet::new(),
            readers: HashMap::new(),
            registration: routing.register(subscription.interest.clone()),
            waker: Waker::noop().clone(),
        });
        let group = self.slots.get_mut(slot).expect("it was inserted above");
        group.waker = inbox.waker(slot);
        group.listen();
        self.by_subscription.insert(asked, slot);
        slot
    }

    /// Forgets a group that has no rows. One that still waits for a page stays until that has come, so that its number is not
    /// given to another meanwhile. Says whether it is gone.
    pub(super) fn forget_if_unused(&mut self, slot: Slot) -> bool {
        let Some(group) = self.slots.get(slot) else { return false };
        let unused = group.rows.is_empty() && group.readers.is_empty();
        if unused {
            self.by_subscription.remove(&(group.subscription.clone(), group.keep_alive));
            self.slots.remove(slot);
        }
        unused
    }
}

impl Group {
    /// The heartbeat as a chunk, if one is due after `silence` milliseconds. Made anew each time: groups are many, and few of
    /// them have one due.
    pub(super) fn heartbeat_after(&self, silence: u64) -> Option<Bytes> {
        if u128::from(silence) < self.keep_alive.silence().as_millis() {
            return None;
        }
        self.keep_alive.heartbeat().map(|frame| Encoded::from(frame.as_bytes()).into_chunk())
    }

    /// The first update since the last call; none before it is for this group. From now on the next one is signalled.
    pub(super) fn listen(&self) -> Option<u64> {
        let mut context = Context::from_waker(&self.waker);
        let mut first = None;
        // It takes what there is, and then leaves the waker.
        while let Poll::Ready(next) = self.registration.poll_update(&mut context) {
            first = Some(first.unwrap_or(next));
        }
        first
    }
}

//! Rows with the same subscription.

use std::{
    collections::{BTreeMap, HashMap, btree_map::Entry},
    sync::Arc,
};

use bytes::Bytes;
use tidings_server::KeepAlive;

use super::{
    bell::Bell,
    inbox::Inbox,
    slots::{Slot, Slots},
};
use crate::delivery::{
    chunk::Encoded,
    one_or_many::OneOrMany,
    routing::{Registration, Routing},
    subscription::{Progress, Subscription},
};

/// The groups of a worker: one for each subscription that its rows have.
#[derive(Debug)]
pub(super) struct Groups {
    slots: Slots<Group>,
    /// The groups that get the same heartbeats: as few tables as there are forms of these.
    tables: Vec<(KeepAlive, HashMap<Subscription, Slot>)>,
    /// Which rows wait for the page of the log that follows a position.
    readers: BTreeMap<(Slot, Progress), Vec<Slot>>,
}

/// Rows that get the same bytes when they are at the same position. The hub's routing knows the group, not its rows: an update
/// wakes each worker once, and the worker finds the rows here.
#[derive(Debug)]
pub(super) struct Group {
    /// The subscription of all its rows.
    pub(super) subscription: Subscription,
    /// The number of the table that it is in.
    table: u32,
    /// In the order of their sockets.
    pub(crate) rows: OneOrMany<Slot, ()>,
    registration: Registration<Bell>,
}

impl Groups {
    pub(super) fn new() -> Groups {
        Groups { slots: Slots::new(), tables: Vec::new(), readers: BTreeMap::new() }
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
        subscription: &Subscription,
        keep_alive: KeepAlive,
        routing: &Arc<Routing>,
        inbox: &Arc<Inbox>,
    ) -> Slot {
        let known = self.tables.iter().position(|(known, _)| *known == keep_alive);
        let number = known.unwrap_or_else(|| {
            self.tables.push((keep_alive, HashMap::new()));
            self.tables.len() - 1
        });
        let table = &mut self.tables[number].1;
        if let Some(slot) = table.get(subscription) {
            return *slot;
        }
        let slot = self.slots.insert_with(|slot| Group {
            subscription: subscription.clone(),
            table: number as u32,
            rows: OneOrMany::default(),
            registration: routing.register(subscription.selector.clone(), Bell::new(inbox.clone(), slot)),
        });
        table.insert(subscription.clone(), slot);
        slot
    }

    /// Forgets a group that has no rows. One that still waits for a page stays until that has come, so that its number is not
    /// given to another meanwhile. Says whether it is gone.
    pub(super) fn forget_if_unused(&mut self, slot: Slot) -> bool {
        let Some(group) = self.slots.get(slot) else { return false };
        let mut pages = self.readers.range((slot, Progress::MIN)..=(slot, Progress::MAX));
        let unused = group.rows.is_empty() && pages.next().is_none();
        if unused {
            self.tables[group.table as usize].1.remove(&group.subscription);
            self.slots.remove(slot);
        }
        unused
    }

    /// The heartbeat of a group as a chunk, if one is due after `silence` milliseconds. Made anew each time: groups are many,
    /// and few of them have one due.
    pub(super) fn heartbeat_after(&self, slot: Slot, silence: u64) -> Option<Bytes> {
        let (keep_alive, _) = &self.tables[self.slots.get(slot)?.table as usize];
        if u128::from(silence) < keep_alive.silence().as_millis() {
            return None;
        }
        keep_alive.heartbeat().map(|frame| Encoded::from(frame.as_bytes()).into_chunk())
    }

    /// Makes a row wait for the page that follows a position; says whether it is the first to do so.
    pub(super) fn add_reader(&mut self, group: Slot, from: Progress, row: Slot) -> bool {
        match self.readers.entry((group, from)) {
            Entry::Vacant(nobody) => {
                nobody.insert(vec![row]);
                true
            }
            // Possibly nobody any more, while the page is being handed out.
            Entry::Occupied(mut readers) => {
                readers.get_mut().push(row);
                false
            }
        }
    }

    /// The rows that wait for a page.
    pub(super) fn readers(&mut self, group: Slot, from: Progress) -> Option<&mut Vec<Slot>> {
        self.readers.get_mut(&(group, from))
    }

    /// Forgets a page that nobody waits for any more.
    pub(super) fn forget_readers(&mut self, group: Slot, from: Progress) {
        self.readers.remove(&(group, from));
    }
}

impl Group {
    /// A number that no other group ever has.
    pub(super) fn registration(&self) -> u64 {
        self.registration.number()
    }

    pub(super) fn is_searched_for(&self) -> bool {
        self.subscription.selector.is_searched_for()
    }

    /// The first update since the last call; none before it is for this group. From now on the next one is signalled.
    pub(super) fn listen(&self) -> Option<u64> {
        self.registration.listener().take()
    }
}

//! A table whose entries keep their number.

/// Entries in the order in which they came, but for those that take the place of one that left.
///
/// Sockets are cheapest to write in the order of their creation (a random one costs a quarter more at 15,000), and the
/// numbers keep that order.
#[derive(Debug)]
pub(super) struct Slots<T> {
    entries: Vec<Option<T>>,
    free: Vec<u32>,
}

/// The number of an entry; given again once the entry is gone.
pub(super) type Slot = u32;

impl<T> Slots<T> {
    pub(super) fn new() -> Slots<T> {
        Slots { entries: Vec::new(), free: Vec::new() }
    }

    pub(super) fn insert(&mut self, entry: T) -> Slot {
        self.insert_with(|_| entry)
    }

    /// The same for an entry that knows its number.
    pub(super) fn insert_with(&mut self, entry: impl FnOnce(Slot) -> T) -> Slot {
        if let Some(slot) = self.free.pop() {
            self.entries[slot as usize] = Some(entry(slot));
            return slot;
        }
        let slot = Slot::try_from(self.entries.len()).expect("a process has fewer than 2^32 sockets");
        self.entries.push(Some(entry(slot)));
        slot
    }

    pub(super) fn remove(&mut self, slot: Slot) -> Option<T> {
        let entry = self.entries.get_mut(slot as usize)?.take();
        if entry.is_some() {
            self.free.push(slot);
        }
        entry
    }

    pub(super) fn get(&self, slot: Slot) -> Option<&T> {
        self.entries.get(slot as usize)?.as_ref()
    }

    pub(super) fn get_mut(&mut self, slot: Slot) -> Option<&mut T> {
        self.entries.get_mut(slot as usize)?.as_mut()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.len() == self.free.len()
    }

    /// One more than the highest number that was ever given.
    pub(super) fn end(&self) -> Slot {
        self.entries.len() as Slot
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_stays_and_is_given_again() {
        let mut slots = Slots::new();
        let (a, b) = (slots.insert('a'), slots.insert('b'));
        assert_eq!((slots.remove(a), slots.remove(a)), (Some('a'), None));
        assert_eq!((slots.get(a), slots.get(b)), (None, Some(&'b')));
        assert_eq!((slots.insert('c'), slots.end()), (a, 2));
        assert!(!slots.is_empty());
        slots.remove(a);
        slots.remove(b);
        assert!(slots.is_empty());
    }
}

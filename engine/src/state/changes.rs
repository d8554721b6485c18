//! Changes: which rows changed, in the order in which they did, and which of them are due: a
//! snapshot has to write them.
//!
//! The tag of a row stands for what happened to it last:
//!
//! ```text
//!   0        it has not changed since snapshots are taken
//!   2e       it changed in epoch e, which ends with the snapshot e
//!   2e + 1   it was written by the snapshot e
//! ```
//!
//! So for the snapshot `n` after the committed snapshot `s` the rows with a tag from `2s + 2` to
//! `2n` are due; for a full one all up to `2n`. Rows that an aborted snapshot wrote are among them;
//! rows that this one wrote are not.
//! A row that changes for the first time in an epoch is also listed: a snapshot looks at the rows
//! that were listed since `s`, and takes time for changes only. The list is written at its end, so
//! an event touches no other cold memory than its row.
//!
//! Promises: a row is listed once for each epoch, as long as no more are listed than a quarter of
//! the rows that there were at the last snapshot. Above that, and before the first snapshot,
//! nothing is listed, and the next snapshot looks at all rows, which is faster then. Must never do:
//! move an entry of the list.

use std::collections::VecDeque;

use potoroo_sdk::table::TAGS;

/// Greater epochs have no tag.
const EPOCH_MAX: u32 = (TAGS >> 1) - 2;

/// Which rows of a table changed, and how far its snapshot is.
pub(super) struct Changes {
    /// The tag of what changes now.
    now: u32,
    /// Most lists in use; 0 before the first snapshot.
    lists_max: usize,
    /// Slots by the epoch in which their rows changed, in lists of [`LIST_SLOTS`], oldest first.
    lists: VecDeque<(u32, Vec<u32>)>,
    /// How many of the oldest lists are free to be used again. They are not removed at once, since
    /// that would take time for each.
    free_lists: usize,
    /// Everything is listed from this epoch on.
    complete_from: u32,
    /// Rows with tags from the first to the last are due; none without a snapshot under way.
    due: (u32, u32),
    next: Next,
}

/// Where the snapshot goes on.
#[derive(Clone, Copy)]
enum Next {
    /// In a list, counted from the first that is not free, at an entry of it.
    Listed(usize, usize),
    /// All slots from the first, up to the second.
    All(u32, u32),
}

impl Changes {
    pub(super) fn new() -> Self {
        Self {
            now: 0,
            lists_max: 0,
            lists: VecDeque::new(),
            free_lists: 0,
            complete_from: u32::MAX,
            due: NOTHING,
            next: Next::All(0, 0),
        }
    }

    /// The epoch after `epoch` begins, without a snapshot.
    pub(super) fn begin_after(&mut self, epoch: u32) {
        self.now = 2 * (epoch + 1);
    }

    /// The tag of rows that change now.
    #[inline(always)]
    pub(super) fn now(&self) -> u32 {
        self.now
    }

    /// The epoch that goes on now.
    pub(super) fn epoch(&self) -> u32 {
        self.now / 2
    }

    /// Whether the row with this tag is due.
    #[inline]
    pub(super) fn is_due(&self, tag: u32) -> bool {
        (self.due.0..=self.due.1).contains(&tag)
    }

    /// The tag of rows that the snapshot writes.
    #[inline]
    pub(super) fn written(&self) -> u32 {
        self.now - 1
    }

    /// The row in `slot` gets the tag of now.
    #[inline]
    pub(super) fn list(&mut self, slot: u32) {
        let epoch = self.now / 2;
        match self.lists.back_mut() {
            Some((of, slots)) if *of == epoch && slots.len() < LIST_SLOTS => slots.push(slot),
            _ if self.complete_from <= epoch => self.list_on(slot),
            _ => {}
        }
    }

    // cold: once per list
    #[cold]
    #[inline(never)]
    fn list_on(&mut self, slot: u32) {
        if self.lists.len() - self.free_lists >= self.lists_max {
            self.complete_from = self.epoch() + 1;
            return;
        }
        let mut list = match self.free_lists.checked_sub(1) {
            Some(left) => {
                self.free_lists = left;
                self.lists.pop_front().expect("it is one of the oldest").1
            }
            None => Vec::with_capacity(LIST_SLOTS),
        };
        list.clear();
        list.push(slot);
        self.lists.push_back((self.epoch(), list));
    }

    /// Takes a snapshot of `slots` slots in use: rows that changed after `since` are due, or all
    /// for 0.
    ///
    /// # Panics
    /// `epoch` is not greater than that of the snapshot before.
    pub(super) fn snapshot(&mut self, epoch: u32, since: u32, slots: u32) {
        assert!(epoch >= self.epoch(), "epochs only grow");
        assert!(epoch < EPOCH_MAX, "there are a billion epochs");
        self.free_to(since);
        if since != 0 && since + 1 >= self.complete_from {
            self.next = Next::Listed(0, 0);
        } else {
            self.next = Next::All(0, slots);
            self.free_to(epoch);
            self.complete_from = epoch + 1;
        }
        self.lists_max = (slots as usize / LISTED_PART).div_ceil(LIST_SLOTS) + 1;
        let first = if since == 0 { 0 } else { 2 * since + 2 };
        self.due = (first, 2 * epoch);
        self.now = 2 * (epoch + 1);
    }

    /// The snapshot is complete or aborted.
    pub(super) fn end_snapshot(&mut self) {
        self.due = NOTHING;
    }

    fn free_to(&mut self, epoch: u32) {
        self.free_lists = self.lists.partition_point(|(of, _)| *of <= epoch);
    }

    /// Fills `slots` with the next ones that the snapshot has to look at. Returns how many, and
    /// whether there are more.
    pub(super) fn take(&mut self, slots: &mut [u32]) -> (usize, bool) {
        match &mut self.next {
            Next::All(next, end) => {
                let found = slots.len().min((*end - *next) as usize);
                slots[..found].iter_mut().zip(*next..).for_each(|(slot, next)| *slot = next);
                *next += found as u32;
                (found, *next < *end)
            }
            Next::Listed(list, at) => {
                let listed = |list: usize| {
                    let (epoch, listed) = self.lists.get(self.free_lists + list)?;
                    (epoch * 2 < self.now).then_some(listed)
                };
                let Some(rest) = listed(*list).map(|listed| &listed[*at..]) else {
                    return (0, false);
                };
                let found = slots.len().min(rest.len());
                slots[..found].copy_from_slice(&rest[..found]);
                *at += found;
                if found == rest.len() {
                    (*list, *at) = (*list + 1, 0);
                }
                (found, listed(*list).is_some())
            }
        }
    }

    pub(super) fn memory_bytes(&self) -> usize {
        self.lists.len() * LIST_SLOTS * size_of::<u32>()
    }
}

/// No tag lies in it.
const NOTHING: (u32, u32) = (1, 0);

/// Rows in the order of memory take a fourth of the time of those in the order of changes.
const LISTED_PART: usize = 4;

/// Slots of a list: 16 KiB.
const LIST_SLOTS: usize = 4096;

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use potoroo_sdk::random::Random;

    use super::*;

    /// Rows that are tags only.
    struct Model {
        changes: Changes,
        tags: Vec<u32>,
    }

    impl Model {
        fn new(rows: usize) -> Self {
            let mut changes = Changes::new();
            changes.begin_after(0);
            Self { changes, tags: vec![2; rows] }
        }

        /// Returns whether the row had to be saved.
        fn change(&mut self, slot: u32) -> bool {
            let tag = &mut self.tags[slot as usize];
            let due = self.changes.is_due(*tag);
            if *tag != self.changes.now() {
                self.changes.list(slot);
                *tag = self.changes.now();
            }
            due
        }

        /// All that the snapshot writes, and how many slots it looked at.
        fn take(&mut self, rows_max: usize) -> (BTreeSet<u32>, usize) {
            let (mut given, mut looked) = (BTreeSet::new(), 0);
            let mut left = true;
            while left && looked < rows_max {
                let mut slots = [0; 7];
                let found;
                (found, left) = self.changes.take(&mut slots);
                looked += found;
                for slot in &slots[..found] {
                    let tag = &mut self.tags[*slot as usize];
                    if self.changes.is_due(*tag) {
                        assert!(given.insert(*slot), "{slot} is written once");
                        *tag = self.changes.written();
                    }
                }
            }
            (given, looked)
        }
    }

    /// Snapshots that are committed, are known to be only after the next one, or are aborted.
    #[test]
    fn a_snapshot_writes_what_changed_after_the_last_committed_one() {
        const ROWS: u32 = 10_000;
        let mut exact = 0;
        for seed in 0..200 {
            let mut random = Random::new(seed);
            let mut model = Model::new(ROWS as usize);
            // The epochs in which rows changed last, without tags.
            let mut changed = vec![1; ROWS as usize];
            let (mut committed, mut complete) = (0, 0);
            for epoch in 1..20 {
                for _ in 0..random.below(6000) {
                    let slot = random.below(ROWS.into()) as u32;
                    changed[slot as usize] = epoch;
                    assert!(!model.change(slot), "nothing is due between two snapshots");
                }
                let late = core::mem::replace(&mut complete, 0);
                if late != 0 && random.chance(0.5) {
                    committed = late;
                }
                model.changes.snapshot(epoch, committed, ROWS);
                let since = committed;
                committed = committed.max(late);
                let mut due: BTreeSet<u32> =
                    (0..ROWS).filter(|slot| changed[*slot as usize] > since).collect();
                for _ in 0..random.below(100) {
                    let slot = random.below(ROWS.into()) as u32;
                    changed[slot as usize] = epoch + 1;
                    assert!(model.change(slot) | !due.remove(&slot), "seed {seed}");
                }
                if random.chance(0.3) {
                    model.take(20);
                } else {
                    let (given, _) = model.take(usize::MAX);
                    assert!(given.is_superset(&due), "seed {seed}, epoch {epoch}");
                    // What an aborted snapshot wrote may come again.
                    exact += u32::from(given == due);
                    complete = if random.chance(0.8) { epoch } else { 0 };
                }
                model.changes.end_snapshot();
            }
        }
        assert!(exact > 1500, "{exact} of about 2600 snapshots");
    }

    #[test]
    fn a_snapshot_looks_at_what_changed_only() {
        let mut model = Model::new(100_000);
        model.changes.snapshot(1, 0, 100_000);
        assert_eq!(model.take(usize::MAX).1, 100_000);
        model.change(5);
        model.change(99_999);
        model.change(5);
        model.changes.snapshot(2, 1, 100_000);
        assert_eq!(model.take(usize::MAX), ([5, 99_999].into(), 2));
    }

    #[test]
    fn no_more_is_listed_than_rows_can_change_in_an_epoch() {
        let mut model = Model::new(10_000);
        model.changes.snapshot(1, 0, 10_000);
        model.take(usize::MAX);
        for epoch in 2..100 {
            for slot in 0..10_000 {
                model.change(slot);
            }
            // Snapshot 1 stays the last that is committed.
            model.changes.snapshot(epoch, 1, 10_000);
            assert_eq!(model.take(usize::MAX).0.len(), 10_000);
            assert!(model.changes.memory_bytes() <= 4 * 5 * LIST_SLOTS);
        }
    }
}

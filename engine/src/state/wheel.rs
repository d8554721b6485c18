//! The wheel: which rows may be due, found in the order of their dues about.
//!
//! Owns hints: pairs of a due and the slot of a row. Its user enters at least one hint at or before
//! the due of each row that has one, and compares what comes back with the row. So a due that moves
//! later or goes away costs nothing here, and nothing is ever searched for.
//!
//! ```text
//!   level 0   64 lists of one instant each      ┐
//!   level 1   64 lists of 64 instants           │  a hint lies in the list of the highest digit,
//!   …                                           │  of 6 bits, in which its due differs from `base`
//!   level 10  16 lists of 2^60 instants         ┘
//!
//!   list      page ──► page ──► page            each of 255 hints; the first is being filled
//! ```
//!
//! No hint is before `base`, but for those that were late when they were entered, which lie in the
//! list of `base` itself. So hints of a lower level are due before those of a higher one, and in a
//! level the order of lists is the order of dues. A list of which all is due is taken from where it
//! lies, however long it is; one that is due in part is spread over lower levels first.
//!
//! Hints of rows that are gone stay until they are due, or until they are pruned.
//!
//! Promises: a call does bounded work; a hint moves from list to list once per level at most, and
//! in practice twice. Must never know a row, or compare two hints.

use potoroo_sdk::host::Hint;
use potoroo_sdk::time::EventTime;

/// Most hints that lie in one page: it takes 4 KiB with its link.
const PAGE_HINTS: usize = 255;

/// Pages of one allocation: 256 KiB, which takes memory page by page as it is used.
const BLOCK_PAGES: usize = 64;

/// Bits of a digit.
const DIGIT_BITS: u32 = 6;

/// Lists of a level.
const DIGITS: usize = 1 << DIGIT_BITS;

/// Digits of a due.
const LEVELS: usize = u64::BITS.div_ceil(DIGIT_BITS) as usize;

/// The page that no list has.
const NO_PAGE: u32 = u32::MAX;

/// What a call of [`Wheel::take`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taken {
    /// How many hints it has taken.
    pub count: usize,
    /// There may be more that are due.
    pub more: bool,
}

/// The hints of one table.
pub struct Wheel {
    /// Where the digits of a due are compared with; only grows.
    base: u64,
    /// Bit by level: levels with hints.
    levels: u16,
    /// Bit by digit: lists with hints, by level.
    digits: [u64; LEVELS],
    lists: Box<[[List; DIGITS]; LEVELS]>,
    /// What is due as a whole, and is taken next.
    due: List,
    /// What is being spread over lists of lower levels.
    spread: List,
    pages: Pages,
    count: usize,
    pruning: Pruning,
}

/// How far the pruning is.
#[derive(Clone, Copy)]
struct Pruning {
    level: usize,
    digit: usize,
    /// The page of that list that is looked at, or [`NO_PAGE`] before its first.
    page: u32,
    /// Hints of it that are left to look at.
    left: u32,
}

impl Pruning {
    const START: Self = Self { level: 0, digit: 0, page: NO_PAGE, left: 0 };

    /// Goes on with the next list. Returns whether there is one.
    fn next_list(&mut self) -> bool {
        let next = self.level * DIGITS + self.digit + 1;
        let more = next < LEVELS * DIGITS;
        let next = if more { next } else { 0 };
        *self = Self { level: next / DIGITS, digit: next % DIGITS, ..Self::START };
        more
    }
}

/// Hints in pages.
#[derive(Clone, Copy)]
struct List {
    /// The page that is being filled, or [`NO_PAGE`].
    page: u32,
    /// Hints in it.
    filled: u32,
    /// The least and the greatest due that was added since the list was empty.
    first: u64,
    last: u64,
}

const _: () = assert!(size_of::<List>() == 24);

impl List {
    const EMPTY: Self = Self { page: NO_PAGE, filled: 0, first: u64::MAX, last: 0 };

    fn is_empty(&self) -> bool {
        self.page == NO_PAGE
    }

    #[inline]
    fn push(&mut self, hint: Hint, pages: &mut Pages) {
        if self.page == NO_PAGE || self.filled as usize == PAGE_HINTS {
            (self.page, self.filled) = (pages.take(self.page), 0);
        }
        pages.at(self.page).hints[self.filled as usize] = hint;
        self.filled += 1;
        self.first = self.first.min(ordered(hint.due.nanos()));
        self.last = self.last.max(ordered(hint.due.nanos()));
    }

    #[inline]
    fn pop(&mut self, pages: &mut Pages) -> Option<Hint> {
        if self.is_empty() {
            return None;
        }
        self.filled -= 1;
        let hint = pages.at(self.page).hints[self.filled as usize];
        if self.filled == 0 {
            match pages.give_back(self.page) {
                NO_PAGE => *self = Self::EMPTY,
                before => (self.page, self.filled) = (before, PAGE_HINTS as u32),
            }
        }
        Some(hint)
    }
}

/// The order of dues, from 0.
#[inline(always)]
fn ordered(due: i64) -> u64 {
    due.cast_unsigned() ^ (1 << 63)
}

/// The due of that place in the order.
#[inline(always)]
fn due_of(ordered: u64) -> EventTime {
    EventTime::from_nanos((ordered ^ (1 << 63)).cast_signed())
}

impl Default for Wheel {
    fn default() -> Self {
        Self::new()
    }
}

impl Wheel {
    /// A wheel without hints.
    // cold: at start
    pub fn new() -> Self {
        Self {
            base: 0,
            levels: 0,
            digits: [0; LEVELS],
            lists: Box::new([[List::EMPTY; DIGITS]; LEVELS]),
            due: List::EMPTY,
            spread: List::EMPTY,
            pages: Pages { blocks: Vec::new(), used: 0, free: NO_PAGE },
            count: 0,
            pruning: Pruning::START,
        }
    }

    /// How many hints it holds.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Bytes that it takes in memory.
    pub fn memory_bytes(&self) -> usize {
        size_of::<Self>() + size_of_val(&*self.lists) + self.pages.memory_bytes()
    }

    /// Enters a hint. It may be due already.
    #[inline]
    pub fn enter(&mut self, hint: Hint) {
        self.count += 1;
        self.place(hint);
    }

    #[inline]
    fn place(&mut self, hint: Hint) {
        let due = ordered(hint.due.nanos()).max(self.base);
        let level = (u64::BITS - 1 - ((due ^ self.base) | 1).leading_zeros()) / DIGIT_BITS;
        let digit = due >> (level * DIGIT_BITS) & (DIGITS as u64 - 1);
        self.levels |= 1 << level;
        self.digits[level as usize] |= 1 << digit;
        self.lists[level as usize][digit as usize].push(hint, &mut self.pages);
    }

    /// No hint is due before this; `None` if there is none at all.
    pub fn next_due(&self) -> Option<EventTime> {
        let earliest = self.earliest().map(|(level, digit)| self.lists[level][digit].first);
        let waiting = [&self.due, &self.spread].into_iter().filter(|list| !list.is_empty());
        waiting.map(|list| list.first).chain(earliest).min().map(due_of)
    }

    /// Level and digit of the list whose hints are the earliest, but for what waits already.
    #[inline]
    fn earliest(&self) -> Option<(usize, usize)> {
        let level = (self.levels != 0).then(|| self.levels.trailing_zeros() as usize)?;
        Some((level, self.digits[level].trailing_zeros() as usize))
    }

    /// Takes hints that are due at `until`, which only grows, about the earliest first, until
    /// `hints` is full. Moves up to `moves` others meanwhile, and takes what it moves from that.
    pub fn take(&mut self, until: EventTime, hints: &mut [Hint], moves: &mut usize) -> Taken {
        let (mut count, until) = (0, ordered(until.nanos()));
        while count < hints.len() {
            if let Some(hint) = self.due.pop(&mut self.pages) {
                hints[count] = hint;
                count += 1;
            } else if !self.spread.is_empty() {
                let Some(left) = moves.checked_sub(1) else { break };
                *moves = left;
                let hint = self.spread.pop(&mut self.pages).expect("it is not empty");
                if ordered(hint.due.nanos()) <= until {
                    hints[count] = hint;
                    count += 1;
                } else {
                    self.place(hint);
                }
            } else if !self.detach_earliest(until) {
                break;
            }
        }
        self.count -= count;
        Taken { count, more: self.next_due().is_some_and(|due| ordered(due.nanos()) <= until) }
    }

    /// Has the earliest list taken, or spread if it is due in part only. Returns whether any of it
    /// is due.
    fn detach_earliest(&mut self, until: u64) -> bool {
        let Some((level, digit)) = self.earliest() else { return false };
        let list = self.lists[level][digit];
        if list.first > until {
            return false;
        }
        self.lists[level][digit] = List::EMPTY;
        self.note_empty(level, digit);
        // Nothing is left in lower levels, and all other lists have a greater digit than this one
        // or differ above it: they are right for each base in the range of this list.
        self.base = self.base.max(list.first);
        if list.last <= until {
            self.due = list;
        } else {
            self.spread = list;
        }
        true
    }

    /// A list has no hints any more.
    fn note_empty(&mut self, level: usize, digit: usize) {
        self.digits[level] &= !(1 << digit);
        if self.digits[level] == 0 {
            self.levels &= !(1 << level);
        }
        if (self.pruning.level, self.pruning.digit) == (level, digit) {
            // Its pages are another list's, or free.
            (self.pruning.page, self.pruning.left) = (NO_PAGE, 0);
        }
    }

    /// Looks at the next `looks` hints and drops those that `is_live` refuses: of rows that have no
    /// due any more, or another one. Returns whether it has come around: each hint was looked at
    /// since the last call that returned `true`, but for those entered or moved meanwhile. Passes
    /// over up to 704 empty lists beside.
    pub fn prune(&mut self, looks: usize, mut is_live: impl FnMut(Hint) -> bool) -> bool {
        let mut looked = 0;
        while looked < looks {
            let Pruning { level, digit, page, left } = self.pruning;
            let list = &mut self.lists[level][digit];
            if left == 0 {
                (self.pruning.page, self.pruning.left) = match page {
                    NO_PAGE => (list.page, list.filled),
                    page => (self.pages.at(page).next, PAGE_HINTS as u32),
                };
                if self.pruning.page == NO_PAGE && !self.pruning.next_list() {
                    return true;
                }
                continue;
            }
            let place = left - 1;
            self.pruning.left = place;
            looked += 1;
            if is_live(self.pages.at(page).hints[place as usize]) {
                continue;
            }
            let is_last = (list.page, list.filled) == (page, left);
            let last = list.pop(&mut self.pages).expect("it has the hint that goes");
            self.count -= 1;
            if !is_last {
                self.pages.at(page).hints[place as usize] = last;
            } else if list.is_empty() {
                self.note_empty(level, digit);
            } else if list.page != page {
                (self.pruning.page, self.pruning.left) = (list.page, list.filled);
            }
        }
        false
    }
}

/// Pages of all lists.
struct Pages {
    blocks: Vec<Vec<Page>>,
    /// Pages below this were used at least once.
    used: u32,
    /// The first of those that are free, which are linked.
    free: u32,
}

#[repr(C, align(16))]
struct Page {
    /// The page that was filled before, or the next free one.
    next: u32,
    hints: [Hint; PAGE_HINTS],
}

const _: () = assert!(size_of::<Page>() == 4096);

impl Pages {
    #[inline]
    fn at(&mut self, page: u32) -> &mut Page {
        &mut self.blocks[page as usize / BLOCK_PAGES][page as usize % BLOCK_PAGES]
    }

    /// An empty page that is linked to `next`.
    #[cold]
    #[inline(never)]
    fn take(&mut self, next: u32) -> u32 {
        let page = self.free;
        if page != NO_PAGE {
            self.free = std::mem::replace(&mut self.at(page).next, next);
            return page;
        }
        if (self.used as usize).is_multiple_of(BLOCK_PAGES) {
            // cold: once per BLOCK_PAGES pages
            self.blocks.push(Vec::with_capacity(BLOCK_PAGES));
        }
        let block = self.blocks.last_mut().expect("there is one now");
        block.push(Page { next, hints: [Hint::NONE; PAGE_HINTS] });
        self.used += 1;
        self.used - 1
    }

    /// Frees a page. Returns what it was linked to.
    #[cold]
    #[inline(never)]
    fn give_back(&mut self, page: u32) -> u32 {
        let free = self.free;
        self.free = page;
        std::mem::replace(&mut self.at(page).next, free)
    }

    fn memory_bytes(&self) -> usize {
        self.used as usize * size_of::<Page>() + self.blocks.capacity() * size_of::<Vec<Page>>()
    }
}

#[cfg(test)]
mod tests;

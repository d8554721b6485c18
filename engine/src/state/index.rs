//! The index of a table: from the hash of a key to the slots that may hold it.
//!
//! Linear hashing: the table grows by one bucket at a time, so no insertion ever pays for a
//! rehash. That is why one index serves all partitions of a core: the usual reason for an index
//! per partition, its smaller rehash, is gone, and an update touches one line less.
//!
//! ```text
//!   bucket, one cache line:  tag 0 … tag 6   –      slot 0 … slot 6   overflow
//!                            └─ 32 bits each ┘      └── u32 each ──┘  └ bucket in the overflow
//! ```
//!
//! A tag is the high half of the hash, never 0. The bucket number is its low bits, so growing
//! reads tags only and never a row. The partition comes from the low half: independent bits.
//!
//! Cost: one line for a lookup; about 21 bytes per key at three keys per bucket; each third
//! insertion splits one bucket, and each 256th split allocates 16 KiB.

use potoroo_sdk::table::SlotIndex;

use super::intrinsics::equal_bits;

/// Finds slots by hash. Never compares keys: the caller does.
pub struct Index {
    main: Segments,
    overflow: Segments,
    /// Overflow buckets ever used.
    overflow_count: u32,
    overflow_free: Vec<u32>,
    /// Buckets before the current doubling, less one.
    mask: u32,
    /// Buckets already split in the current doubling.
    split: u32,
    count: usize,
}

/// Seven entries fit a bucket beside the link; at three on average few overflow, even just before
/// their split, when they hold six. Four made a million keys 5 % slower and saved 5 bytes per key.
const KEYS_PER_BUCKET: usize = 3;
const ENTRIES: usize = 7;
const LINK: usize = 7;

/// Buckets of one allocation: 16 KiB, four page faults.
const SEGMENT_BUCKETS: usize = 256;

const NONE: u32 = u32::MAX;

#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
struct Bucket {
    /// 0 is an empty entry; the last is unused.
    tags: [u32; 8],
    /// The last is the number of an overflow bucket, or [`NONE`].
    slots: [u32; 8],
}

const _: () = assert!(size_of::<Bucket>() == 64 && align_of::<Bucket>() == 64);

impl Bucket {
    const EMPTY: Self = Self { tags: [0; 8], slots: [NONE; 8] };

    /// Bit `i` is set if entry `i` has `tag`.
    #[inline(always)]
    fn matches(&self, tag: u32) -> u32 {
        equal_bits(&self.tags, tag)
    }
}

/// Where a bucket lies: among the main buckets or in the overflow.
#[derive(Clone, Copy)]
enum Place {
    Main(u32),
    Overflow(u32),
}

impl Default for Index {
    fn default() -> Self {
        Self::new()
    }
}

impl Index {
    /// An empty index.
    // cold: at start
    pub fn new() -> Self {
        Self {
            main: Segments::with_one(),
            overflow: Segments::default(),
            overflow_count: 0,
            overflow_free: Vec::new(),
            mask: SEGMENT_BUCKETS as u32 - 1,
            split: 0,
            count: 0,
        }
    }

    /// How many slots it holds.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Bytes that it takes in memory.
    pub fn memory_bytes(&self) -> usize {
        self.main.memory_bytes() + self.overflow.memory_bytes()
    }

    /// The bucket of `hash`, valid until the next insertion.
    #[inline(always)]
    pub fn bucket(&self, hash: u64) -> u32 {
        self.bucket_of(tag_of(hash))
    }

    /// Where a bucket lies: to prefetch it.
    #[inline(always)]
    pub fn address(&self, bucket: u32) -> *const u8 {
        std::ptr::from_ref(self.main.bucket(bucket)).cast()
    }

    /// The first slot that may hold a key with `hash`.
    #[inline(always)]
    pub fn first(&self, hash: u64) -> Option<u32> {
        self.first_in(self.bucket(hash), hash)
    }

    /// As [`first`](Self::first), for a hash whose [`bucket`](Self::bucket) is known.
    #[inline(always)]
    pub fn first_in(&self, bucket: u32, hash: u64) -> Option<u32> {
        let bucket = self.main.bucket(bucket);
        let found = bucket.matches(tag_of(hash));
        if found != 0 {
            return Some(bucket.slots[found.trailing_zeros() as usize & 7]);
        }
        match bucket.slots[LINK] {
            NONE => None,
            _ => self.after(hash, None),
        }
    }

    /// The first slot behind `previous` that may hold a key with `hash`.
    #[cold]
    pub fn after(&self, hash: u64, previous: Option<u32>) -> Option<u32> {
        let tag = tag_of(hash);
        let mut passed = previous.is_none();
        let mut bucket = self.main.bucket(self.bucket_of(tag));
        loop {
            for entry in (0..ENTRIES).filter(|entry| bucket.tags[*entry] == tag) {
                if passed {
                    return Some(bucket.slots[entry]);
                }
                passed = Some(bucket.slots[entry]) == previous;
            }
            match bucket.slots[LINK] {
                NONE => return None,
                link => bucket = self.overflow.bucket(link),
            }
        }
    }

    /// Enters `slot` under `hash`. The slot must not be in the index.
    pub fn insert(&mut self, hash: u64, slot: u32) {
        debug_assert_ne!(slot, NONE);
        let tag = tag_of(hash);
        let bucket = self.bucket_of(tag);
        self.place(bucket, tag, slot);
        self.count += 1;
        if self.count > KEYS_PER_BUCKET * self.buckets() {
            self.grow();
        }
    }

    /// Removes `slot` under `hash`.
    ///
    /// # Panics
    /// It is not in the index.
    pub fn remove(&mut self, hash: u64, slot: u32) {
        let tag = tag_of(hash);
        let mut place = Place::Main(self.bucket_of(tag));
        loop {
            let bucket = self.bucket_mut(place);
            let entry = (0..ENTRIES).find(|e| bucket.tags[*e] == tag && bucket.slots[*e] == slot);
            if let Some(entry) = entry {
                bucket.tags[entry] = 0;
                self.count -= 1;
                return;
            }
            assert_ne!(bucket.slots[LINK], NONE, "slot {slot} is not in the index");
            place = Place::Overflow(bucket.slots[LINK]);
        }
    }

    fn buckets(&self) -> usize {
        self.mask as usize + 1 + self.split as usize
    }

    #[inline(always)]
    fn bucket_of(&self, tag: u32) -> u32 {
        let bucket = tag & self.mask;
        if bucket < self.split { tag & (self.mask * 2 + 1) } else { bucket }
    }

    fn bucket_mut(&mut self, place: Place) -> &mut Bucket {
        match place {
            Place::Main(bucket) => self.main.bucket_mut(bucket),
            Place::Overflow(bucket) => self.overflow.bucket_mut(bucket),
        }
    }

    /// Writes an entry into the first free place of a bucket and its overflow.
    fn place(&mut self, bucket: u32, tag: u32, slot: u32) {
        let mut place = Place::Main(bucket);
        loop {
            let bucket = self.bucket_mut(place);
            if let Some(entry) = (0..ENTRIES).find(|entry| bucket.tags[*entry] == 0) {
                bucket.tags[entry] = tag;
                bucket.slots[entry] = slot;
                return;
            }
            let link = match bucket.slots[LINK] {
                NONE => self.link_overflow(place),
                link => link,
            };
            place = Place::Overflow(link);
        }
    }

    fn link_overflow(&mut self, place: Place) -> u32 {
        let link = self.overflow_free.pop().unwrap_or_else(|| {
            self.overflow.reach(self.overflow_count);
            self.overflow_count += 1;
            self.overflow_count - 1
        });
        self.bucket_mut(place).slots[LINK] = link;
        link
    }

    /// Splits the next bucket in turn into itself and its sibling.
    fn grow(&mut self) {
        let low = self.split;
        let high = self.mask + 1 + low;
        self.main.reach(high);
        self.split += 1;
        let mut chain = std::mem::replace(self.bucket_mut(Place::Main(low)), Bucket::EMPTY);
        loop {
            for entry in (0..ENTRIES).filter(|entry| chain.tags[*entry] != 0) {
                let tag = chain.tags[entry];
                self.place(self.bucket_of(tag), tag, chain.slots[entry]);
            }
            let link = chain.slots[LINK];
            if link == NONE {
                break;
            }
            chain = std::mem::replace(self.overflow.bucket_mut(link), Bucket::EMPTY);
            self.overflow_free.push(link);
        }
        if self.split > self.mask {
            self.mask = self.mask * 2 + 1;
            self.split = 0;
        }
    }
}

impl SlotIndex for Index {
    fn find(&mut self, hash: u64, previous: Option<u32>) -> Option<u32> {
        match previous {
            None => self.first(hash),
            previous => self.after(hash, previous),
        }
    }

    fn bind(&mut self, hash: u64, slot: u32) {
        self.insert(hash, slot);
    }

    fn unbind(&mut self, hash: u64, slot: u32) {
        self.remove(hash, slot);
    }
}

/// The high half of the hash; 0 marks empty entries.
#[inline(always)]
fn tag_of(hash: u64) -> u32 {
    (hash >> 32) as u32 | u32::from(hash >> 32 == 0)
}

/// Buckets in pieces of one size: growing moves none of them, however many there are.
#[derive(Default)]
struct Segments {
    list: Vec<Box<Segment>>,
}

/// Of a fixed size, so that a bucket's place in it needs no check.
type Segment = [Bucket; SEGMENT_BUCKETS];

impl Segments {
    fn with_one() -> Self {
        let mut segments = Self::default();
        segments.reach(0);
        segments
    }

    #[inline(always)]
    fn bucket(&self, bucket: u32) -> &Bucket {
        &self.list[bucket as usize / SEGMENT_BUCKETS][bucket as usize % SEGMENT_BUCKETS]
    }

    fn bucket_mut(&mut self, bucket: u32) -> &mut Bucket {
        &mut self.list[bucket as usize / SEGMENT_BUCKETS][bucket as usize % SEGMENT_BUCKETS]
    }

    /// Makes room for `bucket`, which is at most one behind the last.
    fn reach(&mut self, bucket: u32) {
        if bucket as usize == self.list.len() * SEGMENT_BUCKETS {
            self.add();
        }
    }

    #[cold]
    fn add(&mut self) {
        let segment = vec![Bucket::EMPTY; SEGMENT_BUCKETS].into_boxed_slice();
        self.list.push(segment.try_into().expect("a segment has its size"));
    }

    fn memory_bytes(&self) -> usize {
        self.list.len() * SEGMENT_BUCKETS * size_of::<Bucket>()
            + self.list.capacity() * size_of::<Box<Segment>>()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use potoroo_sdk::random::Random;

    use super::Index;

    fn slots(index: &Index, hash: u64) -> BTreeSet<u32> {
        let mut found = BTreeSet::new();
        let mut next = index.first(hash);
        while let Some(slot) = next {
            assert!(found.insert(slot), "each slot is found once");
            next = index.after(hash, Some(slot));
        }
        found
    }

    #[test]
    fn agrees_with_a_set_under_random_operations() {
        for seed in 0..20 {
            let mut random = Random::new(seed);
            let mut index = Index::new();
            let mut model = Vec::<(u64, u32)>::new();
            // Few distinct tags in some seeds, so that chains become long.
            let tags = if seed % 2 == 0 { 1 << 32 } else { 300 };
            for slot in 0..6_000u32 {
                if random.below(4) == 0 && !model.is_empty() {
                    let at = random.below(model.len() as u64) as usize;
                    let (hash, slot) = model.swap_remove(at);
                    index.remove(hash, slot);
                } else {
                    let hash = random.below(tags) << 32;
                    index.insert(hash, slot);
                    model.push((hash, slot));
                }
            }
            assert_eq!(index.count(), model.len());
            for (hash, slot) in &model {
                assert!(slots(&index, *hash).contains(slot), "seed {seed}");
            }
        }
    }

    #[test]
    fn memory_stays_small_per_key() {
        let mut random = Random::new(7);
        let mut index = Index::new();
        for slot in 0..200_000 {
            index.insert(random.u64(), slot);
        }
        let per_key = index.memory_bytes() as f64 / 200_000.0;
        assert!(per_key < 28.0, "{per_key}");
    }
}

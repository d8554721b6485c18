//! Looks ahead: finds the rows of several events and has them on their way from memory before the
//! first handler runs, so that a million keys cost little more than a thousand.
//!
//! ```text
//!   1  each event: asks for the line of its bucket in the index
//!   2  each event: finds its slot in the bucket, asks for the lines of its row
//!   3  each event: the handler, on lines that have arrived                  (the stage does it)
//! ```

use potoroo_sdk::host::NO_SLOT;
use potoroo_sdk::table::{BLOCK_ROWS, TableRows};

use crate::state::{Index, prefetch};

/// Finds the slots of the hashes whose bits are set in `own`, or [`NO_SLOT`] where no row can be
/// there. A slot is a hint: the stage compares the key.
#[inline]
pub(super) fn look_ahead(
    index: &Index,
    rows: &dyn TableRows,
    own: u64,
    hashes: &[u64],
    slots: &mut [u32],
) {
    if let ([hash], [slot]) = (hashes, &mut *slots) {
        *slot = index.first(*hash).unwrap_or(NO_SLOT);
        return;
    }
    for place in bits(own) {
        let bucket = index.bucket(hashes[place]);
        prefetch(index.address(bucket));
        slots[place] = bucket;
    }
    let found = bits(own).filter_map(|place| {
        slots[place] = index.first_in(slots[place], hashes[place]).unwrap_or(NO_SLOT);
        (slots[place] != NO_SLOT).then_some(slots[place])
    });
    prefetch_rows(rows, found);
}

/// The numbers of the bits that are set.
#[inline(always)]
pub(super) fn bits(mut word: u64) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let bit = (word != 0).then(|| word.trailing_zeros() as usize);
        word &= word.wrapping_sub(1);
        bit
    })
}

/// Asks for the lines of rows.
#[inline]
pub(super) fn prefetch_rows(rows: &dyn TableRows, mut slots: impl Iterator<Item = u32>) {
    let row_bytes = rows.row_bytes();
    rows.with_addresses(&mut |chunks| {
        for slot in slots.by_ref() {
            let slot = slot as usize;
            let row = chunks[slot / BLOCK_ROWS].wrapping_add(slot % BLOCK_ROWS * row_bytes);
            prefetch(row);
            prefetch(row.wrapping_add(LINE_BYTES));
        }
    });
}

/// A row of up to 64 bytes of state lies in two lines.
const LINE_BYTES: usize = 64;

#[cfg(test)]
mod tests {
    use super::bits;

    #[test]
    fn every_bit_has_its_number() {
        assert_eq!(bits(0).count(), 0);
        assert_eq!(bits(1 << 63 | 0b1001).collect::<Vec<_>>(), [0, 3, 63]);
        assert!(bits(u64::MAX).eq(0..64));
    }
}

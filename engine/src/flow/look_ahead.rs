//! Looks ahead: finds the rows of a batch of events and has them on their way from memory before
//! the first handler runs, so that a million keys cost little more than a thousand.
//!
//! ```text
//!   1  each event: asks for the line of its bucket in the index
//!   2  each event: finds its slot in the bucket, asks for the lines of its row
//!   3  each event: the handler, on lines that have arrived                  (the stage does it)
//! ```

use potoroo_sdk::host::NO_SLOT;
use potoroo_sdk::table::{BLOCK_ROWS, TableRows};

use crate::state::{Index, prefetch};

/// Finds the slot of each hash whose row may be there, and [`NO_SLOT`] for the others. A slot is a
/// hint: the stage compares the key.
#[inline]
pub(super) fn look_ahead(index: &Index, rows: &dyn TableRows, hashes: &[u64], slots: &mut [u32]) {
    if let ([hash], [slot]) = (hashes, &mut *slots) {
        *slot = index.first(*hash).unwrap_or(NO_SLOT);
        return;
    }
    for (hash, slot) in hashes.iter().zip(&mut *slots) {
        let bucket = index.bucket(*hash);
        prefetch(index.address(bucket));
        *slot = bucket;
    }
    for (hash, slot) in hashes.iter().zip(&mut *slots) {
        *slot = index.first_in(*slot, *hash).unwrap_or(NO_SLOT);
    }
    prefetch_rows(rows, slots.iter().copied().filter(|slot| *slot != NO_SLOT));
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

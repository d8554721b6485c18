//! Looks ahead: finds the rows of several events and has them on their way from memory before the
//! first handler runs, so that a million keys cost little more than a thousand.
//!
//! ```text
//!   1  each event: asks for the line of its bucket in the index
//!   2  each event: finds its slot in the bucket, asks for the lines of its row
//!   3  each event: the handler, on lines that have arrived                  (the stage does it)
//! ```

use std::cell::Cell;

use potoroo_sdk::host::{NO_SLOT, bits};
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
    let slots = Cell::from_mut(slots).as_slice_of_cells();
    if own.count_ones() as usize == hashes.len() {
        // Nearly all batches are whole: no look at the bits.
        find(index, rows, hashes.iter().zip(slots));
    } else {
        find(index, rows, bits(own).map(|place| (&hashes[place], &slots[place])));
    }
}

/// Both passes over the hashes, each with its place for a slot.
#[inline(always)]
fn find<'a>(
    index: &Index,
    rows: &dyn TableRows,
    each: impl Iterator<Item = (&'a u64, &'a Cell<u32>)> + Clone,
) {
    for (hash, slot) in each.clone() {
        let bucket = index.bucket(*hash);
        prefetch(index.address(bucket));
        slot.set(bucket);
    }
    prefetch_rows(
        rows,
        each.map(|(hash, slot)| {
            slot.set(index.first_in(slot.get(), *hash).unwrap_or(NO_SLOT));
            slot.get()
        }),
    );
}

/// Asks for the lines of rows; of none for [`NO_SLOT`].
#[inline]
pub(super) fn prefetch_rows(rows: &dyn TableRows, slots: impl Iterator<Item = u32>) {
    let row_bytes = rows.row_bytes();
    let mut slots = Some(slots);
    rows.with_addresses(&mut |chunks| {
        for slot in slots.take().into_iter().flatten() {
            let slot = slot as usize;
            if let Some(chunk) = chunks.get(slot / BLOCK_ROWS) {
                let row = chunk.wrapping_add(slot % BLOCK_ROWS * row_bytes);
                prefetch(row);
                prefetch(row.wrapping_add(LINE_BYTES));
            }
        }
    });
}

/// A row of up to 64 bytes of state lies in two lines.
const LINE_BYTES: usize = 64;

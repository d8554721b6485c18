//! A global allocator that counts, per thread, how often it is called. Memory itself comes from the
//! system's allocator, unchanged.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

/// Allocations, reallocations and frees of this thread so far.
pub fn calls() -> u64 {
    CALLS.get()
}

thread_local! {
    /// Needs neither memory nor an end, so the allocator may touch it at any time.
    static CALLS: Cell<u64> = const { Cell::new(0) };
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

struct Counting;

fn count() {
    CALLS.set(CALLS.get() + 1);
}

// SAFETY: every call goes to the system's allocator as it is, which keeps the contract; counting
// neither allocates nor panics.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: our caller keeps the contract of this method, which is that of the system's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: as above; `memory` came from the system's allocator, as all memory here does.
        unsafe { System.realloc(memory, layout, size) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        count();
        // SAFETY: as above; `memory` came from the system's allocator, as all memory here does.
        unsafe { System.dealloc(memory, layout) }
    }
}

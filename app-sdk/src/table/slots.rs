//! The index from hashes to slots, as a host passes it when rows are restored.

/// The index of one table, which a host owns.
pub trait SlotIndex {
    /// The next slot after `previous` that may hold a key with `hash`; the first one for `None`.
    fn find(&mut self, hash: u64, previous: Option<u32>) -> Option<u32>;
    /// Enters `slot`.
    fn bind(&mut self, hash: u64, slot: u32);
    /// Removes `slot`.
    fn unbind(&mut self, hash: u64, slot: u32);
}

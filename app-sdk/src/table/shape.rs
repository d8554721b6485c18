//! What a table holds, by name and shape.

/// Names and shapes of the types that a table holds. A checkpoint stores them, to compare them with
/// those of the program that goes on from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TableShape {
    /// Name of the type of its keys, without its path.
    pub key: &'static str,
    /// Hash of the shape of its keys.
    pub key_shape: u64,
    /// Name of the type of its states.
    pub state: &'static str,
    /// Hash of the shape of its states.
    pub state_shape: u64,
}

//! The shape of a random application: what is drawn first, and decides everything else.

/// One stage of a chain, as in the list of topologies that every engine of this kind is tested
/// with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// An operator without state.
    Stateless,
    /// An operator with state of the key that the stream has; with one state if it has none.
    Stateful,
    /// A `key_by`, then an operator without state.
    KeyStateless,
    /// A `key_by`, then an operator with state.
    KeyStateful,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 4] =
        [Self::Stateless, Self::Stateful, Self::KeyStateless, Self::KeyStateful];

    /// All sequences of `length` stages.
    pub fn sequences(length: u32) -> Vec<Vec<Self>> {
        let digits = |number: usize| (0..length).map(move |at| number >> (2 * at) & 3);
        (0..4_usize.pow(length)).map(|n| digits(n).map(|d| Self::ALL[d]).collect()).collect()
    }
}

/// A random application.
#[derive(Clone, Debug)]
pub struct Topology {
    /// Decides everything that the other fields leave open.
    pub seed: u64,
    /// The stages of the main chain.
    pub kinds: Vec<Kind>,
    /// Sources.
    pub sources: u8,
    /// There is one connection in all, so that its order may show in states.
    pub one_connection: bool,
    /// Forks, merges, side sinks, replies and shared tables too.
    pub fancy: bool,
}

//! What an edge takes of memory, descriptors and places for connections, known before it is opened.

/// What one source or sink takes besides what every one takes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Demand {
    /// Pipes between its threads and its core.
    pub pipes: usize,
    /// It accepts connections, of which there are `--connections-max`.
    pub connections: bool,
    /// It serves clients, which have places of their own.
    pub clients: bool,
    /// Further lines of the memory bill.
    pub lines: Vec<DemandLine>,
}

/// A line of the memory bill. Those of several sources with the same text are printed as one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DemandLine {
    /// What there is, in the plural: `streams`.
    pub what: &'static str,
    /// Most of them of one source.
    pub most: usize,
    /// Bytes of each.
    pub each: usize,
}

//! A source in checkpoints: what its positions mean to later runs, and what need not come again.

use crate::checkpoint::SourcePosition;

/// The part of a source that checkpoints ask.
pub trait Upstream: Send {
    /// Adds to a position of this source, of its stream of this number if it has some, what a later
    /// run needs to go on there.
    fn describe(&mut self, at: &mut SourcePosition, stream: Option<u32>);

    /// A checkpoint is committed with these positions of this source: what is before need not come
    /// again.
    fn acknowledge(&self, committed: &[&SourcePosition]);
}

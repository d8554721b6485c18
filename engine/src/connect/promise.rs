//! What a connector promises of one edge, in words for `--check` and the start.

/// How often an event passes an edge, and why: `exactly once` in `--check`, and the reason in
/// brackets after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Promise {
    /// How often: `at most once`, `exactly once`.
    pub times: &'static str,
    /// The reason, or what to do about it.
    pub reason: &'static str,
}

impl Promise {
    /// Of a source that goes on from its last position.
    pub const READ_AGAIN: Self =
        Self::new("exactly once", "read again from where the last checkpoint stands");

    /// Of a sink that shows output before its checkpoint is committed.
    pub const REPEATED: Self =
        Self::new("at least once", "over a crash: what left after the last checkpoint is repeated");

    /// `times`, for this `reason`.
    pub const fn new(times: &'static str, reason: &'static str) -> Self {
        Self { times, reason }
    }
}

/// What becomes of the events of an edge when a node of a cluster is lost, and when the machine is
/// that has the edge, with its disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Survival {
    /// Another node of the machine goes on.
    pub node: &'static str,
    /// A node on another machine goes on, with the same state.
    pub machine: &'static str,
}

impl Survival {
    /// Of an edge that is wherever the application is.
    pub const SAME: &'static str = "the same";

    /// Of what is not there again.
    pub const NONE: Self = Self::new("nothing: it ends with its process", Self::SAME);

    /// In words.
    pub const fn new(node: &'static str, machine: &'static str) -> Self {
        Self { node, machine }
    }
}

/// What a position in a source counts, if a later run can read the source again from there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replayable {
    /// Nothing: what was read is gone with the process.
    Never,
    /// Bytes of a file.
    Bytes,
    /// Events of a generator.
    Events,
    /// Bytes of named streams.
    Streams,
}

/// Why `--skip` cannot name an event of a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SkipMistake {
    /// The source cannot be read again: no event comes twice.
    Gone,
    /// A stream has to be named, or must not be.
    Kind,
}

impl Replayable {
    /// Whether an event can be skipped, in a stream if one is `named`. With `checkpoints`
    /// events come again that they hold, of any kind that the source had before.
    ///
    /// # Errors
    /// There is no such event.
    pub fn check_skip(self, named: bool, checkpoints: bool) -> Result<(), SkipMistake> {
        match self {
            Self::Never if !named || !checkpoints => Err(SkipMistake::Gone),
            Self::Streams if !named => Err(SkipMistake::Kind),
            Self::Bytes | Self::Events if named && !checkpoints => Err(SkipMistake::Kind),
            _ => Ok(()),
        }
    }
}

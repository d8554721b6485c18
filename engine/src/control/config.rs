//! What a deployment decides: addresses, cores, limits. The application decides none of it.
//!
//! Owns every limit's name, unit, default and reason. A [`Config`] comes from the defaults, then
//! the configuration file, then the command line, later ones winning; an embedding program fills
//! it in directly. [`Config::complete`] is the one gate: behind it everything is valid and each
//! edge of the application has an address, so that nobody checks again.

mod complete;
mod cpus;
mod error;
mod file;
mod skip;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;

use potoroo_runtime::Idle;

use crate::checkpoint::store::Place;
use crate::connect::address::{SinkAddress, SourceAddress};

pub use complete::{Facts, Ready};
pub use cpus::{cpus_allowed, parse_cpus};
pub use error::{Error, Errors};
pub use file::ConfigFile;
pub(in crate::control) use file::{parse_sink, parse_source, set};
pub use skip::{NoSkip, Skip};

/// Strategy of an idle core by default: a laptop, a shared machine and more reactors than cores
/// must work well; burning a core is for those who ask for it.
pub const IDLE_DEFAULT: Idle = Idle::Adaptive;
/// Microseconds that an idle adaptive core spins before it parks: some times what it costs to
/// wake a thread (several microseconds), so that a busy stream never pays for waking.
pub const SPIN_US_DEFAULT: u64 = 100;
/// Bytes of the ring of one (from, to, level): at 64-byte frames 4096 events, well over what one
/// turn can send; yet 64 rings take only 16 MiB.
pub const LANE_BYTES_DEFAULT: usize = 256 * 1024;
/// Fewest bytes of a ring: one page.
pub const LANE_BYTES_MIN: usize = 4096;
/// Most bytes of a ring: positions in it have 32 bits, and more than this only adds delay.
pub const LANE_BYTES_MAX: usize = 1 << 30;
/// Bytes of the receive buffer of one connection, and so the longest frame: what the kernel
/// hands over well in one read.
pub const INLET_BYTES_DEFAULT: usize = 64 * 1024;
/// Fewest bytes of a receive buffer.
pub const INLET_BYTES_MIN: usize = 64;
/// Most bytes of a receive or send buffer.
pub const BUFFER_BYTES_MAX: usize = 1 << 30;
/// Bytes of the send buffer of one sink or connection: four reads' worth of output before a slow
/// peer pushes back.
pub const OUTLET_BYTES_DEFAULT: usize = 256 * 1024;
/// Fewest bytes of a send buffer.
pub const OUTLET_BYTES_MIN: usize = 4096;
/// Milliseconds that a connection may leave its replies unread while they fill its send buffer: no
/// core goes on before there is room, and through the lanes none does. Longer than a segment that
/// is sent twice or a collection of garbage, shorter than an operator's patience.
pub const REPLY_STALL_MS_DEFAULT: u64 = 1000;
/// Most milliseconds of it: an hour, for those who would rather stand still than lose replies.
pub const REPLY_STALL_MS_MAX: u64 = 3_600_000;
/// Connections of all sources together: far more than an application of this kind has, and with
/// the default buffers less than a gibibyte.
pub const CONNECTIONS_MAX_DEFAULT: usize = 1024;
/// Most connections: their numbers have 16 bits on each core, and files and channels have some.
pub const CONNECTIONS_MAX_MAX: usize = 65_000;
/// Partitions of the keys: enough to spread evenly over hundreds of cores.
pub const PARTITIONS_DEFAULT: usize = 1024;
/// Most partitions: their numbers have 16 bits.
pub const PARTITIONS_MAX: usize = 65_536;
/// Seconds without a turn after which a core counts as stalled: far beyond any pause of the
/// operating system, soon enough for an operator.
pub const HEARTBEAT_SECONDS_DEFAULT: u64 = 5;
/// Seconds that a stopping application may take to deliver what it holds.
pub const DRAIN_SECONDS_DEFAULT: u64 = 10;
/// Milliseconds from the beginning of one checkpoint to that of the next: what is processed again
/// after a crash, and how long committed output stays invisible.
pub const CHECKPOINT_MS_DEFAULT: u64 = 1000;
/// Microseconds of a turn that a checkpoint may take: events wait for that long at most.
pub const CHECKPOINT_BUDGET_US_DEFAULT: u64 = 20;
/// Bytes of frames under way that one core keeps for one checkpoint: a multiple of what its lanes
/// hold by default. More make the checkpoint fail, never the application.
pub const CHECKPOINT_LOG_BYTES_DEFAULT: usize = 64 << 20;
/// Checkpoints that are kept: the last one, and one to go back to on the operator's word.
pub const CHECKPOINTS_KEPT_DEFAULT: usize = 2;
/// Bytes of committed output that may wait for a client of a sink before sources are held back: a
/// client that is away for minutes goes unnoticed, and most disks have them.
pub const SINK_BACKLOG_BYTES_DEFAULT: u64 = 1 << 30;
/// Fewest bytes of it: one buffer.
pub const SINK_BACKLOG_BYTES_MIN: u64 = 64 * 1024;
/// Most bytes of it: a pebibyte, beyond any disk.
pub const SINK_BACKLOG_BYTES_MAX: u64 = 1 << 50;
/// Seconds that a demonstration runs.
pub const DEMONSTRATION_SECONDS: u64 = 10;

/// How the summary is printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Report {
    /// A table for people, on standard output; on standard error if a sink or the dead letters
    /// write to standard output.
    #[default]
    Text,
    /// One JSON object on the last line of standard output, behind what a sink wrote there.
    Json,
}

/// Everything that a deployment decides. [`Config::default`] is usable as it is but for the
/// addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Address of each source by name. Default: none.
    pub sources: BTreeMap<String, SourceAddress>,
    /// Address of each sink by name. Default: none.
    pub sinks: BTreeMap<String, SinkAddress>,
    /// CPU numbers, one core of the engine for each entry; a CPU that occurs twice is shared.
    /// Default: every CPU that the process may use, once.
    pub cores: Vec<usize>,
    /// CPU numbers out of `cores` whose cores own partitions. Default: all of them.
    pub state_cores: Option<Vec<usize>>,
    /// What a core does when there is nothing to do. Default: [`IDLE_DEFAULT`].
    pub idle: Idle,
    /// Microseconds that an adaptive core spins before it parks. Default: [`SPIN_US_DEFAULT`].
    pub spin_us: u64,
    /// Seconds to run, at least 1; `None`: until the sources end or a signal comes.
    /// Default: `None`.
    pub seconds: Option<u64>,
    /// How the summary is printed. Default: text.
    pub report: Report,
    /// Loopback address of the admin port. Default: none, no port is open.
    pub admin: Option<SocketAddr>,
    /// Where input goes that cannot be understood. Default: none, it is counted and sampled into
    /// the log.
    pub dead_letters: Option<SinkAddress>,
    /// Bytes of each ring between two cores, a power of two, [`LANE_BYTES_MIN`] to
    /// [`LANE_BYTES_MAX`]. Default: [`LANE_BYTES_DEFAULT`].
    pub lane_bytes: usize,
    /// Bytes of the receive buffer of each connection, [`INLET_BYTES_MIN`] to
    /// [`BUFFER_BYTES_MAX`]; a longer frame is refused. Default: [`INLET_BYTES_DEFAULT`].
    pub inlet_bytes: usize,
    /// Bytes of the send buffer of each sink and connection, [`OUTLET_BYTES_MIN`] to
    /// [`BUFFER_BYTES_MAX`]. Default: [`OUTLET_BYTES_DEFAULT`].
    pub outlet_bytes: usize,
    /// Milliseconds, 1 to [`REPLY_STALL_MS_MAX`], that a connection may keep its send buffer full
    /// without taking half of it; then it is closed, and its replies are lost and counted.
    /// Default: [`REPLY_STALL_MS_DEFAULT`].
    pub reply_stall_ms: u64,
    /// Connections of all `tcp:` sources that may be open at once, 1 to [`CONNECTIONS_MAX_MAX`];
    /// others wait. Default: [`CONNECTIONS_MAX_DEFAULT`].
    pub connections_max: usize,
    /// Partitions of the keys, 1 to [`PARTITIONS_MAX`]; fixed for the application's life.
    /// Default: [`PARTITIONS_DEFAULT`].
    pub partitions: usize,
    /// Seconds without a turn after which a core counts as stalled, at least 1.
    /// Default: [`HEARTBEAT_SECONDS_DEFAULT`].
    pub heartbeat_seconds: u64,
    /// Seconds that a stopping application may take to deliver what it holds.
    /// Default: [`DRAIN_SECONDS_DEFAULT`].
    pub drain_seconds: u64,
    /// Where checkpoints are kept. Default: none, state ends with the process.
    pub state: Option<Place>,
    /// Milliseconds between checkpoints, at least 1. Default: [`CHECKPOINT_MS_DEFAULT`].
    pub checkpoint_ms: u64,
    /// Microseconds of a turn for a checkpoint, at least 1. Default:
    /// [`CHECKPOINT_BUDGET_US_DEFAULT`].
    pub checkpoint_budget_us: u64,
    /// Bytes of frames that a core keeps for a checkpoint. Default:
    /// [`CHECKPOINT_LOG_BYTES_DEFAULT`].
    pub checkpoint_log_bytes: usize,
    /// Checkpoints that are kept, at least 1. Default: [`CHECKPOINTS_KEPT_DEFAULT`].
    pub checkpoints_kept: usize,
    /// Bytes of committed output, [`SINK_BACKLOG_BYTES_MIN`] to [`SINK_BACKLOG_BYTES_MAX`], that
    /// may wait for a client of a sink before sources are held back. Default:
    /// [`SINK_BACKLOG_BYTES_DEFAULT`].
    pub sink_backlog_bytes: u64,
    /// The epoch of a kept checkpoint to go back to. Default: none, the last one is used.
    pub restore: Option<u64>,
    /// The file that it was read from: no output may go there. Default: none.
    pub file: Option<PathBuf>,
    /// Events that become dead letters instead of being run, because the application panics on
    /// them. Default: none.
    pub skip: Vec<Skip>,
    /// Print the plan, the guarantees and the memory bill, and run nothing. Default: no.
    pub check: bool,
    /// Show progress on standard error. Default: yes.
    pub progress: bool,
    /// Write nothing to standard error but warnings and errors. Default: no. An embedding program
    /// decides by its own subscriber of `tracing`.
    pub quiet: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            sources: BTreeMap::new(),
            sinks: BTreeMap::new(),
            cores: cpus_allowed(),
            state_cores: None,
            idle: IDLE_DEFAULT,
            spin_us: SPIN_US_DEFAULT,
            seconds: None,
            report: Report::Text,
            admin: None,
            dead_letters: None,
            lane_bytes: LANE_BYTES_DEFAULT,
            inlet_bytes: INLET_BYTES_DEFAULT,
            outlet_bytes: OUTLET_BYTES_DEFAULT,
            reply_stall_ms: REPLY_STALL_MS_DEFAULT,
            connections_max: CONNECTIONS_MAX_DEFAULT,
            partitions: PARTITIONS_DEFAULT,
            heartbeat_seconds: HEARTBEAT_SECONDS_DEFAULT,
            drain_seconds: DRAIN_SECONDS_DEFAULT,
            state: None,
            checkpoint_ms: CHECKPOINT_MS_DEFAULT,
            checkpoint_budget_us: CHECKPOINT_BUDGET_US_DEFAULT,
            checkpoint_log_bytes: CHECKPOINT_LOG_BYTES_DEFAULT,
            checkpoints_kept: CHECKPOINTS_KEPT_DEFAULT,
            sink_backlog_bytes: SINK_BACKLOG_BYTES_DEFAULT,
            restore: None,
            file: None,
            skip: Vec::new(),
            check: false,
            progress: true,
            quiet: false,
        }
    }
}

impl Config {
    /// Gives the source `name` an address.
    #[must_use]
    pub fn source(mut self, name: impl Into<String>, address: SourceAddress) -> Self {
        self.sources.insert(name.into(), address);
        self
    }

    /// Gives the sink `name` an address.
    #[must_use]
    pub fn sink(mut self, name: impl Into<String>, address: SinkAddress) -> Self {
        self.sinks.insert(name.into(), address);
        self
    }
}

/// The strategy that `text` names, if any: `spin`, `adaptive` or `park`.
pub fn parse_idle(text: &str) -> Option<Idle> {
    [Idle::Spin, Idle::Adaptive, Idle::Park].into_iter().find(|idle| idle_name(*idle) == text)
}

/// The name of a strategy on the command line and in reports.
pub fn idle_name(idle: Idle) -> &'static str {
    match idle {
        Idle::Spin => "spin",
        Idle::Adaptive => "adaptive",
        Idle::Park => "park",
    }
}

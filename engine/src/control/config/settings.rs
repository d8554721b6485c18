//! Every setting, declared once: name, type, default, flag, help and range.
//!
//! A new setting is one entry of the list below, and the code that uses it. The field of
//! [`Config`], the flag and its help, the key of the configuration file and the check of the range
//! are made of the entry, so that they cannot differ.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use clap::{Arg, ArgMatches, Command};
use potoroo_runtime::Idle;
use serde::Deserialize;

use crate::checkpoint::Epoch;
use crate::checkpoint::store::Location;
use crate::cluster::shares::Weight;
use crate::connect::address::{SinkAddress, SourceAddress};

use super::choice::SummaryFormat;
use super::cpus::{cpus_allowed, cpus_of_cores};
use super::declare::declare;
use super::error::Error;
use super::member::{ClusterPlace, NodeName};
use super::range::Range::{PowerOfTwo, Within};
use super::skip::Skip;
use super::value::{Names, Setting};

/// Strategy of an idle core by default: a laptop, a shared machine and more reactors than cores
/// must work well; burning a core is for those who ask for it.
const IDLE_DEFAULT: Idle = Idle::Adaptive;
/// Microseconds that an idle adaptive core spins before it parks: some times what it costs to
/// wake a thread (several microseconds), so that a busy stream never pays for waking.
const SPIN_US_DEFAULT: u64 = 100;
/// Bytes of the ring of one (from, to, level): at 64-byte frames 4096 events, well over what one
/// turn can send; yet 64 rings take only 16 MiB.
const LANE_BYTES_DEFAULT: usize = 256 * 1024;
/// Fewest bytes of a ring: one page.
pub const LANE_BYTES_MIN: usize = 4096;
/// Most bytes of a ring: positions in it have 32 bits, and more than this only adds delay.
const LANE_BYTES_MAX: usize = 1 << 30;
/// Bytes of the receive buffer of one connection, and so the longest frame: what the kernel
/// hands over well in one read.
const INLET_BYTES_DEFAULT: usize = 64 * 1024;
/// Fewest bytes of a receive buffer.
const INLET_BYTES_MIN: usize = 64;
/// Most bytes of a receive or send buffer.
const BUFFER_BYTES_MAX: usize = 1 << 30;
/// Bytes of the send buffer of one sink or connection: four reads' worth of output before a slow
/// peer pushes back.
const OUTLET_BYTES_DEFAULT: usize = 256 * 1024;
/// Fewest bytes of a send buffer.
const OUTLET_BYTES_MIN: usize = 4096;
/// Milliseconds that a connection may leave its replies unread while they fill its send buffer: no
/// core goes on before there is room, and through the lanes none does. Longer than a segment that
/// is sent twice or a collection of garbage, shorter than an operator's patience.
const REPLY_STALL_MS_DEFAULT: u64 = 1000;
/// Most milliseconds of it: an hour, for those who would rather stand still than lose replies.
const REPLY_STALL_MS_MAX: u64 = 3_600_000;
/// Connections of all sources together: far more than an application of this kind has, and with
/// the default buffers less than a gibibyte.
const CONNECTIONS_MAX_DEFAULT: usize = 1024;
/// Most connections: their numbers have 16 bits on each core, and files and channels have some.
const CONNECTIONS_MAX_MAX: usize = 65_000;
/// Partitions of the keys: enough to spread evenly over hundreds of cores.
const PARTITIONS_DEFAULT: usize = 1024;
/// Most partitions: their numbers have 16 bits.
const PARTITIONS_MAX: usize = 65_536;
/// Seconds without a turn after which a core counts as stalled: far beyond any pause of the
/// operating system, soon enough for an operator.
const HEARTBEAT_SECONDS_DEFAULT: u64 = 5;
/// Seconds that a stopping application may take to deliver what it holds.
const DRAIN_SECONDS_DEFAULT: u64 = 10;
/// Milliseconds from the beginning of one checkpoint to that of the next: what is processed again
/// after a crash, and how long committed output stays invisible.
const CHECKPOINT_MS_DEFAULT: u64 = 1000;
/// Microseconds of a turn that a checkpoint may take: events wait for that long at most.
const CHECKPOINT_BUDGET_US_DEFAULT: u64 = 20;
/// Bytes of frames under way that one core keeps for one checkpoint: a multiple of what its lanes
/// hold by default. More make the checkpoint fail, never the application.
const CHECKPOINT_LOG_BYTES_DEFAULT: usize = 64 << 20;
/// Checkpoints that are retained: the last one, and one to which `--restore` can return.
const CHECKPOINTS_KEPT_DEFAULT: usize = 2;
/// Most checkpoints to keep: each may be as large as the state.
const CHECKPOINTS_KEPT_MAX: u64 = 1000;
/// Bytes of committed output that may wait for a client of a sink before sources are held back: a
/// client that is away for minutes goes unnoticed, and most disks have them.
const SINK_BACKLOG_BYTES_DEFAULT: u64 = 1 << 30;
/// Fewest bytes of it: one buffer.
const SINK_BACKLOG_BYTES_MIN: u64 = 64 * 1024;
/// Most bytes of it: a pebibyte, beyond any disk.
const SINK_BACKLOG_BYTES_MAX: u64 = 1 << 50;
/// Where a node is reached by the others: any port of this machine, and no other machine.
const LISTEN_DEFAULT: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
/// Milliseconds of a lease in a folder: far beyond what a busy machine keeps a thread from a CPU.
const LEASE_MS_FOLDER: u64 = 1000;
/// Milliseconds of a lease in etcd: it survives that another one of its servers has to lead.
const LEASE_MS_ETCD: u64 = 5000;
/// Fewest milliseconds of a lease: threads wait for a CPU that long on any busy machine.
const LEASE_MS_MIN: u64 = 100;
/// Fewest milliseconds in etcd, which grants 2 seconds at least by its defaults: one more, so that
/// a renewal may be late.
pub(super) const LEASE_MS_ETCD_MIN: u64 = 3000;
/// Most milliseconds of a lease: an hour, for which the others wait for a node that stands still.
const LEASE_MS_MAX: u64 = 3_600_000;
/// Milliseconds that the first node waits for another one: processes that are started together
/// begin together.
const GATHER_MS_DEFAULT: u64 = 500;
/// Nodes of a cluster: more than most have. Their links may take many times the memory of the lanes
/// of one node: where that is too much, fewer nodes have to be enough.
const NODES_MAX_DEFAULT: usize = 16;
/// Most nodes: each has a connection with each other one for each pair of cores.
const NODES_MAX_MAX: u64 = 1024;
/// Seconds that a demonstration runs.
pub(super) const DEMONSTRATION_SECONDS: u64 = 10;
/// Most seconds of any duration: a century, so that nanoseconds of it fit 64 bits.
const SECONDS_MAX: u64 = 100 * 365 * 24 * 3600;
/// Most milliseconds between checkpoints: 36 days, beyond any use.
const CHECKPOINT_MS_MAX: u64 = SECONDS_MAX;
/// Most microseconds of a turn for a checkpoint: a second, in which events wait.
const CHECKPOINT_BUDGET_US_MAX: u64 = 1_000_000;
/// Most microseconds to spin: a second, beyond which `spin` is the honest choice.
const SPIN_US_MAX: u64 = 1_000_000;

declare! {
    plain {
        /// Address of each source by name. Default: none.
        sources: BTreeMap<String, SourceAddress>,
        /// Address of each sink by name. Default: none.
        sinks: BTreeMap<String, SinkAddress>,
        /// The file that it was read from: no output may go there. Default: none.
        file: Option<PathBuf>,
        /// Print the plan, the guarantees and the memory bill, and run nothing. Default: no.
        check: bool,
    }

    /// A CPU that occurs twice is shared.
    cores: Vec<usize> = cpus_of_cores(&cpus_allowed()) => {
        flag: "--cores LIST",
        help: "CPUs, one core of the engine for each entry: `0,2-3`; all other threads stay off \
               them if a CPU is left",
        shown: "every allowed CPU but the first",
    }
    state_cores: Option<Vec<usize>> = None => {
        flag: "--state-cores LIST",
        help: "CPUs out of --cores whose cores own state",
        shown: "all of them",
    }
    idle: Idle = IDLE_DEFAULT => {
        flag: "--idle spin|adaptive|park",
        help: "What a core does when there is nothing to do",
    }
    spin_us: u64 = SPIN_US_DEFAULT => {
        flag: "--spin-us N",
        help: "Microseconds that an adaptive core spins before it parks",
        range: Within(0..=SPIN_US_MAX),
    }
    seconds: Option<u64> = None => {
        flag: "--seconds N",
        help: "Seconds to run",
        shown: format!("until the sources end or a signal comes; {DEMONSTRATION_SECONDS} without \
                        any address"),
        range: Within(1..=SECONDS_MAX),
    }
    report: SummaryFormat = SummaryFormat::Text => {
        flag: "--report text|json",
        help: "Form of the summary; json is one object on the last line of standard output; text \
               goes to standard error if a sink writes to standard output",
    }
    admin: Option<SocketAddr> = None => {
        flag: "--admin ADDR:PORT",
        help: "Loopback address for /status and /metrics over HTTP",
        shown: "no port is open",
    }
    dead_letters: Option<SinkAddress> = None => {
        flag: "--dead-letters URL",
        help: "Sink for input that cannot be understood",
        shown: "it is counted and sampled into the log",
    }
    lane_bytes: usize = LANE_BYTES_DEFAULT => {
        flag: "--lane-bytes N",
        help: "Bytes of each ring between two cores, a power of two",
        range: PowerOfTwo(LANE_BYTES_MIN as u64..=LANE_BYTES_MAX as u64),
    }
    inlet_bytes: usize = INLET_BYTES_DEFAULT => {
        flag: "--inlet-bytes N",
        help: "Bytes of the receive buffer of each connection, and of the longest frame",
        range: Within(INLET_BYTES_MIN as u64..=BUFFER_BYTES_MAX as u64),
    }
    outlet_bytes: usize = OUTLET_BYTES_DEFAULT => {
        flag: "--outlet-bytes N",
        help: "Bytes of the send buffer of each sink and connection",
        range: Within(OUTLET_BYTES_MIN as u64..=BUFFER_BYTES_MAX as u64),
    }
    /// A connection is not closed if it takes half of its send buffer in that time.
    reply_stall_ms: u64 = REPLY_STALL_MS_DEFAULT => {
        flag: "--reply-stall-ms N",
        help: "Milliseconds that a connection may keep its send buffer full before it is closed \
               and its replies are lost",
        range: Within(1..=REPLY_STALL_MS_MAX),
    }
    connections_max: usize = CONNECTIONS_MAX_DEFAULT => {
        flag: "--connections-max N",
        help: "Connections of all tcp sources that may be open at once; others wait",
        range: Within(1..=CONNECTIONS_MAX_MAX as u64),
    }
    partitions: usize = PARTITIONS_DEFAULT => {
        flag: "--partitions N",
        help: "Partitions of the keys, fixed for the lifetime of its state",
        range: Within(1..=PARTITIONS_MAX as u64),
    }
    heartbeat_seconds: u64 = HEARTBEAT_SECONDS_DEFAULT => {
        flag: "--heartbeat-seconds N",
        help: "Seconds without a turn after which a core counts as stalled",
        range: Within(1..=SECONDS_MAX),
    }
    drain_seconds: u64 = DRAIN_SECONDS_DEFAULT => {
        flag: "--drain-seconds N",
        help: "Seconds that a stop may take to deliver output that waits",
        range: Within(0..=SECONDS_MAX),
    }
    state: Option<Location> = None => {
        flag: "--state DIR|URL",
        help: "Folder or s3://BUCKET/PREFIX of the checkpoints; the application continues from the \
               last one",
        shown: "state ends with the process",
    }
    checkpoint_ms: u64 = CHECKPOINT_MS_DEFAULT => {
        flag: "--checkpoint-ms N",
        help: "Milliseconds between checkpoints",
        range: Within(1..=CHECKPOINT_MS_MAX),
    }
    checkpoint_budget_us: u64 = CHECKPOINT_BUDGET_US_DEFAULT => {
        flag: "--checkpoint-budget-us N",
        help: "Microseconds of a turn that a checkpoint may take",
        range: Within(1..=CHECKPOINT_BUDGET_US_MAX),
    }
    checkpoint_log_bytes: usize = CHECKPOINT_LOG_BYTES_DEFAULT => {
        flag: "--checkpoint-log-bytes N",
        help: "Bytes of frames that a core logs for a checkpoint",
    }
    checkpoints_kept: usize = CHECKPOINTS_KEPT_DEFAULT => {
        flag: "--checkpoints-kept N",
        help: "Checkpoints that are retained",
        range: Within(1..=CHECKPOINTS_KEPT_MAX),
    }
    sink_backlog_bytes: u64 = SINK_BACKLOG_BYTES_DEFAULT => {
        flag: "--sink-backlog-bytes N",
        help: "Bytes of committed output that may wait for a `potoroo:` sink before sources are \
               held back",
        range: Within(SINK_BACKLOG_BYTES_MIN..=SINK_BACKLOG_BYTES_MAX),
    }
    /// Each of them is started with the same one.
    cluster: Option<ClusterPlace> = None => {
        flag: "--cluster DIR|URL",
        help: "Folder of this machine, or etcd://HOST:PORT/NAME or etcds://HOST:PORT/NAME, in \
               which the processes agree that are one application together; checkpoints lie in \
               the folder `state` of DIR unless --state says otherwise",
        shown: "one process is all",
    }
    node: Option<NodeName> = None => {
        flag: "--node NODE",
        help: "Name of this process in the cluster, which no other has",
        shown: "the name of the host",
    }
    listen: SocketAddr = LISTEN_DEFAULT => {
        flag: "--listen ADDR:PORT",
        help: "Address for the other processes of the cluster; port 0 takes any",
    }
    advertise: Option<SocketAddr> = None => {
        flag: "--advertise ADDR:PORT",
        help: "Address at which the other processes of the cluster reach --listen; port 0 is that \
               of --listen",
        shown: "that of --listen",
    }
    /// Who can read or change what nodes send each other has the whole application.
    links_in_the_clear: bool = false => {
        flag: "--links-in-the-clear",
        help: "Let nodes of several machines send each other events and state without encryption",
    }
    /// For the name of the node, and for both ends of connections. All files of TLS are read at the
    /// start only.
    tls_cert: Option<PathBuf> = None => {
        flag: "--tls-cert FILE",
        help: "Certificate of this process, in PEM: what it sends to the other processes of the \
               cluster is encrypted, and all of them show each other certificates",
        shown: "what they send is not encrypted",
    }
    tls_key: Option<PathBuf> = None => {
        flag: "--tls-key FILE",
        help: "Private key of --tls-cert, in PEM",
        shown: "none",
    }
    tls_ca: Option<PathBuf> = None => {
        flag: "--tls-ca FILE",
        help: "Certificates, in PEM, of the authorities that issue those of all processes of the \
               cluster and of etcd",
        shown: "none",
    }
    lease_ms: Option<u64> = None => {
        flag: "--lease-ms N",
        help: "Milliseconds after which the others go on without a node that stands still or \
               cannot reach them",
        shown: format!("{LEASE_MS_FOLDER} where the nodes agree in a folder, {LEASE_MS_ETCD} in \
                        etcd"),
        range: Within(LEASE_MS_MIN..=LEASE_MS_MAX),
    }
    gather_ms: u64 = GATHER_MS_DEFAULT => {
        flag: "--gather-ms N",
        help: "Milliseconds that the first process of a cluster waits for each further one",
        range: Within(0..=CHECKPOINT_MS_MAX),
    }
    /// An operator may decide otherwise while it runs: `potoroo cluster weight`.
    weight: Option<Weight> = None => {
        flag: "--weight WEIGHT",
        help: "Share of the partitions that this process owns, against those of the others; with 0 \
               it owns none",
        shown: "the number of its cores that own state",
    }
    nodes_max: usize = NODES_MAX_DEFAULT => {
        flag: "--nodes-max N",
        help: "Processes that the cluster may have; more are refused, and memory is counted for as \
               many",
        range: Within(1..=NODES_MAX_MAX),
    }
    restore: Option<Epoch> = None => {
        flag: "--restore EPOCH",
        help: "Return to this retained checkpoint; what was committed after it is output again",
        shown: "the last one",
    }
    /// They are in the checkpoint, and not in the application any more.
    drop: Vec<String> = Vec::new() => {
        flag: "--drop NAME",
        help: "Name of a table, source or sink of the checkpoint that the program does not have \
               any more, once for each: what is stored for it is lost",
        shown: "none",
    }
    /// The application panics on them.
    skip: Vec<Skip> = Vec::new() => {
        flag: "--skip SOURCE=POSITION",
        help: "Position of an event that becomes a dead letter instead of being run, once for \
               each: what the report of a panic names",
        shown: "none",
    }
    progress: bool = true => {
        flag: "--no-progress",
        help: "Show no progress on standard error",
    }
    /// An embedding program decides by its own subscriber of `tracing`.
    quiet: bool = false => {
        flag: "--quiet",
        help: "Write nothing to standard error but warnings and errors: no guarantees, findings or \
               progress",
    }
}

impl Config {
    /// Cores of the other nodes at most, where each has as many as this one.
    pub(in crate::control) fn other_cores(&self) -> usize {
        let nodes = self.cluster.as_ref().map_or(0, |_| self.nodes_max.saturating_sub(1));
        nodes.saturating_mul(self.cores.len())
    }

    /// How long the others wait for a node that does not renew its lease.
    pub fn lease(&self) -> Duration {
        let in_folder = self.cluster.as_ref().is_none_or(|place| place.folder().is_some());
        let default = if in_folder { LEASE_MS_FOLDER } else { LEASE_MS_ETCD };
        Duration::from_millis(self.lease_ms.unwrap_or(default))
    }

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

impl clap::FromArgMatches for Flags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        Ok(Self(matches.clone()))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        self.0 = matches.clone();
        Ok(())
    }
}

impl clap::Args for Flags {
    fn augment_args(command: Command) -> Command {
        command.args(Self::arguments())
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

/// The flag of a setting; `shown` is its default.
fn argument(names: Names, help: &str, shown: Option<String>) -> Arg {
    let help = shown.map_or(help.to_string(), |shown| format!("{help} [default: {shown}]"));
    let argument = Arg::new(names.key).long(names.long()).help(help);
    match names.unit() {
        "" => argument,
        unit => argument.value_name(unit).hide_possible_values(true),
    }
}

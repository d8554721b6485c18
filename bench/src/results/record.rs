//! The form of a record: what one run of one benchmark found.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Version of the form below; a reader refuses newer ones. 2: the goal `one_within`.
pub const SCHEMA: u32 = 2;

/// One run of one benchmark.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RunRecord {
    /// Version of this form.
    pub schema: u32,
    /// Name of the benchmark.
    pub bench: String,
    /// Commit of the working tree, with `-dirty` if files differed; `None` outside a repository.
    pub commit: Option<String>,
    /// The Cargo profile that the program was built with; `None` in records of older programs.
    #[serde(default)]
    pub profile: Option<String>,
    /// When the run began, in UTC: `2025-01-31T23:59:59Z`.
    pub time: String,
    /// The exact command line.
    pub command: Vec<String>,
    /// Fingerprint of the host.
    pub host: Value,
    /// What the host doctor found that is not fine, the worst first.
    #[serde(default)]
    pub findings: Vec<Value>,
    /// The CPUs that the sides were pinned to.
    pub cpus: Vec<usize>,
    /// Whether slices ran under SCHED_FIFO.
    pub fifo: bool,
    /// `full`, `quick` or `toy`.
    pub scale: String,
    /// Number of rounds.
    pub rounds: usize,
    /// Length of a slice in milliseconds.
    pub slice_ms: u64,
    /// Other settings of the run, by name.
    #[serde(default)]
    pub configuration: Map<String, Value>,
    /// The figures in the order of the table.
    pub figures: Vec<Figure>,
    /// The recorded latencies.
    pub series: Vec<LatencySeries>,
    /// Proofs of work by contender, in hexadecimal.
    #[serde(default)]
    pub checksums: Map<String, Value>,
    /// How to read the figures.
    #[serde(default)]
    pub notes: Vec<String>,
    /// What could not be measured, and why.
    #[serde(default)]
    pub failed: Map<String, Value>,
    /// Whether the run was asked to end early: its figures then stand for fewer rounds.
    #[serde(default)]
    pub interrupted: bool,
    /// Folder of the artefacts, relative to the file of this line; `None` if nothing was kept.
    #[serde(default)]
    pub folder: Option<String>,
}

/// One number with the goal that it is held against.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Figure {
    /// Names the unit, or says `over` for a ratio.
    pub name: String,
    /// Median over the rounds; `None` if nothing was measured.
    pub value: Option<f64>,
    /// The value of each round, in their order; one value for what is measured once.
    pub rounds: Vec<Option<f64>>,
    /// Median raw core-to-core round trip beside it, in nanoseconds; 0 if there is none.
    pub raw_rtt_ns: Option<f64>,
    /// The bar, where there is one.
    pub goal: Option<Goal>,
    /// The states of the machine in which it was measured, that with most pairs first: `value` and
    /// `rounds` are of that one. Empty for figures that are measured in rounds.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub classes: Vec<Class>,
}

/// A figure in one state of the machine: while all probes agreed within 15 %.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Class {
    /// Medians of what the probes read, the raw round trip in nanoseconds first.
    pub probe: Vec<f64>,
    /// Pairs of windows; for the figure of a single contender, its windows.
    pub pairs: usize,
    /// How many set-ups of the contenders these windows are of; 0 in older records.
    #[serde(default)]
    pub setups: usize,
    /// Median over them.
    pub value: f64,
    /// Lower end of the 95 % confidence interval of the median; `None` below six pairs.
    pub low: Option<f64>,
    /// Upper end.
    pub high: Option<f64>,
    /// The value of each pair, in the order of time; empty in older records.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<f64>,
}

/// A bar, on the good side of which a figure should be.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Goal {
    /// Good is this or less.
    AtMost(f64),
    /// Good is this or more.
    AtLeast(f64),
    /// Good is 1, and up to this share more or less: no side is better.
    OneWithin(f64),
}

/// The latencies of one contender under one load, over all rounds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LatencySeries {
    /// Name of the series, and of its files.
    pub name: String,
    /// How events came, such as `open loop, 100000 per second` or `closed loop`.
    pub load: String,
    /// Whether latency counts from an intended departure (open loop).
    pub open_loop: bool,
    /// How long was recorded, in seconds, over all rounds.
    pub seconds: f64,
    /// The tail as it was.
    pub all: Percentiles,
    /// The same without the events that a gap touched; `None` if no loop was watched.
    pub outside: Option<Percentiles>,
    /// The gaps, one entry per watched loop.
    pub gaps: Vec<GapSum>,
    /// Whether `.hlog`, `.hgrm` and gaps of this series are in the folder.
    #[serde(default)]
    pub kept: bool,
}

/// Percentiles in nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Percentiles {
    /// Number of events.
    pub count: u64,
    /// 50 %.
    pub p50: u64,
    /// 90 %.
    pub p90: u64,
    /// 99 %.
    pub p99: u64,
    /// 99.9 %.
    pub p999: u64,
    /// 99.99 %.
    pub p9999: u64,
    /// The largest value.
    pub max: u64,
    /// Arithmetic mean.
    pub mean: f64,
}

/// The gaps of one watched loop together.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GapSum {
    /// Name of the loop.
    pub name: String,
    /// For how long it was watched, in seconds.
    pub watched_seconds: f64,
    /// Number of gaps.
    pub count: u64,
    /// Their length together, in nanoseconds.
    pub total_ns: u64,
    /// The longest one, in nanoseconds.
    pub longest_ns: u64,
    /// How often the scheduler took the CPU away in them.
    pub switches: u64,
}

impl Figure {
    /// Whether the goal is met; a figure without a goal meets it, one without a value does not.
    pub fn is_met(&self) -> bool {
        self.goal.is_none_or(|goal| self.value.is_some_and(|value| goal.met(value)))
    }
}

impl Goal {
    /// Whether a value reaches the bar.
    pub fn met(self, value: f64) -> bool {
        match self {
            Self::AtMost(bar) => value <= bar,
            Self::AtLeast(bar) => value >= bar,
            Self::OneWithin(share) => (value - 1.0).abs() <= share,
        }
    }
}

impl std::fmt::Display for Goal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::AtMost(bar) => write!(f, "<= {bar}"),
            Self::AtLeast(bar) => write!(f, ">= {bar}"),
            Self::OneWithin(share) => write!(f, "1 +- {share}"),
        }
    }
}

//! Deployments: on how many cores, with how much room, and with which generators.

use potoroo::flow::batch_max;

use crate::items::FRAME_BYTES_MAX;
use crate::seeds::{Concern, random};

/// More than one input can cause in the tests: an outlet is full before and takes it all.
const OUTPUT_BYTES_MAX: usize = 16 << 10;

/// How an application is deployed in the simulator.
#[derive(Clone, Debug)]
pub struct Deployment {
    /// Cores.
    pub cores: usize,
    /// By core: its node. Links connect the cores of different ones; of none, all are on one.
    pub nodes: Vec<u64>,
    /// Bytes of a lane between two cores, and of the lane from a core to itself.
    pub lane_bytes: usize,
    /// Bytes of the buffer of one connection.
    pub inlet_bytes: usize,
    /// Waiting bytes above which a sink or connection is full.
    pub outlet_bytes: usize,
    /// Partitions of the keys.
    pub partitions: u32,
    /// The cores that own partitions.
    pub owners: Vec<u16>,
    /// Whether every dead letter is kept.
    pub keep_letters: bool,
    /// The step before which all sources are stopped; `None`: they end by themselves.
    pub stop_at: Option<u64>,
    /// How often the peer of a sink is replaced while bytes wait, per step: 0 is never.
    pub reconnects: f64,
    /// Nanoseconds that the replies of a client may hold its core back before it is closed.
    pub reply_stall_ns: u64,
}

/// A source of generated events.
#[derive(Clone, Debug)]
pub struct Generator {
    /// Index of its source.
    pub source: u8,
    /// Its name in the application.
    pub name: String,
    /// Events per second of virtual time; 0 is as fast as possible.
    pub rate: u64,
    /// Events.
    pub count: u64,
}

impl Deployment {
    /// As small as it can be, and uneven: back-pressure everywhere.
    pub fn tiny(cores: usize, seed: u64) -> Self {
        let mut random = random(seed, Concern::Deployment);
        let mut owners: Vec<u16> = (0..cores as u16).filter(|_| random.chance(0.8)).collect();
        if owners.is_empty() {
            owners.push(random.below(cores as u64) as u16);
        }
        Self {
            cores,
            nodes: Self::drawn_nodes(cores, seed),
            lane_bytes: 4096,
            inlet_bytes: FRAME_BYTES_MAX + random.below(600) as usize,
            outlet_bytes: 1 + random.below(600) as usize,
            partitions: [1, 7, 64, 1024][random.below(4) as usize],
            owners,
            keep_letters: true,
            stop_at: None,
            reconnects: [0.0, 0.01, 0.1][random.below(3) as usize],
            reply_stall_ns: u64::MAX,
        }
    }

    /// Nodes of these cores: one in every second case, and two or three otherwise.
    pub fn drawn_nodes(cores: usize, seed: u64) -> Vec<u64> {
        // Of their own: cases without links draw as before.
        let mut random = random(!seed, Concern::Deployment);
        let nodes = [1, 1, 2, 3][random.below(4) as usize];
        (0..cores).map(|_| random.below(nodes)).collect()
    }

    /// As [`tiny`](Self::tiny), with buffers that fill up and are large enough for batches of 16
    /// events.
    pub fn small(cores: usize, seed: u64) -> Self {
        Self { lane_bytes: 1 << 16, outlet_bytes: 1 << 16, ..Self::tiny(cores, seed) }
    }

    /// Most bytes that ever wait in an outlet: its limit, and what one batch adds.
    pub fn outlet_bytes_max(&self) -> usize {
        self.outlet_bytes + batch_max(self.lane_bytes, self.outlet_bytes) * OUTPUT_BYTES_MAX
    }

    /// [`tiny`](Self::tiny), [`small`](Self::small) and [`ample`](Self::ample) in turn by seed.
    pub fn any(cores: usize, seed: u64) -> Self {
        match seed % 4 {
            0 => Self::small(cores, seed),
            1 => Self { outlet_bytes: 1 << 18, ..Self::ample(cores) },
            _ => Self::tiny(cores, seed),
        }
    }

    /// So large that nothing is ever full.
    pub fn ample(cores: usize) -> Self {
        Self {
            cores,
            nodes: Vec::new(),
            lane_bytes: 1 << 20,
            inlet_bytes: 1 << 16,
            outlet_bytes: 1 << 20,
            partitions: 64,
            owners: (0..cores as u16).collect(),
            keep_letters: true,
            stop_at: None,
            reconnects: 0.0,
            reply_stall_ns: u64::MAX,
        }
    }
}

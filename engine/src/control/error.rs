//! Why an application cannot run.

use potoroo_runtime::host;
use potoroo_sdk::plan::{Mistake, Mistakes};

use super::{admin, config};
use crate::checkpoint::store::{self, Location};

/// Why an application cannot run. Each names the thing, the cause and the remedy.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The application itself cannot work.
    #[error("{0}")]
    Plan(#[from] Mistakes),
    /// The application is another one each time it is described.
    #[error(
        "the application describes itself differently each time it is asked, and every core asks: \
         let the description depend on nothing that changes (no counter, clock or random number)"
    )]
    Description,
    /// Its configuration does not fit.
    #[error("{0}")]
    Config(#[from] config::Errors),
    /// A flag or the configuration file cannot be used.
    #[error("{0}")]
    Arguments(#[from] config::Error),
    /// A source's address cannot be used.
    #[error("source `{name}` cannot use {address}: {reason}")]
    Source {
        /// The source.
        name: String,
        /// Its address.
        address: String,
        /// Cause and remedy.
        reason: String,
    },
    /// A generator cannot be used.
    #[error("source `{name}`: {mistake}")]
    Generator {
        /// The source.
        name: String,
        /// What is wrong with its generator.
        mistake: Mistake,
    },
    /// A sink's address cannot be used.
    #[error("{what} cannot use {address}: {reason}")]
    Sink {
        /// The sink, or the dead letters.
        what: String,
        /// Its address.
        address: String,
        /// Cause and remedy.
        reason: String,
    },
    /// The place of checkpoints, or what is in it, cannot be used.
    #[error("--state {place}: {reason}")]
    State {
        /// Where they are.
        place: Location,
        /// Cause and remedy.
        reason: String,
    },
    /// The place of checkpoints does not answer, which may pass.
    #[error("--state {place}: {reason}")]
    StateAway {
        /// Where they are.
        place: Location,
        /// Cause and remedy.
        reason: String,
    },
    /// Another process has taken the checkpoints over.
    #[error("--state {place}: {reason}")]
    Overtaken {
        /// Where they are.
        place: Location,
        /// Cause and remedy.
        reason: String,
    },
    /// A file cannot be imported.
    #[error("table `{table}` cannot be imported: {reason}")]
    Import {
        /// The table.
        table: String,
        /// Cause and remedy.
        reason: String,
    },
    /// The engine would take more memory than there is.
    #[error(
        "the engine would take up to {needed_mib} MiB, and {limit} has {available_mib} MiB \
         left:\n{bill}\nuse fewer cores (--cores), smaller lanes (--lane-bytes), smaller buffers \
         (--outlet-bytes, --inlet-bytes), fewer connections (--connections-max) or fewer nodes of \
         a cluster (--nodes-max), or raise that limit"
    )]
    Memory {
        /// What it would take.
        needed_mib: usize,
        /// What there is.
        available_mib: usize,
        /// Whose limit that is.
        limit: String,
        /// Line by line.
        bill: String,
    },
    /// The cores and edges would take more descriptors than the process may open.
    #[error(
        "the limit of open files is {limit}, and the engine needs {needed} of them before the \
         first connection: raise it with `ulimit -n` or LimitNOFILE=, or use fewer cores (--cores)"
    )]
    Descriptors {
        /// What the process may open.
        limit: u64,
        /// What it needs, those that are open already included.
        needed: u64,
    },
    /// A link to a core of another node cannot be used.
    #[error("the link to core {seat} of the cluster cannot be used: {source}")]
    Link {
        /// Its number among the cores of all nodes.
        seat: usize,
        /// What the system says.
        source: std::io::Error,
    },
    /// This process cannot be a node of its cluster.
    #[error("--cluster {place}: {reason}")]
    Cluster {
        /// Where the nodes agree.
        place: config::ClusterPlace,
        /// Cause and remedy.
        reason: String,
    },
    /// The lease of this node ended, and the others did not wait for it.
    #[error(
        "--cluster {place}: the others went on without this node, which did not renew its lease in \
         time (it stood still, or could not reach the agreement): start it again"
    )]
    LeftBehind {
        /// Where the nodes agree.
        place: config::ClusterPlace,
    },
    /// The lease of this node does not stand at present: nothing may be decided.
    #[error(
        "node `{node}` is suspended: its lease was not renewed in time; it is tried again when the \
         node goes on"
    )]
    Suspended {
        /// Its name.
        node: String,
    },
    /// The other nodes have ended before this one took part.
    #[error("the application has ended before this node took part in it")]
    Ended,
    /// It was asked to stop while it recovered.
    #[error(
        "stopped before the last checkpoint was recovered: nothing was processed, and the next \
         start recovers it"
    )]
    Stopped,
    /// The cores cannot run.
    #[error("{0}")]
    Host(#[from] host::Error),
    /// The admin port cannot be opened.
    #[error("{0}")]
    Admin(#[from] admin::Error),
    /// The process may not have the threads that it starts with.
    #[error(
        "the engine starts with up to {needed} threads, and this process gets {had} more: \
         {source}; raise the limit of threads (`ulimit -u`, TasksMax= or pids.max), or use fewer \
         cores (--cores)"
    )]
    Threads {
        /// Threads that it could have.
        had: usize,
        /// Threads that it needs.
        needed: usize,
        /// What the system says.
        source: std::io::Error,
    },
    /// A thread cannot be started, or signals cannot be caught.
    #[error("cannot start {what}: {source}; raise the limit of threads (`ulimit -u`, TasksMax=)")]
    Thread {
        /// What it is for.
        what: &'static str,
        /// What the system says.
        source: std::io::Error,
    },
}

impl Error {
    /// What an error of the storage at `place` means.
    pub(super) fn of_store(place: &Location, error: &store::Error) -> Self {
        let (place, reason) = (place.clone(), error.to_string());
        match error {
            store::Error::Overtaken { .. } => Self::Overtaken { place, reason },
            away if away.is_away() => Self::StateAway { place, reason },
            _ => Self::State { place, reason },
        }
    }
}

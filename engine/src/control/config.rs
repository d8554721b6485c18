//! What a deployment decides: addresses, cores, limits. The application decides none of it.
//!
//! A [`Config`] comes from the defaults, then the configuration file, then the command line, later
//! ones winning; an embedding program fills it in directly. [`Config::complete`] is the one gate:
//! after it everything is valid and each edge of the application has an address, so that no
//! code checks again.

// In reading order; the blank lines keep it.
mod error;

mod choice;

mod cpus;

mod skip;

mod edge;

mod range;

mod value;

mod declare;

mod settings;

mod file;

mod complete;

pub use choice::{SummaryFormat, idle_name, parse_idle};
pub use complete::{CompleteConfig, Outline};
pub use cpus::{cpus_allowed, cpus_of_cores, parse_cpus, placement};
pub(in crate::control) use edge::{parse_sink, parse_source};
pub use error::{Error, Errors};
pub use file::ConfigFile;
pub(in crate::control) use settings::Flags;
#[cfg(test)]
pub(in crate::control) use settings::NAMES;
pub use settings::{
    BUFFER_BYTES_MAX, CHECKPOINT_BUDGET_US_DEFAULT, CHECKPOINT_LOG_BYTES_DEFAULT,
    CHECKPOINT_MS_DEFAULT, CHECKPOINTS_KEPT_DEFAULT, CONNECTIONS_MAX_DEFAULT, CONNECTIONS_MAX_MAX,
    Config, DEMONSTRATION_SECONDS, DRAIN_SECONDS_DEFAULT, HEARTBEAT_SECONDS_DEFAULT, IDLE_DEFAULT,
    INLET_BYTES_DEFAULT, INLET_BYTES_MIN, LANE_BYTES_DEFAULT, LANE_BYTES_MAX, LANE_BYTES_MIN,
    OUTLET_BYTES_DEFAULT, OUTLET_BYTES_MIN, PARTITIONS_DEFAULT, PARTITIONS_MAX,
    REPLY_STALL_MS_DEFAULT, REPLY_STALL_MS_MAX, SINK_BACKLOG_BYTES_DEFAULT, SINK_BACKLOG_BYTES_MAX,
    SINK_BACKLOG_BYTES_MIN, SPIN_US_DEFAULT,
};
pub use skip::{NoSkip, Skip};
pub(in crate::control) use value::place;

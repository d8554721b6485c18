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

mod member;

mod tls;

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
pub use member::{ClusterPlace, NoMember, NodeName};
pub(in crate::control) use settings::Flags;
#[cfg(test)]
pub(in crate::control) use settings::NAMES;
pub use settings::{Config, LANE_BYTES_MIN};
pub use skip::{NoSkip, Skip};
pub(in crate::control) use value::place;

//! What to compare, as the command line says it.

use clap::Args;

use crate::host;

/// What to compare. Exit code: 0 no regression, 1 a regression, 2 it could not be compared.
#[derive(Clone, Debug, Args)]
pub struct CompareOptions {
    /// Before: a commit, a program, or results (.jsonl).
    pub(super) a: String,
    /// After: likewise; the same results file twice means its two newest runs.
    pub(super) b: String,
    /// The benchmark that commits or programs run.
    #[arg(long, value_name = "NAME", default_value = "hop")]
    pub bench: String,
    /// How often A and B are run in turns.
    #[arg(long, default_value_t = 12, value_parser = clap::value_parser!(u16).range(1..=500))]
    pub(super) pairs: u16,
    /// The Cargo profile that commits are built with.
    #[arg(long, value_name = "NAME", default_value = host::PROFILE_TO_MEASURE)]
    pub profile: String,
    /// Judge this figure, once for each [default: those with a goal].
    #[arg(long, value_name = "FIGURE")]
    pub(super) judge: Vec<String>,
    /// How much worse, in percent, is no regression yet.
    #[arg(long, value_name = "PERCENT", default_value_t = 2.0)]
    pub(super) tolerance: f64,
    /// Compare runs of different hosts, settings or benchmarks all the same.
    #[arg(long)]
    pub(super) force: bool,
}

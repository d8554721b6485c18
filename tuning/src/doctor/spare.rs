//! The remedy where no CPU is left for the rest of the host.

use crate::remedy::Remedy;

/// What is in the way of a remedy that moves something to the other CPUs.
pub(super) fn spare_a_cpu() -> Remedy {
    Remedy::hand("leave a CPU for the rest of the host: choose fewer `--cores`", "choose it again")
}

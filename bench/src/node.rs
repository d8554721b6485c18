//! An application in processes of its own, as nodes of a cluster or alone, and what a benchmark
//! sees of it from outside: the flags that it is started with, its outputs, and the tool `potoroo`.
//!
//! ```text
//!   PacedLoad ── items ──► NodeProcess a ◄── links ──► b, c ── made ──► MadeOutputs
//! ```
//!
//! Promises: whatever is started here ends with what holds it, and with this process, however that
//! ends. Must never: know how nodes agree, or how they change.

// In reading order; the blank lines keep it.
mod application;

mod process;

mod outputs;

mod load;

mod tool;

pub use self::application::{GENERATORS, run};
pub use self::load::{PacedLoad, PacedPlan};
pub use self::outputs::{MadeOutputs, Sighting};
pub use self::process::{NodeFolder, NodeProcess, bill_bytes, free_port, text};
pub use self::tool::{ask, run as run_tool};

//! Open-loop load: when events are due and which keys they have, both fixed by a seed beforehand.
//!
//! Promises: event i of a constant load is due at `start + i / rate`, whatever became of those
//! before it. Latency counts from there, so a system that stalls makes its events late instead of
//! fewer (no coordinated omission). Must never: look at the system under test.

mod arrivals;
mod departures;
mod skew;

pub use self::arrivals::Arrivals;
pub use self::departures::{Departures, Traffic};
pub use self::skew::{Ranks, Skew};

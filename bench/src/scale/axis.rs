//! Axes: what grows.

/// One size on an axis, with its name in figures.
pub type Point = (&'static str, u64);

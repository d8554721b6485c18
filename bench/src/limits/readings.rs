//! What probes find.

/// What a probe found: values by the names of their figures.
pub type Readings = Vec<(&'static str, f64)>;

//! The host doctor: reports whether a host suits an application that counts in microseconds.
//!
//! Owns the knowledge of Linux hosts. Promises that reading never changes anything, that
//! a file that is missing or malformed is reported and ends nothing, and that a finding names its
//! remedy. Must never depend on another crate of the workspace.
//!
//! ```
//! use potoroo_tuning::{Fingerprint, Root, Severity, doctor};
//!
//! let root = Root::host();
//! println!("host {}", Fingerprint::read(&root).id);
//! for finding in doctor(&root, None) {
//!     if finding.severity >= Severity::Advice {
//!         println!("{}", finding.line());
//!     }
//! }
//! ```
#![deny(unsafe_code)]

// In reading order; the blank lines keep it.
pub mod cpus;

pub mod root;

pub mod boot;

pub mod cgroup;

pub mod host;

pub mod fingerprint;

pub mod finding;

pub mod remedy;

pub mod doctor;

pub mod plan;

pub mod apply;

pub mod unit;

pub mod pin;

pub mod jitter;

pub mod topology;

pub mod stdout;

pub use cpus::Cpus;
pub use doctor::{doctor, verdict};
pub use finding::{Finding, Severity};
pub use fingerprint::Fingerprint;
pub use root::Root;

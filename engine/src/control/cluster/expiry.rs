//! Warnings of a certificate that is about to expire.

use std::time::{Duration, Instant};

use crate::cluster::encryption::Encryption;
use crate::system;

/// How often it is warned of.
const EVERY: Duration = Duration::from_secs(24 * 60 * 60);

/// Looks once a day at the certificate of this node.
#[derive(Default)]
pub(super) struct ExpiryClock(Option<Instant>);

impl ExpiryClock {
    /// Warns if it is time for that, the first time at once.
    pub(super) fn look(&mut self, encryption: &Encryption) {
        if self.0.is_none_or(|at| system::since(at) >= EVERY) {
            self.0 = Some(system::now());
            if let Some(text) = encryption.expiry() {
                tracing::warn!("{text}");
            }
        }
    }
}

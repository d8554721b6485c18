//! The sink that drops its bytes: they are counted, and gone.

use crate::turn::{OutletPort, PortLost};

/// Takes everything.
pub struct NullOutlet;

impl OutletPort for NullOutlet {
    fn put(&mut self, bytes: &[u8]) -> Result<usize, PortLost> {
        Ok(bytes.len())
    }
}

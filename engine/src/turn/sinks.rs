//! The sinks of an application as the driver of one core sees them: the port of each that the core
//! owns.

use super::ports::{OutletPort, Passed, PortLost, Readiness};
use crate::checkpoint::Epoch;

/// Tokens of sinks begin here; those below are slots of inlets.
const SINK_TOKENS: u64 = 1 << 32;

/// Where the bytes of a sink go.
pub(super) enum SinkPort {
    /// Nowhere yet: they wait for a port.
    Absent,
    /// Nowhere any more. What the last port took may be nowhere either, so no marker passes.
    Lost,
    /// To this port.
    Open(Box<dyn OutletPort>),
}

/// The sink whose readiness is announced under `token`; `None` for an inlet's.
pub(super) fn sink_of(token: u64) -> Option<usize> {
    token.checked_sub(SINK_TOKENS).map(|sink| sink as usize)
}

fn token_of(sink: usize) -> u64 {
    SINK_TOKENS + sink as u64
}

impl SinkPort {
    #[cold]
    pub(super) fn open(
        mut port: Box<dyn OutletPort>,
        sink: usize,
        readiness: &mut dyn Readiness,
    ) -> Self {
        port.watch_input(readiness, token_of(sink));
        Self::Open(port)
    }

    #[cold]
    pub(super) fn close(&mut self, sink: usize, for_good: bool, readiness: &mut dyn Readiness) {
        readiness.unwatch(token_of(sink));
        *self = if for_good { Self::Lost } else { Self::Absent };
    }

    #[cold]
    pub(super) fn discard_input(&mut self, sink: usize, readiness: &mut dyn Readiness) {
        if let Self::Open(port) = self {
            port.discard_input(readiness, token_of(sink));
        }
    }

    #[cold]
    pub(super) fn watch_room(&mut self, sink: usize, readiness: &mut dyn Readiness) {
        if let Self::Open(port) = self {
            port.watch_room(readiness, token_of(sink));
        }
    }

    /// Passes on that everything before `epoch` has left.
    #[cold]
    pub(super) fn pass_marker(&mut self, epoch: Epoch) -> Result<Passed, PortLost> {
        match self {
            Self::Absent => Ok(Passed::Here),
            Self::Lost => Ok(Passed::NotYet),
            Self::Open(port) => port.pass_marker(epoch),
        }
    }

    /// Takes as many of the first of `bytes` as there is room for. Returns how many.
    #[inline]
    pub(super) fn put(&mut self, bytes: &[u8]) -> Result<usize, PortLost> {
        match self {
            Self::Absent | Self::Lost => Ok(0),
            Self::Open(port) => port.put(bytes),
        }
    }
}

#[cfg(test)]
mod tests {
    use potoroo_runtime::Poller;

    use super::*;

    /// A port whose writer has ended.
    struct Broken;

    impl OutletPort for Broken {
        fn put(&mut self, _: &[u8]) -> Result<usize, PortLost> {
            Err(PortLost { reason: "its writer has ended".to_owned(), for_good: true })
        }

        fn pass_marker(&mut self, _: Epoch) -> Result<Passed, PortLost> {
            Ok(Passed::ToWriter)
        }
    }

    /// Were a marker passed after the loss, a checkpoint would commit without its last output.
    #[test]
    fn a_sink_that_is_lost_for_good_passes_no_marker() {
        let mut poller = Poller::new().expect("this host has one");
        let mut sink = SinkPort::open(Box::new(Broken), 0, &mut poller);
        assert_eq!(sink.pass_marker(Epoch(1)), Ok(Passed::ToWriter));
        let lost = sink.put(b"x").expect_err("its writer has ended");
        sink.close(0, lost.for_good, &mut poller);
        assert_eq!(sink.pass_marker(Epoch(2)), Ok(Passed::NotYet));
        assert_eq!(sink.put(b"x"), Ok(0));
    }
}

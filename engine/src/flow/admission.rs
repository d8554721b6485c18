//! What a frame of a link has to be before this core takes it: it is bytes of another process.
//!
//! Frames of a sibling are taken as they are. One of another node is looked at whole: whatever is
//! wrong with it is a reason to give the link up, and never a panic further on. What it says of
//! keys is believed only if its event has that key, since a row under a wrong hash would never be
//! found again. Its time is that of another clock, and is moved to this core's.

use potoroo_runtime::Nanos;
use potoroo_sdk::host::SinkId;

use super::envelope::{FrameEdge, Header};
use super::turn::Core;

/// Why a frame of a link is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameFault {
    /// It has none, or one of an unknown kind.
    #[error("its header is not that of a frame")]
    Header,
    /// The application has fewer exchanges.
    #[error("there is no exchange {0}")]
    Exchange(u16),
    /// The application has fewer sinks.
    #[error("there is no sink {0}")]
    Sink(u16),
    /// Its exchange or sink has another level.
    #[error("it came at level {came} and belongs to level {of}")]
    Level {
        /// The level at which it came.
        came: usize,
        /// The level of its exchange or sink.
        of: usize,
    },
    /// No event of this source can have caused it.
    #[error("no event of source {0} gets there")]
    Source(u8),
    /// Its body is no event.
    #[error("its body is no event of its exchange")]
    Event,
    /// Its event has another key.
    #[error("its hash is not that of its key")]
    Key,
    /// Its exchange takes events with their times, or without, and this one is otherwise.
    #[error("it has a time, or has none, other than its exchange")]
    Time,
    /// It is another core's.
    #[error("it belongs to seat {0}")]
    Seat(usize),
}

impl Core {
    /// Looks at a whole frame that came over a link at `level`, whose sender's clock is `ahead_ns`
    /// ahead of this one, which reads `now`. Has it enter at a time of this clock, not later than
    /// now.
    ///
    /// # Errors
    /// It is not a frame that another core of the application would send to this one.
    #[inline]
    pub fn admit(
        &self,
        level: usize,
        frame: &mut [u8],
        ahead_ns: i64,
        now: Nanos,
    ) -> Result<(), FrameFault> {
        let (header, body) = Header::try_read(frame).ok_or(FrameFault::Header)?;
        match header.edge {
            FrameEdge::Exchange(id) => {
                let times = (Header::timing(frame).is_some(), Header::is_stamped(frame));
                self.admit_event(level, id, (&header, times), body)?;
            }
            FrameEdge::Output(id) => self.admit_output(level, id, &header)?,
        }
        let entered = header.cause.ingress.saturating_sub_signed(ahead_ns).min(now.0);
        Header::enter_again(frame, Nanos(entered));
        Ok(())
    }

    fn admit_event(
        &self,
        level: usize,
        id: u16,
        (header, times): (&Header, (bool, bool)),
        body: &[u8],
    ) -> Result<(), FrameFault> {
        let exchange = self.plan.exchanges.get(usize::from(id)).ok_or(FrameFault::Exchange(id))?;
        admit_level(level, usize::from(exchange.level))?;
        let source = header.cause.source;
        if !exchange.sources.contains(&source) {
            return Err(FrameFault::Source(source.0));
        }
        let hash = exchange.stage.hash(body).map_err(|_| FrameFault::Event)?;
        if hash != header.hash {
            return Err(FrameFault::Key);
        }
        if times != (exchange.time, exchange.watermark.is_some()) {
            return Err(FrameFault::Time);
        }
        self.admit_seat(self.router.owner(hash))
    }

    fn admit_output(&self, level: usize, id: u16, header: &Header) -> Result<(), FrameFault> {
        if usize::from(id) >= self.plan.sinks.len() {
            return Err(FrameFault::Sink(id));
        }
        admit_level(level, self.router.output_level())?;
        let (sink, cause) = (SinkId(id), &header.cause);
        if !self.router.outputs.is_reached(sink, cause.source) {
            return Err(FrameFault::Source(cause.source.0));
        }
        self.admit_seat(self.router.outputs.owner(sink, cause))
    }

    fn admit_seat(&self, owner: usize) -> Result<(), FrameFault> {
        if owner == self.core { Ok(()) } else { Err(FrameFault::Seat(owner)) }
    }
}

fn admit_level(came: usize, of: usize) -> Result<(), FrameFault> {
    if came == of { Ok(()) } else { Err(FrameFault::Level { came, of }) }
}

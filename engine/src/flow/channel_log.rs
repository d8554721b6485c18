//! The channel log of one checkpoint: the frames that were under way to a core at its snapshot.
//!
//! Owns the positions up to which the lanes to the core are logged, and the copies. Promises that
//! the frames of each lane up to its sender's marker are copied before a turn drains them. It must
//! never hold more bytes than its limit: then it has failed.
//!
//! Cold but for the copy of frames that were in a lane at the snapshot.

use std::collections::VecDeque;

use potoroo_runtime::{Inbound, LaneId, Position};
use potoroo_sdk::host::ExchangeId;
use potoroo_sdk::time::EventTime;

use super::envelope::{FrameEdge, Header};
use super::shard::LANE_FRAMES_PER_TURN;
use super::stamp_limits::StampLimits;
use crate::checkpoint::{Chunk, Epoch, Section};
use crate::state::Spares;

/// The frames of one checkpoint.
pub(super) struct ChannelLog {
    epoch: Epoch,
    /// By core and level, the lanes whose senders have not marked them yet: frames before the
    /// position are in the log, or were consumed before the snapshot.
    logged: Vec<Option<Position>>,
    /// How many they are.
    lanes_open: usize,
    /// By level: what is copied and not handed out.
    frames: Vec<Vec<u8>>,
    /// Bytes of all frames so far, and the most that they may be.
    bytes: u64,
    bytes_max: u64,
    spares: Spares,
    /// What frames are stamped with at most: by what was known at the snapshot.
    limits: StampLimits,
    failed: Option<&'static str>,
}

impl ChannelLog {
    /// An empty log of the lanes `inbound` of a core that takes its snapshot now.
    // cold: once per checkpoint
    pub(super) fn new(
        epoch: Epoch,
        levels: usize,
        inbound: &[Inbound],
        spares: &Spares,
        bytes_max: u64,
        limits: StampLimits,
    ) -> Self {
        let head = |lane: usize| {
            let (lanes, level) = (&inbound[lane / levels], lane % levels);
            (level < lanes.levels()).then(|| lanes.head(level))
        };
        let logged: Vec<_> = (0..inbound.len() * levels).map(head).collect();
        Self {
            epoch,
            lanes_open: logged.iter().flatten().count(),
            logged,
            frames: vec![Vec::new(); levels],
            bytes: 0,
            bytes_max,
            spares: spares.clone(),
            limits,
            failed: None,
        }
    }

    /// Whether some lane is not marked yet.
    #[inline]
    pub(super) fn is_open(&self) -> bool {
        self.lanes_open > 0
    }

    /// Bytes of all frames so far.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Why it cannot be completed, if it cannot.
    pub(super) fn failed(&self) -> Option<&'static str> {
        self.failed
    }

    /// How far a lane may be drained: what follows is not logged.
    #[inline]
    pub(super) fn limit(&self, from: LaneId) -> Option<Position> {
        self.logged[from.core * self.frames.len() + from.level]
    }

    /// Copies what has come in lanes that are not marked yet. Before a turn drains any of it.
    pub(super) fn log_lanes(&mut self, inbound: &[Inbound], ready: &mut VecDeque<Chunk>) {
        let levels = self.frames.len();
        for lane in 0..self.logged.len() {
            let Some(from) = self.logged[lane] else { continue };
            let id = LaneId { core: lane / levels, level: lane % levels };
            self.logged[lane] = self.log_lane(&inbound[id.core], id, from, ready);
            self.lanes_open -= usize::from(self.logged[lane].is_none());
        }
    }

    /// Logs the frames of a lane from `at` on, at most [`LANE_FRAMES_PER_TURN`]: a turn drains
    /// no more of them before the next call. Returns where the log of the lane ends; `None` when it
    /// is complete.
    fn log_lane(
        &mut self,
        lanes: &Inbound,
        LaneId { core, level }: LaneId,
        mut at: Position,
        ready: &mut VecDeque<Chunk>,
    ) -> Option<Position> {
        for _ in 0..LANE_FRAMES_PER_TURN {
            let seen = lanes.frame_at(level, at);
            // After the frame was seen: a sender marks before it publishes what follows the marker.
            let (marked, passed) = lanes.marker(level, at);
            let epoch = Epoch(marked);
            if epoch > self.epoch {
                self.failed = Some("a newer checkpoint has begun");
                return None;
            }
            if epoch == self.epoch && passed {
                return None;
            }
            let Some((frame, next)) = seen else { break };
            self.add(level, frame, Some(core), ready);
            at = next;
        }
        Some(at)
    }

    /// Copies a frame of `level` from the core at the seat `from`, from this one for `None`. Full
    /// chunks go to `ready`.
    pub(super) fn add(
        &mut self,
        level: usize,
        frame: &[u8],
        from: Option<usize>,
        ready: &mut VecDeque<Chunk>,
    ) {
        let most = self.limit_of(frame, from);
        self.copy(level, frame, most, ready);
    }

    /// Copies a frame of `level` that came back from a checkpoint, as it is.
    pub(super) fn add_replayed(&mut self, level: usize, frame: &[u8], ready: &mut VecDeque<Chunk>) {
        self.copy(level, frame, None, ready);
    }

    /// What a frame may be stamped with, if it is stamped.
    fn limit_of(&self, frame: &[u8], from: Option<usize>) -> Option<EventTime> {
        self.limits.of(exchange_of(frame)?, from)
    }

    fn copy(
        &mut self,
        level: usize,
        frame: &[u8],
        most: Option<EventTime>,
        ready: &mut VecDeque<Chunk>,
    ) {
        if self.frames[level].capacity() == 0 {
            self.frames[level] = self.spares.take();
        }
        append_frame(&mut self.frames[level], frame, most);
        self.bytes += frame.len() as u64;
        if self.bytes > self.bytes_max {
            let reason =
                "more frames were under way than its log may hold (--checkpoint-log-bytes)";
            self.failed = Some(reason);
        }
        if self.frames[level].len() >= Chunk::BYTES_MAX {
            self.hand_out(Chunk::BYTES_MAX, ready);
        }
    }

    /// Adds a frame that has found no room to `ready`: those of each level in their order, after
    /// those of lower levels.
    pub(super) fn add_waiting(&mut self, level: usize, frame: &[u8], ready: &mut VecDeque<Chunk>) {
        let section = Section::Outboxes(level as u8);
        let most = exchange_of(frame).and_then(|exchange| self.limits.of_waiting(exchange));
        let fits =
            |last: &&mut Chunk| last.section == section && last.bytes.len() < Chunk::BYTES_MAX;
        let bytes = match ready.back_mut().filter(fits) {
            Some(last) => &mut last.bytes,
            None => {
                let bytes = self.spares.take();
                ready.push_back(Chunk { section, bytes });
                &mut ready.back_mut().expect("it was just put there").bytes
            }
        };
        append_frame(bytes, frame, most);
        self.bytes += frame.len() as u64;
    }

    /// Hands out the frames of each level of which there are `bytes_min` bytes.
    pub(super) fn hand_out(&mut self, bytes_min: usize, ready: &mut VecDeque<Chunk>) {
        let full = |(_, frames): &(_, &mut Vec<u8>)| frames.len() >= bytes_min;
        for (level, frames) in self.frames.iter_mut().enumerate().filter(full) {
            let section = Section::Lanes(level as u8);
            ready.push_back(Chunk { section, bytes: std::mem::take(frames) });
        }
    }

    /// Gives its buffers back.
    pub(super) fn give_back(self) {
        self.frames.into_iter().for_each(|frames| self.spares.put(frames));
    }
}

fn exchange_of(frame: &[u8]) -> Option<ExchangeId> {
    match Header::read(frame).0.edge {
        FrameEdge::Exchange(id) => Some(ExchangeId(id)),
        FrameEdge::Output(_) => None,
    }
}

/// Adds a whole frame at a multiple of eight bytes, as in lanes, stamped with `most` at most.
fn append_frame(bytes: &mut Vec<u8>, frame: &[u8], most: Option<EventTime>) {
    let start = bytes.len();
    bytes.extend_from_slice(frame);
    most.into_iter().for_each(|most| Header::limit_stamp(&mut bytes[start..], most));
    bytes.resize(bytes.len().next_multiple_of(8), 0);
}

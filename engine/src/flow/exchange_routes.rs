//! What the router knows of exchanges, and how a frame gets into the lane of one.

use potoroo_runtime::{LaneId, Outbound};
use potoroo_sdk::host::TableId;
use potoroo_sdk::plan::Exchange;

use super::counts::Counts;
use super::envelope::{Header, TimeFields};

/// What the router knows of an exchange.
#[derive(Clone, Copy, Debug)]
pub(super) struct ExchangeRoute {
    pub(super) level: usize,
    /// Longest archive for which a frame is short enough, whatever it says of its time.
    pub(super) archive_bytes_max: usize,
    /// The table that is looked up first.
    pub(super) table: Option<TableId>,
    /// The table whose update is an end.
    pub(super) end: Option<TableId>,
    /// Events go on with their times.
    pub(super) time: bool,
    /// The number of its watermark.
    pub(super) watermark: Option<u16>,
}

impl ExchangeRoute {
    // cold: at start
    pub(super) fn new(exchange: &Exchange, frame_bytes_max: usize) -> Self {
        let fields = if exchange.time { TimeFields::ALL } else { TimeFields::NONE };
        Self {
            level: exchange.level as usize,
            archive_bytes_max: frame_bytes_max - Header::frame_bytes(fields.bytes()),
            table: exchange.table,
            end: exchange.end,
            time: exchange.time,
            watermark: exchange.watermark,
        }
    }
}

/// Adds a frame of `bytes` to a lane to another core, and lists the lane if nothing of it was
/// unpublished; returns its room after the length word.
#[inline(always)]
pub(super) fn lane_append<'a>(
    lanes: &'a mut Outbound,
    dirty: &mut Vec<LaneId>,
    lane: LaneId,
    bytes: usize,
    counts: &mut Counts,
) -> Option<&'a mut [u8]> {
    let (room, clean) = lanes.try_append(lane.level, bytes)?;
    if clean {
        dirty.push(lane);
    }
    counts.frames_sent += 1;
    Some(room)
}

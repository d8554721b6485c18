//! What one core counts, in plain numbers of its own.

use potoroo_sdk::host::TableId;
use potoroo_sdk::time::Duration;

/// Counters of one source on one core.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SourceCounts {
    /// Events decoded or generated.
    pub events: u64,
    /// Bytes taken.
    pub bytes: u64,
    /// Frames refused.
    pub refused: u64,
    /// Events that were due before their generator was ended, and not generated.
    pub overdue: u64,
}

/// Counters of one sink on one core.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SinkCounts {
    /// Events given to it.
    pub events: u64,
    /// Bytes given to it.
    pub bytes: u64,
    /// Turns in which it was full.
    pub waits: u64,
}

/// Events that came too late for what one table waits for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LateCounts {
    /// Events, whatever became of them.
    pub events: u64,
    /// Nanoseconds by which the latest of them was too late.
    pub by_ns_max: u64,
}

/// Counters of one core.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Turns in which something was done.
    pub turns_worked: u64,
    /// Turns that began with outputs for which there was no room.
    pub turns_blocked: u64,
    /// Frames put into lanes.
    pub frames_sent: u64,
    /// Frames taken from lanes.
    pub frames_received: u64,
    /// Frames processed in place.
    pub frames_local: u64,
    /// Replies whose connection was gone.
    pub replies_lost: u64,
    /// Events that waited on the core, in lanes or in outlets, when it ended; 0 before.
    pub left: u64,
    /// By source.
    pub sources: Vec<SourceCounts>,
    /// By sink.
    pub sinks: Vec<SinkCounts>,
    /// By table: rows and bytes.
    pub tables: Vec<(u64, u64)>,
    /// By table.
    pub late: Vec<LateCounts>,
}

impl Counts {
    /// An event was too late by this for a table.
    #[cold]
    pub(super) fn late(&mut self, table: TableId, by: Duration) {
        let of = &mut self.late[usize::from(table.0)];
        of.events += 1;
        of.by_ns_max = of.by_ns_max.max(by.as_nanos() as u64);
    }

    pub(super) fn each(&self, mut take: impl FnMut(u64)) {
        for value in [
            self.turns_worked,
            self.turns_blocked,
            self.frames_sent,
            self.frames_received,
            self.frames_local,
            self.replies_lost,
        ] {
            take(value);
        }
        for source in &self.sources {
            let SourceCounts { events, bytes, refused, overdue } = *source;
            [events, bytes, refused, overdue].into_iter().for_each(&mut take);
        }
        for sink in &self.sinks {
            [sink.events, sink.bytes, sink.waits].into_iter().for_each(&mut take);
        }
        for (rows, bytes) in &self.tables {
            [*rows, *bytes].into_iter().for_each(&mut take);
        }
        for late in &self.late {
            [late.events, late.by_ns_max].into_iter().for_each(&mut take);
        }
    }
}

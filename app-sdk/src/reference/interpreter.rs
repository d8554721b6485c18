//! The interpreter as a host: a queue, and maps without any cleverness.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;

use super::watermarks::EventTimes;
use crate::codec::Reason;
use crate::host::{
    Cause, ExchangeId, Hint, Host, Inflow, Route, SinkId, SourceId, TableId, Timing,
};
use crate::plan::Plan;
use crate::table::AnyRow;
use crate::time::{Duration, EventTime};

pub(super) struct InFlight {
    pub(super) route: Route,
    pub(super) cause: Cause,
    pub(super) timing: Option<Timing>,
    pub(super) archive: Vec<u8>,
}

pub(super) struct Interpreter {
    pub(super) in_flight: VecDeque<InFlight>,
    pub(super) outputs: Vec<(SinkId, Vec<u8>)>,
    pub(super) refused: Vec<(SourceId, Reason, Vec<u8>)>,
    pub(super) watermarks: EventTimes,
    /// By table, the number of events that were late for its windows.
    pub(super) late: Vec<u64>,
    rows: Vec<BTreeMap<u64, Vec<u32>>>,
}

impl Interpreter {
    pub(super) fn new(plan: &Plan) -> Self {
        Self {
            in_flight: VecDeque::new(),
            outputs: Vec::new(),
            refused: Vec::new(),
            watermarks: EventTimes::new(plan),
            late: plan.tables.iter().map(|_| 0).collect(),
            rows: plan.tables.iter().map(|_| BTreeMap::new()).collect(),
        }
    }
}

impl Host for Interpreter {
    fn send(
        &mut self,
        route: Route,
        cause: &Cause,
        timing: Option<&Timing>,
        bytes: usize,
    ) -> &mut [u8] {
        let (cause, timing) = (*cause, timing.copied());
        let frame = InFlight { route, cause, timing, archive: alloc::vec![0; bytes] };
        self.in_flight.push_back(frame);
        &mut self.in_flight.back_mut().expect("it was just put there").archive
    }

    fn in_place(
        &mut self,
        _: ExchangeId,
        _: usize,
        _: &[u64],
        _: &[Cause],
        _: &mut [Timing],
        _: &mut [u32],
    ) -> u64 {
        0
    }

    fn output(&mut self, sink: SinkId, _: &Cause, bytes: &[u8]) {
        self.outputs.push((sink, bytes.to_vec()));
    }

    fn batch_max(&mut self) -> usize {
        1
    }

    fn blocked(&self) -> bool {
        false
    }

    fn find(&mut self, table: TableId, hash: u64, previous: Option<u32>) -> Option<u32> {
        let slots = self.rows[table.0 as usize].get(&hash)?;
        let from = match previous {
            None => 0,
            Some(previous) => 1 + slots.iter().position(|slot| *slot == previous)?,
        };
        slots.get(from).copied()
    }

    fn bind(&mut self, table: TableId, hash: u64, slot: u32) {
        self.rows[table.0 as usize].entry(hash).or_default().push(slot);
    }

    fn unbind(&mut self, table: TableId, hash: u64, slot: u32, _: &dyn AnyRow) {
        let slots = self.rows[table.0 as usize].get_mut(&hash).expect("unbind follows bind");
        slots.retain(|known| *known != slot);
    }

    fn hint(&mut self, table: TableId, hint: Hint) {
        self.watermarks.hint(table, hint);
    }

    fn watermark(&self, table: TableId, without: Inflow) -> EventTime {
        self.watermarks.of_table(table, Some(without))
    }

    fn late(&mut self, table: TableId, _: Duration) {
        self.late[usize::from(table.0)] += 1;
    }

    fn refuse(&mut self, cause: &Cause, reason: Reason, bytes: &[u8]) {
        self.refused.push((cause.source, reason, bytes.to_vec()));
    }
}

//! Latencies that end in tables: noted when an event is done, recorded when the turn is over.
//!
//! Events that entered together, with one read or at one moment of a generator, share their
//! ingress: a run of them is one note with a count.

use potoroo_sdk::host::{Cause, SourceId, TableId};
use potoroo_sdk::plan::{End, Plan};

/// Where and when a run of events entered, and where it has ended.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Run {
    ingress: u64,
    table: TableId,
    source: SourceId,
}

/// The ends of one turn.
pub(super) struct Ends {
    /// The run at hand, and how many have ended in it.
    run: Run,
    count: u64,
    /// The runs before it.
    runs: Vec<(Run, u64)>,
    /// Path number by table and source. Paths that cannot occur have none.
    paths: Vec<Vec<u16>>,
}

impl Ends {
    // cold: at start
    pub(super) fn new(plan: &Plan) -> Self {
        let mut paths = vec![vec![u16::MAX; plan.sources.len()]; plan.tables.len()];
        for (number, path) in plan.paths.iter().enumerate() {
            if let End::Table(table) = path.end {
                paths[table.0 as usize][path.source.0 as usize] = number as u16;
            }
        }
        let run = Run { ingress: 0, table: TableId(0), source: SourceId(0) };
        Self { run, count: 0, runs: Vec::with_capacity(1024), paths }
    }

    /// Notes that what `causes` caused has come to its end in `table`.
    #[inline]
    pub(super) fn add_all<'a>(
        &mut self,
        table: TableId,
        causes: impl Iterator<Item = &'a Cause> + Clone,
    ) {
        let Some(Cause { ingress, source, .. }) = causes.clone().next() else { return };
        self.begin_run(Run { ingress: *ingress, table, source: *source });
        // One run, nearly always.
        let differs =
            |cause: &Cause| cause.ingress ^ ingress | u64::from(cause.source.0 ^ source.0);
        if causes.clone().fold(0, |any, cause| any | differs(cause)) == 0 {
            self.count += causes.count() as u64;
        } else {
            self.add_runs(table, causes);
        }
    }

    #[inline(never)]
    fn add_runs<'a>(&mut self, table: TableId, causes: impl Iterator<Item = &'a Cause>) {
        for cause in causes {
            self.begin_run(Run { ingress: cause.ingress, table, source: cause.source });
            self.count += 1;
        }
    }

    #[inline]
    fn begin_run(&mut self, run: Run) {
        if run != self.run {
            self.change_run(run);
        }
    }

    #[inline(never)]
    fn change_run(&mut self, run: Run) {
        if self.count > 0 {
            self.runs.push((self.run, self.count));
        }
        (self.run, self.count) = (run, 0);
    }

    /// Takes the path, the ingress and the number of events of each run.
    #[inline]
    pub(super) fn take(&mut self, mut take: impl FnMut(u16, u64, u64)) {
        if self.count == 0 {
            return;
        }
        self.change_run(self.run);
        for (run, count) in self.runs.drain(..) {
            let path = self.paths[run.table.0 as usize][run.source.0 as usize];
            take(path, run.ingress, count);
        }
    }
}

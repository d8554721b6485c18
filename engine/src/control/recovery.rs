//! What an application goes on from: the place of its checkpoints, and the last of them.

use std::sync::Arc;

use potoroo_runtime::{Clock, Nanos};
use potoroo_sdk::plan::{Plan, TablePlan};

use super::config::Config;
use super::console;
use super::edge_checks::EdgeChecks;
use super::edges::Edges;
use super::error::Error;
use super::open_store::OpenStore;
use super::seats::Seats;
use super::stop_request::StopRequest;
use super::takeover::{Findings, HeadGate, Takeover, line, nothing_to_drop};
use crate::checkpoint::store::{self, Head, Location, Store};
use crate::checkpoint::{
    ChangeKind, Chunk, Delivered, EndGone, Epoch, Identity, LoadReceiver, LoadSender, Manifest,
    Marks, PartEntry, ProgramChanges, Recovered, Renumbering, SourcePosition, TableFacts, load,
    recover, roll_back,
};
use crate::connect::resume::Resume;
use crate::connect::spools;
use crate::flow::Core;

/// Where an application's checkpoints are, and what it goes on from.
pub(super) struct Recovery {
    pub(super) store: Arc<dyn Store>,
    pub(super) facts: Identity,
    pub(super) recovered: Recovered,
    /// Output that is visible, or with its client.
    marks: Marks,
    /// The present numbers of what the checkpoint has; `None` without one.
    numbers: Option<Renumbering>,
    place: Location,
}

impl Recovery {
    /// Takes over what is `stored`, through `gate`, for these `edges`, if any are to go on from
    /// there.
    ///
    /// # Errors
    /// It cannot be used. HEAD is as it was, unless a predecessor has committed meanwhile.
    pub(super) fn open(
        (plan, config): (&Plan, &Config),
        stored: &OpenStore,
        edges: Option<&Edges>,
        gate: HeadGate<'_>,
    ) -> Result<Self, Error> {
        Self::take((plan, config), stored, edges, gate, |store, takeover| {
            recover(store, takeover, stored.owner, config.restore)
        })
    }

    /// Takes over what is `stored` from the generation before, whose HEAD is the one to go `back`
    /// from, at the checkpoint of an epoch, through `gate`.
    ///
    /// # Errors
    /// It cannot be used, or a stop is requested. HEAD is as it was, unless the error is that this
    /// is unclear.
    pub(super) fn roll_back(
        (of, (stored, edges)): ((&Plan, &Config), (&OpenStore, &Edges)),
        back: (&Head, Epoch),
        request: &StopRequest,
        gate: HeadGate<'_>,
    ) -> Result<Self, Error> {
        Self::take(of, stored, Some(edges), gate, |store, takeover| {
            // Frames that are refused when they are restored would end the application.
            let takeover = takeover.with_frames();
            roll_back(store, &takeover, stored.owner, back, &|| request.reason().is_none())
        })
    }

    fn take(
        (plan, config): (&Plan, &Config),
        stored: &OpenStore,
        edges: Option<&Edges>,
        gate: HeadGate<'_>,
        take: impl FnOnce(&dyn Store, &Takeover<'_>) -> Result<Recovered, recover::Error>,
    ) -> Result<Self, Error> {
        let OpenStore { store, place, .. } = stored;
        let unusable = |error: store::Error| Error::of_store(place, &error);
        let mut facts = Identity::of(plan, config.partitions as u32);
        // Before HEAD changes: what fails then leaves everything as it is.
        let mut marks = Marks::read(&**store).map_err(unusable)?;
        let of_marks = &marks;
        let checks = |edges| EdgeChecks { plan, config, edges, store, place, marks: of_marks };
        let checks = edges.map(checks);
        let takeover = Takeover::new(plan, &facts, config, (&**store, place));
        let takeover = takeover.with_edges(checks.as_ref()).gated_by(gate);
        let recovered = take(&**store, &takeover);
        let mut recovered = recovered.map_err(|error| match error {
            recover::Error::Edge(edge) => *edge.downcast().expect("edges refuse by this type"),
            recover::Error::Store(error) => unusable(error),
            other => Error::State { place: place.clone(), reason: other.to_string() },
        })?;
        let manifest = recovered.manifest.as_ref();
        let found = manifest.map(|manifest| takeover.look(manifest)).transpose();
        let found = found.map_err(unusable)?;
        if let (None, Some(name)) = (&found, config.drop.first()) {
            return Err(Error::State { place: place.clone(), reason: nothing_to_drop(name) });
        }
        let numbers = found.zip(manifest).map(|(Findings { changes, .. }, manifest)| {
            log_changes(&changes);
            changes.keep(manifest, recovered.newest.as_ref(), &mut facts);
            changes.renumbering
        });
        // Positions and transactions of what was dropped are in no later checkpoint. Which
        // transactions its receiver has taken stays: the sink may come back.
        recovered.sources.retain(|at| plan.sources.iter().any(|source| source.name == at.name));
        if let Some(manifest) = &mut recovered.manifest {
            let is_there = |sink: &String| {
                plan.sinks.iter().any(|planned| planned.name.as_ref() == Some(sink))
            };
            manifest.transactions.retain(|one| is_there(&one.sink));
            let is_of_earlier_version =
                manifest.transactions.iter().any(|one| one.name().is_none());
            let state = (place.folder(), &recovered.head);
            let adopted = spools::adopt(&**store, state, manifest);
            adopted.map_err(|error| Error::State {
                place: place.clone(),
                reason: error.to_string(),
            })?;
            if is_of_earlier_version {
                marks = Marks::read(&**store).map_err(unusable)?;
            }
        }
        let (store, place) = (store.clone(), place.clone());
        let recovery = Self { store, facts, recovered, marks, numbers, place };
        recovery.log();
        Ok(recovery)
    }

    fn log(&self) {
        let Some(manifest) = &self.recovered.manifest else { return };
        let rows: u64 = manifest.parts.iter().map(|part| part.rows).sum();
        console::note(format_args!(
            "goes on from checkpoint {} in {}: {rows} versions of rows in {} parts (a row \
             that changed is in several)",
            manifest.epoch,
            self.place,
            manifest.parts.len()
        ));
        if self.recovered.restored_before {
            console::note(
                "--restore: that was done at an earlier start, and what came since counts; start \
                 once without it to be able to go back again",
            );
        }
        for repeat in &self.recovered.repeats {
            let (first, last) = repeat.epochs;
            let sink = repeat.sink.as_deref().unwrap_or("?");
            console::note(format_args!(
                "sink `{sink}` receives the output of epochs {first} to {last} again: {} bytes",
                repeat.bytes
            ));
        }
    }

    /// Gives the sources of `plan` what stands for them in origins.
    pub(super) fn give_origins(&self, plan: &mut Plan) {
        for (at, source) in plan.sources.iter_mut().enumerate() {
            source.origin = self.facts.origin(at);
        }
    }

    pub(super) fn manifest(&self) -> Option<&Manifest> {
        self.recovered.manifest.as_ref()
    }

    /// What sources and sinks go on from.
    pub(super) fn resume(&self) -> Resume<'_> {
        Resume {
            head: &self.recovered.head,
            manifest: self.manifest(),
            positions: self.positions(),
            store: &self.store,
            marks: &self.marks,
        }
    }

    /// Where all sources go on.
    pub(super) fn positions(&self) -> &[SourcePosition] {
        &self.recovered.sources
    }

    /// What clients of sinks had.
    pub(super) fn delivered(&self) -> &[Delivered] {
        self.manifest().map_or(&[], |manifest| &manifest.delivered)
    }

    /// What the lead has taken over, for a node of its generation.
    ///
    /// # Errors
    /// It cannot be read.
    pub(super) fn follow(
        plan: &Plan,
        config: &Config,
        stored: &OpenStore,
        (head, facts): (Head, Identity),
    ) -> Result<Self, Error> {
        let OpenStore { store, place, .. } = stored;
        let unusable = |error: store::Error| Error::of_store(place, &error);
        let own = Identity::of(plan, config.partitions as u32);
        let takeover = Takeover::new(plan, &own, config, (&**store, place));
        let load = |name: &String| Manifest::load(&**store, name);
        let manifest = head.manifest.as_ref().map(load).transpose().map_err(unusable)?;
        let found = manifest.as_ref().map(|manifest| takeover.look(manifest)).transpose();
        let found = found.map_err(unusable)?;
        let recovered = Recovered {
            head,
            manifest,
            sources: Vec::new(),
            newest: None,
            repeats: Vec::new(),
            restored_before: false,
        };
        let numbers = found.map(|found| found.changes.renumbering);
        let (store, place) = (store.clone(), place.clone());
        Ok(Self { store, facts, recovered, marks: Marks::default(), numbers, place })
    }

    /// Reads the checkpoint, and sends each core on these `seats` what it owns. When this fails, no
    /// core learns that it has everything. A core that is gone has reported why, or panicked.
    ///
    /// # Errors
    /// A part is missing or damaged, or it is not to `go_on`.
    pub(super) fn read(
        &self,
        seats: &Seats,
        mut to: LoadSender,
        go_on: &dyn Fn() -> bool,
    ) -> Result<(), Error> {
        let map = seats.map();
        let owners = (to.cores(), |hash| seats.core_at(map.owner(hash)));
        let sent = self.load(owners, |core, part, chunk| match go_on() {
            false => Err(Halt::Requested),
            true => Ok(to.send(core, part, chunk)?),
        });
        match sent {
            Ok(()) => to.finish(),
            Err(halt) => self.halted(halt)?,
        }
        Ok(())
    }

    /// Restores in `core` what comes for it, and has it take checkpoints from now on. Returns
    /// whether it has everything: if not, nothing may be made of what was restored.
    ///
    /// # Errors
    /// Something does not fit the application: as if it had not everything.
    pub(super) fn restore(
        &self,
        core: &mut Core,
        from: LoadReceiver,
        config: &Config,
    ) -> Result<bool, Error> {
        let now = self.expect(core.plan());
        match from.each(|part, chunk| self.restore_chunk(core, part, chunk, now)) {
            Ok(()) => self.begin_checkpoints(core, config.checkpoint_log_bytes as u64),
            Err(halt) => return self.halted(halt).map(|()| false),
        }
        Ok(true)
    }

    /// Restores the whole checkpoint in `core`, which owns everything.
    ///
    /// # Errors
    /// A part is missing or damaged: nothing may be made of what was restored.
    pub(super) fn restore_alone(&self, core: &mut Core) -> Result<(), Error> {
        let now = self.expect(core.plan());
        let restored = self.load((1, |_| Some(0)), |_, part, chunk| {
            self.restore_chunk(core, &part.name, chunk, now)
        });
        restored.or_else(|halt| self.halted(halt))
    }

    fn load(
        &self,
        owners: (usize, impl Fn(u64) -> Option<usize>),
        hand: impl FnMut(usize, &PartEntry, &mut Chunk) -> Result<(), Halt>,
    ) -> Result<(), Halt> {
        self.manifest().map_or(Ok(()), |manifest| load(&*self.store, manifest, owners, hand))
    }

    /// Prepares the tables of `plan` for what is restored from now on.
    fn expect(&self, plan: &Plan) -> Nanos {
        self.manifest().into_iter().for_each(|manifest| expect(plan, &manifest.facts));
        Clock::new().now()
    }

    fn restore_chunk(
        &self,
        core: &mut Core,
        part: &str,
        chunk: &Chunk,
        now: Nanos,
    ) -> Result<(), Halt> {
        let numbers = self.numbers.as_ref().expect("only a checkpoint has chunks");
        let restored = core.restore(chunk, numbers, now);
        restored.map_err(|error| Halt::Refused(format!("{part}: {error}")))
    }

    /// What an end before the end means for the start.
    fn halted(&self, halt: Halt) -> Result<(), Error> {
        match halt {
            Halt::Gone => Ok(()),
            Halt::Requested => Err(Error::Stopped),
            Halt::Refused(reason) => Err(Error::State { place: self.place.clone(), reason }),
            Halt::Away(reason) => Err(Error::StateAway { place: self.place.clone(), reason }),
        }
    }

    /// Has `core`, which has everything that was restored, take checkpoints from now on, with up to
    /// `log_bytes` bytes of frames.
    pub(super) fn begin_checkpoints(&self, core: &mut Core, log_bytes: u64) {
        core.restored();
        let head = &self.recovered.head;
        core.enable_checkpoints(head.epoch, head.generation, log_bytes);
    }
}

/// Logs what is not as it was.
fn log_changes(changes: &ProgramChanges) {
    let differs = changes.list.iter().filter(|one| one.kind != ChangeKind::Kept);
    differs.for_each(|one| console::note(line(one)));
}

/// Prepares the tables of `plan` for the shapes that their states were stored with.
pub(super) fn expect(plan: &Plan, stored: &Identity) {
    for table in &plan.tables {
        let was = stored.tables.iter().find(|was| was.name == table.name);
        was.into_iter().for_each(|was| expect_table(table, was));
    }
}

/// Prepares one table for the shape that its states were stored with.
pub(super) fn expect_table(table: &TablePlan, was: &TableFacts) {
    table.rows.expect(was.state.shape).expect("an unknown shape is refused");
}

/// Why a checkpoint was not read, or not restored, to its end.
enum Halt {
    /// The other end of the channel is gone, which says why.
    Gone,
    /// The application is to stop.
    Requested,
    /// Something cannot be used.
    Refused(String),
    /// The storage does not answer now.
    Away(String),
}

impl From<EndGone> for Halt {
    fn from(EndGone: EndGone) -> Self {
        Self::Gone
    }
}

impl From<store::Error> for Halt {
    fn from(error: store::Error) -> Self {
        let reason = error.to_string();
        if error.is_away() { Self::Away(reason) } else { Self::Refused(reason) }
    }
}

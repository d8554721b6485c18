//! One process without its coordination: cores with their ports, all of it in memory.

use std::io;
use std::sync::{Arc, LazyLock};

use potoroo::checkpoint::Manifest;
use potoroo::connect::spool::{Prepared, Spooler};
use potoroo::flow::{ConnectionId, Core, CoreConfig, PartitionMap, Start, Tally};
use potoroo::turn::{
    CheckpointCommand, Command, Fill, InletKind, InletPort, Mail, Mailbox, NewInlet, mailbox,
};
use potoroo_runtime::{Nanos, Poller, Waker, mesh};
use potoroo_sdk::host::{SinkId, SourceId};
use potoroo_sdk::random::Random;

use super::Subject;
use super::world::World;
use crate::items::FRAME_BYTES_MAX;
use crate::oracle::table_text;
use crate::seeds::{Concern, random};
use crate::workload::piece;

/// The cores of a process, their input and their output.
pub(super) struct Process {
    pub(super) cores: Vec<Core>,
    tallies: Vec<Arc<Tally>>,
    mails: Vec<Mail>,
    files: Vec<FileIn>,
    streams: Vec<StreamIn>,
    writers: Vec<Writer>,
    random: Random,
    now: Nanos,
}

/// A file that is read.
struct FileIn {
    source: SourceId,
    core: usize,
    id: ConnectionId,
    /// Bytes read.
    at: usize,
    ended: bool,
}

/// A stream that comes through a pipe.
struct StreamIn {
    core: usize,
    id: ConnectionId,
    port: Box<dyn InletPort>,
    ended: bool,
}

/// Where the output of a sink goes.
struct Writer {
    sink: SinkId,
    spooler: Spooler,
}

/// What left through a sink before an epoch is in its spool.
pub(super) struct Marked {
    pub(super) sink: SinkId,
    pub(super) epoch: u32,
    pub(super) prepared: Option<Prepared>,
}

/// As small as can be: whatever can be full is.
const LANE_BYTES: usize = 4096;

/// Nobody sleeps here.
static WAKER: LazyLock<Waker> = LazyLock::new(|| Poller::new().expect("this host has one").waker());

impl Process {
    /// A process that has not yet restored anything, and the way to its cores.
    pub(super) fn new(seed: u64, count: usize, subject: &Subject<'_>) -> (Self, Vec<Mailbox>) {
        let mut random = random(seed, Concern::Deployment);
        let plan = (subject.describe)().plan().expect("the application is sound");
        let owners: Vec<u16> = (0..count as u16).filter(|_| random.chance(0.8)).collect();
        let owners = if owners.is_empty() { vec![0] } else { owners };
        let map = PartitionMap::spread(subject.partitions, &owners);
        let sink_owners: Vec<usize> =
            plan.sinks.iter().map(|_| random.below(count as u64) as usize).collect();
        let tallies: Vec<Arc<Tally>> = (0..count).map(|_| Arc::new(Tally::new(&plan))).collect();
        let lanes = mesh(count, plan.levels() + 1, LANE_BYTES);
        let outlet_bytes = 1 + random.below(600) as usize;
        let cores = lanes.into_iter().zip(&tallies).enumerate().map(|(core, (lanes, tally))| {
            let config = CoreConfig {
                core,
                lanes,
                map: map.clone(),
                sink_owners: sink_owners.clone(),
                inlet_bytes: FRAME_BYTES_MAX + 100,
                outlet_bytes,
                local_bytes: LANE_BYTES,
                keep_letters: false,
                tally: tally.clone(),
            };
            Core::new((subject.describe)().plan().expect("as before"), config)
        });
        let (mailboxes, mails) = (0..count).map(|_| mailbox(WAKER.clone())).unzip();
        let process = Self {
            cores: cores.collect(),
            tallies,
            mails,
            files: Vec::new(),
            streams: Vec::new(),
            writers: Vec::new(),
            random,
            now: Nanos(1_000_000),
        };
        (process, mailboxes)
    }

    pub(super) fn now(&self) -> Nanos {
        self.now
    }

    /// Opens files and generators where `manifest` says; whoever else sends something connects.
    pub(super) fn open_sources(
        &mut self,
        subject: &Subject<'_>,
        world: &World,
        manifest: Option<&Manifest>,
    ) {
        let count = self.cores.len() as u64;
        let plan = (subject.describe)().plan().expect("as before");
        for (index, source) in plan.sources.iter().enumerate() {
            if world.senders.iter().any(|sender| usize::from(sender.source()) == index) {
                continue;
            }
            let at = manifest.and_then(|manifest| {
                manifest.sources.iter().find(|position| position.name == source.name)
            });
            let start = at.map_or_else(Start::default, Start::from);
            let core = self.random.below(count) as usize;
            self.open_source(SourceId(index as u8), core, start, subject);
        }
        self.cores.iter_mut().for_each(|core| core.set_open_sources(true));
    }

    fn open_source(&mut self, source: SourceId, core: usize, start: Start, subject: &Subject<'_>) {
        let made = subject.generators.iter().find(|made| made.source == source.0);
        let Some(made) = made else {
            let id = self.cores[core].open_replayed(source, start);
            let at = start.position as usize;
            self.files.push(FileIn { source, core, id, at, ended: false });
            return;
        };
        self.cores.iter_mut().for_each(|core| core.drop_replies(source));
        let stage = &self.cores[core].plan().sources[usize::from(source.0)].stage;
        let generate = stage.generator(&made.name, 1).expect("the application has it");
        self.cores[core].add_generator(source, generate, made.rate, start.position, made.count);
    }

    /// The output of `sink` goes into spools.
    pub(super) fn open_sink(&mut self, sink: SinkId, spooler: Spooler) {
        self.writers.push(Writer { sink, spooler });
    }

    /// One turn of a core with its ports. Returns what sinks have marked; or fails as the disk
    /// does, which is the end of a process.
    pub(super) fn turn(&mut self, core: usize, world: &World) -> io::Result<Vec<Marked>> {
        self.now.0 += 1 + self.random.below(3_000);
        if self.random.chance(0.5)
            && let Some(command) = self.mails[core].take()
        {
            self.obey(core, command);
        }
        for at in 0..self.files.len() {
            if self.files[at].core == core && self.random.chance(0.5) {
                self.read(at, world);
            }
        }
        for at in 0..self.streams.len() {
            if self.streams[at].core == core && self.random.chance(0.5) {
                self.read_stream(at);
            }
        }
        self.cores[core].turn(self.now, |_| ());
        while let Some((id, _)) = self.cores[core].take_ended() {
            self.cores[core].retire_inlet(id);
            self.files.iter_mut().filter(|file| file.id == id).for_each(|file| file.ended = true);
            self.streams.retain(|stream| stream.id != id);
        }
        self.cores[core].take_letters();
        self.write(core)
    }

    fn obey(&mut self, at: usize, command: Command) {
        let core = &mut self.cores[at];
        match command {
            Command::Checkpoint(CheckpointCommand::Begin(epoch)) => core.begin_checkpoint(epoch),
            Command::Checkpoint(CheckpointCommand::Commit(epoch)) => core.commit_checkpoint(epoch),
            Command::Checkpoint(CheckpointCommand::Abort(epoch)) => core.abort_checkpoint(epoch),
            Command::SourcesComplete => core.set_open_sources(false),
            Command::Inlet(NewInlet { source, kind, port, .. }) => {
                let InletKind::Stream { number, name_hash, start } = kind else {
                    unreachable!("only streams come by command")
                };
                let id = core.open_stream(source, number, name_hash, start);
                self.streams.push(StreamIn { core: at, id, port, ended: false });
            }
            _ => unreachable!("nobody says it here"),
        }
    }

    fn read_stream(&mut self, at: usize) {
        let piece = piece(&mut self.random);
        let StreamIn { core, id, port, ended } = &mut self.streams[at];
        let core = &mut self.cores[*core];
        if *ended {
            return;
        }
        let room = core.inlet_room(*id);
        if room.is_empty() {
            return;
        }
        let bytes = room.len().min(piece);
        match port.fill(&mut room[..bytes], self.now) {
            Fill::Bytes(bytes, _) => core.inlet_filled(*id, bytes, self.now),
            Fill::Nothing => {}
            Fill::Ended => {
                *ended = true;
                core.inlet_end(*id);
            }
        }
    }

    fn read(&mut self, at: usize, world: &World) {
        let piece = piece(&mut self.random);
        let file = &mut self.files[at];
        let core = &mut self.cores[file.core];
        let rest = &world.inputs[usize::from(file.source.0)][file.at..];
        if file.ended {
            return;
        }
        if rest.is_empty() {
            file.ended = true;
            core.inlet_end(file.id);
            return;
        }
        let room = core.inlet_room(file.id);
        let bytes = rest.len().min(room.len()).min(piece);
        room[..bytes].copy_from_slice(&rest[..bytes]);
        core.inlet_filled(file.id, bytes, self.now);
        file.at += bytes;
    }

    fn write(&mut self, core: usize) -> io::Result<Vec<Marked>> {
        let mut marked = Vec::new();
        for Writer { sink, spooler } in &mut self.writers {
            let Some(outlet) = self.cores[core].outlet(*sink) else { continue };
            if self.random.chance(0.3) {
                continue;
            }
            let bytes = piece(&mut self.random).min(outlet.waiting().len());
            if bytes > 0 {
                spooler.write(&outlet.waiting()[..bytes])?;
            }
            outlet.written(bytes);
            while let Some(epoch) = outlet.take_marker() {
                let prepared = spooler.prepare(epoch);
                marked.push(Marked { sink: *sink, epoch, prepared });
            }
        }
        Ok(marked)
    }

    /// Positions up to which files were read: too far for what was cut before.
    pub(super) fn positions_now(&self) -> Vec<(SourceId, u64)> {
        self.files.iter().map(|file| (file.source, file.at as u64)).collect()
    }

    /// Whether all input is used up and nothing is under way.
    pub(super) fn quiet(&self) -> bool {
        let sum = |of: fn(&potoroo::flow::Counts) -> u64| {
            self.tallies.iter().map(|tally| of(&tally.read())).sum::<u64>()
        };
        self.tallies.iter().all(|tally| tally.quiet())
            && sum(|counts| counts.frames_sent) == sum(|counts| counts.frames_received)
    }

    /// Rows of each table as text, in order.
    pub(super) fn show_tables(&self, world: &mut World) {
        world.tables.clear();
        for table in self.cores.iter().flat_map(|core| &core.plan().tables) {
            let rows = world.tables.entry(table.name.clone()).or_default();
            table.rows.each(&mut |key, state| rows.push(table_text(key, state)));
        }
        world.tables.values_mut().for_each(|rows| rows.sort());
    }
}

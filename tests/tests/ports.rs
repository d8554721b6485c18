//! What a core promises at its ports, one turn after the other: what is held back, what a stop
//! takes and leaves, what is too long, and what is published before other threads need it.

use std::sync::Arc;

use potoroo::checkpoint::{Chunk, Epoch, Renumbering, Section};
use potoroo::flow::{
    BlockedBy, ConnectionId, Core, CoreConfig, Fate, PartitionMap, SharedCounts, Skips, Stage,
    Start,
};
use potoroo_runtime::{Nanos, mesh};
use potoroo_sdk::host::{Origin, SinkId, SourceId};
use potoroo_sdk::key::Key;
use potoroo_sdk::prelude::*;
use potoroo_sdk::value;

/// A line of text.
#[event]
struct Line {
    text: String,
}

/// Lines become events as they are; the line `huge` becomes 17 MiB.
struct Texts;

impl Decode for Texts {
    type Event = Line;
    type Framing = Lines;
    fn framing(&self) -> Lines {
        Lines::new()
    }
    fn decode(&self, payload: &[u8]) -> Result<Line, Reason> {
        let text = str::from_utf8(payload).map_err(|_| Reason::new("not UTF-8"))?;
        Ok(Line { text: if text == "huge" { "x".repeat(17 << 20) } else { text.to_owned() } })
    }
}

/// Writes the text with a line end; `long` as 2 KiB, and nothing for `nothing`.
impl Encode for Texts {
    type Event = Line;
    fn encode(&self, line: LineView<'_>, out: &mut Vec<u8>) {
        match line.text {
            "nothing" => {}
            "long" => out.extend_from_slice(&[b'x'; 2048]),
            text => out.extend_from_slice(format!("{text}\n").as_bytes()),
        }
    }
}

/// Frames of a length that the first byte says, in hundreds. At the end it leaves the rest undone.
#[derive(Clone)]
struct Hundreds;

impl Framing for Hundreds {
    fn split(&self, bytes: &[u8], _ended: bool) -> Split {
        match bytes.first().map(|hundreds| 100 * usize::from(*hundreds)) {
            Some(end) if bytes.len() >= end => Split::Frame { start: 1, end, next: end },
            Some(end) => Split::More(end),
            None => Split::More(1),
        }
    }
    fn frame_bytes_max(&self) -> usize {
        25_500
    }
}

/// Texts in such frames.
struct HundredTexts;

impl Decode for HundredTexts {
    type Event = Line;
    type Framing = Hundreds;
    fn framing(&self) -> Hundreds {
        Hundreds
    }
    fn decode(&self, payload: &[u8]) -> Result<Line, Reason> {
        Texts.decode(payload)
    }
}

/// Bytes of a lane; a frame may take a quarter.
const LANE_BYTES: usize = 4096;

/// Bytes of the buffer of a connection.
const INLET_BYTES: usize = 2000;

/// The cores of `describe`: the first owns all state, the last all sinks.
fn cores(count: usize, outlet_bytes: usize, describe: impl Fn(&Application)) -> Vec<Seat> {
    cores_with(LANE_BYTES, count, outlet_bytes, describe)
}

/// The same, with lanes of `lane_bytes`.
fn cores_with(
    lane_bytes: usize,
    count: usize,
    outlet_bytes: usize,
    describe: impl Fn(&Application),
) -> Vec<Seat> {
    let plan = || {
        let app = Application::new("ports");
        describe(&app);
        app.plan().expect("it is sound")
    };
    let first = plan();
    let lanes = mesh(count, first.levels() + 1, lane_bytes).into_iter().enumerate();
    let seat = |(core, lanes)| {
        let tally = Arc::new(SharedCounts::new(&first));
        let config = CoreConfig {
            core,
            lanes,
            map: PartitionMap::spread(1, &[0]),
            sink_owners: vec![count - 1; first.sinks.len()],
            inlet_bytes: INLET_BYTES,
            outlet_bytes,
            local_bytes: lane_bytes,
            keep_letters: true,
            readers: Vec::new(),
            tally: tally.clone(),
        };
        Seat { core: Core::new(plan(), config), tally }
    };
    lanes.map(seat).collect()
}

struct Seat {
    core: Core,
    tally: Arc<SharedCounts>,
}

impl Seat {
    fn turn(&mut self) -> usize {
        self.core.turn(Nanos(2), |_| {})
    }

    fn open(&mut self, bytes: &[u8]) -> ConnectionId {
        let id = self.core.open_inlet(SourceId(0), false);
        self.feed(id, bytes);
        id
    }

    fn feed(&mut self, id: ConnectionId, bytes: &[u8]) {
        self.core.inlet_room(id)[..bytes.len()].copy_from_slice(bytes);
        self.core.inlet_filled(id, bytes.len(), Nanos(1));
    }

    /// What waits at the only sink.
    fn output(&mut self) -> &[u8] {
        self.core.outlet(SinkId(0)).expect("the core owns it").waiting()
    }
}

fn straight(app: &Application) {
    app.source("in", Texts).sink("out", Texts);
}

/// The beginning of a line is no line: only the end of the input could make it one.
#[test]
fn stopping_takes_whole_frames_only() {
    let mut seats = cores(1, 1000, straight);
    let id = seats[0].open(b"whole\npart");
    seats[0].core.stop_sources();
    while seats[0].turn() > 0 {}
    assert_eq!(seats[0].output(), b"whole\n");
    assert_eq!(seats[0].core.take_ended().map(|(ended, _)| ended), Some(id));
    assert!(!seats[0].core.has_letters(), "what was not yet read is not bad");
}

/// A core that sees a frame must not find its sender quiet, or nothing would seem to be in flight.
#[test]
fn a_core_is_not_quiet_when_others_see_its_frames() {
    let mut seats = cores(2, 1000, |app| {
        app.source("in", Texts).key_by(|line| line.text.len() as u64).sink("out", Texts);
    });
    seats[0].turn();
    assert!(seats[0].tally.quiet());
    seats[1].open(b"a\n");
    seats[1].turn();
    let Seat { core, tally } = &mut seats[0];
    let mut woken = 0;
    core.turn(Nanos(4), |to| {
        assert_eq!((to, tally.quiet()), (1, false));
        woken += 1;
    });
    assert_eq!(woken, 1);
}

/// A turn is bounded, however much one input becomes.
#[test]
fn a_turn_ends_however_many_frames_a_core_sends_itself() {
    let mut seats = cores_with(1 << 20, 1, 1 << 20, |app| {
        app.source("in", Texts)
            .key_by(|line| line.text.len() as u64)
            .flat_map(|_, out| (0..5000_u64).for_each(|number| out.emit(number)))
            .key_by(|number| number)
            .map(|number| Line { text: number.to_string() })
            .sink("out", Texts);
    });
    seats[0].open(b"a\n");
    let turns: Vec<usize> = std::iter::repeat_with(|| seats[0].turn()).take(8).collect();
    assert!(turns.iter().all(|work| *work < 2000), "{turns:?}");
    assert_eq!(seats[0].output().iter().filter(|byte| **byte == b'\n').count(), 5000);
}

/// While the outputs of one event wait, no other event begins: of no source.
#[test]
fn generators_wait_for_each_others_outputs() {
    let mut seats = cores(1, 1, |app| {
        straight(app);
        app.generator("lines", |_| |index| Some(Line { text: index.to_string() }));
    });
    let core = &mut seats[0].core;
    for _ in 0..3 {
        let made = core.plan().sources[0].stage.generator("lines", 1).expect("it is registered");
        core.add_generator(SourceId(0), made, 0, &Start::default(), 10);
    }
    seats[0].turn();
    assert_eq!(seats[0].output(), b"0\n");
}

/// The status names what holds a core back: a sink, a connection, or the lane to a core that is
/// held back itself.
#[test]
fn a_core_names_what_holds_it_back() {
    let mut seats = cores(2, 1, |app| {
        app.source("in", Texts).sink("out", Texts);
    });
    let lines: Vec<u8> = (0..50).flat_map(|_| [&[b'x'; 30][..], b"\n"].concat()).collect();
    let id = seats[0].open(&lines);
    let held = |seat: &Seat| seat.tally.gauges.blocked_by().map(|(by, since)| (by, since.0));
    // The other core takes one output and then nothing more; its lane fills.
    for _ in 0..20 {
        let room = seats[0].core.inlet_room(id).len().min(lines.len());
        seats[0].feed(id, &lines[..room]);
        seats.iter_mut().map(Seat::turn).for_each(|_| {});
    }
    seats[0].core.turn(Nanos(20_000_000), |_| {});
    assert_eq!(held(&seats[0]), Some((BlockedBy::Lane { to: 1, level: 0 }, 2)));
    assert!(seats[0].tally.gauges.lanes()[0] > 2000, "{:?}", seats[0].tally.gauges.lanes());
    assert_eq!(held(&seats[1]), Some((BlockedBy::Sink(SinkId(0)), 2)));
    assert_eq!(seats[0].tally.gauges.doing().0, Stage::None, "between two turns");
    // It goes on as soon as there is room.
    for _ in 0..400 {
        let outlet = seats[1].core.outlet(SinkId(0)).expect("the core owns it");
        outlet.written(outlet.waiting().len());
        seats.iter_mut().map(Seat::turn).for_each(|_| {});
    }
    assert_eq!(seats.iter().map(held).collect::<Vec<_>>(), [None, None]);
    assert!(seats[0].tally.gauges.turns.read().count() > 0);
}

#[test]
fn a_core_names_the_connection_that_holds_it_back() {
    let mut seats = cores(1, 1, |app| {
        app.source("in", Texts).reply(Texts);
    });
    let id = seats[0].open(b"a\nb\n");
    (0..3).map(|_| seats[0].turn()).for_each(|_| {});
    let held = seats[0].tally.gauges.blocked_by().map(|(by, _)| by);
    assert_eq!(held, Some(BlockedBy::Connection(id)));
}

/// Places of connections are used again, and at once.
#[test]
fn a_place_is_free_when_inlet_and_replies_are_gone() {
    let mut seats = cores(1, 1000, |app| {
        app.source("in", Texts).reply(Texts);
    });
    let core = &mut seats[0].core;
    let ids: Vec<_> = (0..3).map(|_| core.open_inlet(SourceId(0), false)).collect();
    core.retire_inlet(ids[1]);
    assert_eq!(core.open_inlet(SourceId(0), false).inlet(), 3, "replies may still come");
    core.close_reply(1);
    core.close_reply(1);
    assert_eq!(core.open_inlet(SourceId(0), false).inlet(), 1);
    core.close_reply(2);
    assert_eq!(core.open_inlet(SourceId(0), false).inlet(), 4, "it is still read");
    core.retire_inlet(ids[2]);
    assert_eq!(core.open_inlet(SourceId(0), false).inlet(), 2);
}

/// How long an output may be depends on no number of cores: not on whether it takes a lane.
#[test]
fn a_long_output_is_refused_wherever_its_sink_is() {
    for count in [1, 2] {
        let mut seats = cores(count, 10_000, straight);
        seats[0].open(b"a\nlong\nb\n");
        while seats.iter_mut().map(Seat::turn).sum::<usize>() > 0 {}
        let output = seats[count - 1].output().len();
        let letters = seats[0].core.take_letters().len();
        assert_eq!((output, letters), (4, 1), "on {count} cores");
        assert_eq!(seats[0].core.counts().sources[0].refused, 1);
    }
}

/// An event may be too long before it is known how long it is.
#[test]
fn what_cannot_be_archived_is_counted() {
    let mut seats = cores(1, 1000, |app| {
        app.source("in", Texts).key_by(|line| line.text.len() as u64).sink("out", Texts);
    });
    seats[0].open(b"a\nhuge\nb\n");
    while seats[0].turn() > 0 {}
    assert_eq!(seats[0].output(), b"a\nb\n");
    assert_eq!(seats[0].core.take_letters().len(), 1);
    assert_eq!(seats[0].core.counts().sources[0].refused, 1);
}

/// Positions and lengths of what was refused when `bytes` came at once, and nothing behind them.
fn refused(bytes: &[u8]) -> Vec<(u64, usize)> {
    let mut seats = cores(1, 1000, |app| {
        app.source("in", HundredTexts).sink("out", Texts);
    });
    let id = seats[0].open(bytes);
    while seats[0].turn() > 0 {}
    if seats[0].core.take_ended().is_none() {
        seats[0].core.inlet_end(id);
        while seats[0].turn() > 0 {}
    }
    assert_eq!(seats[0].output().len(), 100);
    let letters = seats[0].core.take_letters();
    letters.iter().map(|letter| (letter.cause.origin.position, letter.bytes.len())).collect()
}

/// A dead letter names the place of its own first byte, whatever was read together with it.
#[test]
fn what_cannot_become_a_frame_is_refused_where_it_begins() {
    let whole = [&[1][..], &[b'x'; 99]].concat();
    let longer_than_the_buffer = [&whole[..], &[21; 50]].concat();
    assert_eq!(refused(&longer_than_the_buffer), [(100, 50)]);
    let cut_off = [&whole[..], &[2; 50]].concat();
    assert_eq!(refused(&cut_off), [(100, 50)]);
    assert_eq!(refused(&whole), []);
}

/// What is made of an input is refused under the position of the input, however far it had come:
/// an output of any kind, and an event on its way to another key.
#[test]
fn a_dead_letter_has_the_position_of_its_input() {
    fn keyed(app: &Application) -> Keyed<Line, u64> {
        app.source("in", Texts).key_by(|line| line.text.len() as u64)
    }
    let long = |line: LineView<'_>| Line {
        text: if line.text == "long" { "x".repeat(2048) } else { line.text.to_owned() },
    };
    let ways: [&dyn Fn(&Application); 5] = [
        &|app| app.source("in", Texts).sink("out", Texts),
        &|app| keyed(app).sink("out", Texts),
        &|app| keyed(app).reply(Texts),
        &|app| keyed(app).key_by(|line| line.text.len() as u64).sink("out", Texts),
        &|app| keyed(app).map(long).key_by(|_| 1u64).map(|_| Line { text: "".into() }).reply(Texts),
    ];
    for (way, describe) in ways.into_iter().enumerate() {
        for count in [1, 2] {
            let mut seats = cores(count, 4000, describe);
            let id = seats[count - 1].open(b"a\nlong\nb\n");
            while seats.iter_mut().map(Seat::turn).sum::<usize>() > 0 {}
            let letters = seats.iter_mut().flat_map(|seat| seat.core.take_letters());
            let origins: Vec<_> = letters.map(|letter| letter.cause.origin).collect();
            let expected = Origin { connection: id.0, position: 2 };
            assert_eq!(origins, [expected], "way {way} on {count} cores");
        }
    }
}

/// A frame of an event that is skipped may have been under way at the last checkpoint.
#[test]
fn what_comes_back_of_a_skipped_event_is_a_dead_letter() {
    let connection = ConnectionId::new(0, 42, 0);
    for (origin, stream, skipped) in [
        (ConnectionId(7), 7, true),
        (ConnectionId(7), 8, false),
        (connection, connection.0, true),
        (connection, connection.0 + 1, false),
    ] {
        let mut seat = cores(1, 1000, |app| {
            app.source("in", Texts).key_by(|line| line.text.len() as u64).sink("out", Texts);
        })
        .remove(0);
        let skips = Skips::new([(SourceId(0), stream, 0)]);
        seat.core.skip(&skips);
        let (section, bytes) = (Section::Lanes(0), stored_frame(origin, "secret"));
        restore(&mut seat.core, &Chunk { section, bytes });
        seat.core.restored();
        while seat.turn() > 0 {}
        let letters = seat.core.take_letters();
        assert_eq!((letters.len(), seat.output().is_empty()), (usize::from(skipped), skipped));
        let fate = if skipped { Fate::Met } else { Fate::Waiting };
        assert_eq!(skips.fates(), [fate]);
    }
}

/// Gives back what the same program has stored.
fn restore(core: &mut Core, chunk: &Chunk) {
    let numbers = Renumbering::same(core.plan());
    core.restore(chunk, &numbers, Nanos(1)).expect("it fits");
}

/// A frame to the first exchange, as it comes back from a checkpoint.
fn stored_frame(origin: ConnectionId, line: &str) -> Vec<u8> {
    let body = value::to_vec(&Line { text: line.to_owned() });
    let length = 40 + body.len() as u32;
    let mut frame = length.to_le_bytes().to_vec();
    frame.extend([0, 1, 0, 0]); // source, flag of an origin, exchange
    frame.extend(Key::hash(&(line.len() as u64)).to_le_bytes());
    frame.extend(0u64.to_le_bytes());
    frame.extend(origin.0.to_le_bytes());
    frame.extend(0u64.to_le_bytes());
    frame.extend(body);
    frame.resize(frame.len().next_multiple_of(8), 0);
    frame
}

/// No connection gets the reply to a request of another connection of an earlier run, though that
/// run had more connections than a run has ids: this run begins with the same id.
#[test]
fn a_request_to_an_earlier_run_is_answered_to_no_connection_of_this_one() {
    let run = |restored: Option<ConnectionId>| {
        let mut seat = cores(1, 1000, |app| {
            app.source("in", Texts).key_by(|line| line.text.len() as u64).reply(Texts);
        })
        .remove(0);
        if let Some(origin) = restored {
            let (section, bytes) = (Section::Lanes(0), stored_frame(origin, "secret"));
            restore(&mut seat.core, &Chunk { section, bytes });
        }
        seat.core.restored();
        seat.core.enable_checkpoints(Epoch::NONE, 2, 1 << 20);
        seat
    };
    let id = run(None).open(b"");
    let mut seat = run(Some(id));
    let own = seat.open(b"mine\n");
    while seat.turn() > 0 {}
    assert_eq!(seat.core.reply(own.inlet()).expect("it is open").waiting(), b"mine\n");
    assert_eq!(seat.tally.read().replies_lost, 1);
}

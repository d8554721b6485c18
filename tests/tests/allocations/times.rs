//! What is due in rows takes and frees no memory once there are as many keys as there will be:
//! windows close, timers fire, rows expire, and events of two streams meet.

use potoroo::prelude::*;

use crate::{Pair, counting};

/// Keys of which each has an event in `KEYS` microseconds.
const KEYS: u64 = 100;

/// Events of each source in a round.
const EVENTS: u64 = 20_000;

/// Rounds until each row, list and buffer has been as long as it will be.
const ROUNDS: u64 = 4;

#[event]
struct Tick {
    key: u64,
    time: i64,
}

struct TickCodec;

impl Decode for TickCodec {
    type Event = Tick;
    type Framing = FixedSize;

    fn framing(&self) -> FixedSize {
        FixedSize::new(16)
    }

    fn decode(&self, payload: &[u8]) -> Result<Tick, Reason> {
        let mut fields = Fields::new(payload);
        Ok(Tick { key: fields.u64_be()?, time: fields.u64_be()? as i64 })
    }
}

impl Encode for TickCodec {
    type Event = Tick;

    fn encode(&self, tick: Tick, out: &mut Vec<u8>) {
        out.put_u64_be(tick.key);
        out.put_u64_be(tick.time as u64);
    }
}

fn ticks(app: &Application) -> [Stream<Tick>; 2] {
    ["left", "right"].map(|name| {
        app.source(name, TickCodec)
            .event_time(|tick| EventTime::from_nanos(tick.time), within(micros(5)))
    })
}

/// Windows of four kinds: each closes many times in a round, most of them of keys without events
/// meanwhile.
fn windows() -> Application {
    let app = Application::new("windows");
    let [left, right] = ticks(&app);
    let ticks = left.merge(&right).key_by(|tick| tick.key);
    let tumbled = app.windows::<u64, Count>("tumbled", tumbling(millis(1))).early(micros(300));
    let slid = app.windows::<u64, Count>("slid", sliding(millis(2), micros(500)));
    let sessions = app.windows::<u64, Count>("sessions", sessions(micros(50)));
    let counted = app.windows::<u64, Count>("counted", counted(7).or_after(micros(450)));
    for (windows, name) in
        [(tumbled, "tumbled"), (slid, "slid"), (sessions, "sessions"), (counted, "counted")]
    {
        ticks.window(&windows, |count, _| count.add(1));
        windows
            .closed(|count, window| Tick {
                key: *window.key() << 32 | count.get(),
                time: window.end().nanos(),
            })
            .sink(name, TickCodec);
    }
    app
}

/// Timers that fire before the next event of their key comes, and rows that expire before that.
fn timers() -> Application {
    let app = Application::new("timers");
    let [left, right] = ticks(&app);
    let ticks = left.merge(&right).key_by(|tick| tick.key);
    let timed = app.table::<u64, u64>("timed").timers();
    ticks.update_row(&timed, |row, _| {
        **row += 1;
        row.set_timer_in(micros(30));
    });
    let expiring = app.table::<u64, u64>("expiring").expire_after(micros(40));
    ticks
        .update_row(&expiring, |row, tick| {
            **row += 1;
            Tick { key: tick.key, time: **row as i64 }
        })
        .sink("expiring", TickCodec);
    timed
        .on_timer(|row| Tick { key: *row.key(), time: row.time().nanos() })
        .sink("timed", TickCodec);
    app
}

type Ticks = Keyed<Tick, u64>;

/// An operator in which events of two streams wait for each other.
fn meeting(of: fn(&Ticks, &Ticks) -> Ticks) -> Application {
    let app = Application::new("meeting");
    let [left, right] = ticks(&app).map(|ticks| ticks.key_by(|tick| tick.key));
    of(&left, &right).sink("met", TickCodec);
    app
}

fn pair(left: Tick, right: Option<Tick>) -> Tick {
    Tick { key: left.key, time: left.time ^ right.map_or(0, |right| right.time) }
}

/// The events of both sources in a round.
fn round(number: u64) -> [Vec<u8>; 2] {
    [0, 7].map(|behind| {
        let frame = |event: u64| {
            let time = (number * EVENTS + event) * 1000 + behind;
            [((event * 7 + behind) % KEYS).to_be_bytes(), time.to_be_bytes()].concat()
        };
        (0..EVENTS).flat_map(frame).collect()
    })
}

#[track_caller]
fn check(describe: fn() -> Application) {
    let mut pair = Pair::new(describe);
    (0..ROUNDS).for_each(|number| pair.run(round(number).each_ref().map(Vec::as_slice)));
    let (last, bytes_out) = (round(ROUNDS), pair.bytes_out);
    let before = counting::calls();
    pair.run(last.each_ref().map(Vec::as_slice));
    let calls = counting::calls() - before;
    let results = (pair.bytes_out - bytes_out) as u64 / 16;
    assert!(results >= EVENTS, "{results} results left");
    assert_eq!(calls, 0, "allocations and frees for {results} results");
}

#[test]
fn nothing_is_allocated_when_windows_close() {
    check(windows);
}

#[test]
fn nothing_is_allocated_when_timers_fire_and_rows_expire() {
    check(timers);
}

/// Some events of each key always wait here.
#[test]
fn nothing_is_allocated_when_events_of_two_streams_meet() {
    check(|| {
        meeting(|left, right| {
            left.join("join", right, Interval::around(micros(150)), |left, right| {
                pair(left, Some(right))
            })
        })
    });
    check(|| meeting(|left, right| left.as_of("as-of", right, pair)));
}

/// Nothing waits between two events of a key: rows come and go.
#[test]
fn nothing_is_allocated_when_rows_of_two_streams_come_and_go() {
    check(|| {
        meeting(|left, right| left.join_left("join", right, Interval::after(micros(20)), pair))
    });
}

#[test]
fn nothing_is_allocated_when_repeats_are_forgotten() {
    check(|| {
        meeting(|left, right| {
            right.map(|tick| tick).sink("right", TickCodec);
            left.first("first", micros(50))
        })
    });
}

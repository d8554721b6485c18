//! Random input of two sources, and what is known of each of its events.

use potoroo_sdk::prelude::*;
use potoroo_sdk::reference::FedConnection;

/// A key, a time and a number that no other event has.
#[event]
pub struct Arrival {
    pub key: u64,
    pub time: EventTime,
    pub number: u64,
    /// 0 for the left one.
    pub side: u64,
}

/// The source of each side.
pub const SIDES: [&str; 2] = ["left", "right"];

/// Events of a source with their times.
fn timed(app: &Application, source: &str, lateness: u64) -> Stream<Arrival> {
    app.source(source, LineText::new())
        .map(|line| {
            let mut numbers = line.split(' ').map(|number| number.parse::<i64>().ok());
            let mut number = || numbers.next().flatten();
            let (key, time, rest) = (number()?, number()?, [number()?, number()?]);
            let (key, time) = (key.unsigned_abs(), EventTime::from_nanos(time));
            let [number, side] = rest.map(i64::unsigned_abs);
            Some(Arrival { key, time, number, side })
        })
        .event_time(|arrival| arrival.time, within(Duration::from_nanos(lateness)))
}

/// The keyed stream of a side with a source of its own.
pub fn side(app: &Application, side: usize, lateness: u64) -> Keyed<Arrival, u64> {
    timed(app, SIDES[side], lateness).key_by(|arrival| arrival.key)
}

/// The keyed streams of both sides.
pub fn sides(app: &Application, shape: Shape) -> [Keyed<Arrival, u64>; 2] {
    if shape.is_shared {
        let both = side(app, 0, shape.lateness[0]);
        return [0, 1].map(|at| both.filter(move |arrival| arrival.side == at));
    }
    [0, 1].map(|at| {
        let side = side(app, at, shape.lateness[at]);
        if shape.is_deep[at] { side.key_by(|arrival| arrival.key) } else { side }
    })
}

/// One event of the input, and what it does to time.
#[derive(Clone, Copy, Debug)]
pub struct Given {
    pub side: usize,
    pub connection: usize,
    pub key: u64,
    pub time: i64,
    pub number: u64,
    /// The own watermark of its connection, after it.
    pub own: i64,
}

impl Given {
    pub fn is_late(&self) -> bool {
        self.time <= self.own
    }
}

/// How input is made.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    pub events: u64,
    pub keys: u64,
    pub connections: u64,
    pub lateness: [u64; 2],
    /// How far times go back and forth around a line that rises by one for each event.
    pub spread: u64,
    /// Both sides are of one source, and of one `key_by`.
    pub is_shared: bool,
    /// A side passes two `key_by`s.
    pub is_deep: [bool; 2],
}

impl Shape {
    /// One connection for each side, in order.
    pub const PLAIN: Self = Self {
        events: 0,
        keys: 1,
        connections: 1,
        lateness: [0, 0],
        spread: 1,
        is_shared: false,
        is_deep: [false; 2],
    };

    pub fn random(random: &mut Random, connections: u64) -> Self {
        let mut lateness = [random.below(12), random.below(12)];
        let is_shared = random.below(4) == 0;
        if is_shared {
            lateness[1] = lateness[0];
        }
        Self {
            events: 40 + random.below(60),
            keys: 1 + random.below(3),
            connections,
            lateness,
            spread: 1 + random.below(20),
            is_shared,
            is_deep: [random.below(4) == 0, random.below(4) == 0],
        }
    }

    /// The side whose source has the events of `side`.
    pub fn source(self, side: usize) -> usize {
        if self.is_shared { 0 } else { side }
    }

    pub fn input(self, random: &mut Random) -> Vec<Given> {
        let mut own = vec![[i64::MIN; 2]; self.connections as usize];
        (0..self.events)
            .map(|number| {
                let side = random.below(2) as usize;
                let connection = random.below(self.connections) as usize;
                let time = number as i64 + random.below(self.spread) as i64;
                let own = &mut own[connection][self.source(side)];
                *own = (*own).max(time - self.lateness[side] as i64 - 1);
                let key = random.below(self.keys);
                Given { side, connection, key, time, number, own: *own }
            })
            .collect()
    }
}

/// An application whose sink `out` has lines, while it gets input.
pub struct Fed {
    pub reference: Reference,
    connections: [Vec<FedConnection>; 2],
    seen: usize,
}

impl Fed {
    pub fn new(app: Application, shape: Shape) -> Self {
        let mut reference = Reference::new(app).expect("it is sound");
        let mut connect = |at| {
            let first = reference.connection(SIDES[at]);
            let others = (1..shape.connections).map(|_| reference.connect(SIDES[at]));
            std::iter::once(first).chain(others).collect::<Vec<_>>()
        };
        let left = connect(0);
        let right = if shape.is_shared { left.clone() } else { connect(1) };
        Self { reference, connections: [left, right], seen: 0 }
    }

    /// Feeds an event, and returns the lines that come out.
    pub fn feed(&mut self, given: &Given) -> Vec<String> {
        let Given { key, time, number, side, .. } = given;
        let line = format!("{key} {time} {number} {side}\n");
        let connection = &self.connections[given.side][given.connection];
        self.reference.feed_to(connection, line.as_bytes());
        self.lines()
    }

    /// Nothing at or before `time` will come on the connections of a side.
    pub fn promise(&mut self, side: usize, time: i64) -> Vec<String> {
        for connection in &self.connections[side] {
            self.reference.promise_of(connection, EventTime::from_nanos(time));
        }
        self.lines()
    }

    /// Ends all connections of a side.
    pub fn end(&mut self, side: usize) -> Vec<String> {
        let connections = &self.connections[side];
        connections.iter().for_each(|connection| self.reference.end_of(connection));
        self.lines()
    }

    /// How many rows a table has.
    pub fn rows(&self, table: &str) -> usize {
        let mut count = 0;
        self.reference.table(table, |_, _| count += 1);
        count
    }

    fn lines(&mut self) -> Vec<String> {
        let lines = self.reference.outputs("out").split_off(self.seen);
        self.seen += lines.len();
        let text = |line| String::from_utf8(line).expect("it is text").trim_end().to_owned();
        lines.into_iter().map(text).collect()
    }
}

/// What was shown of a key.
#[state]
struct Shown {
    lines: u64,
    /// When the timer fired last.
    fired: Option<EventTime>,
}

/// [Prints](print) lines, and checks that their times are after what was said before: a timer that
/// has fired is before them, and after another `key_by` they are not late.
pub fn show(app: &Application, lines: &Keyed<String, u64>) {
    let shown = app.table::<u64, Shown>("shown").timers();
    lines.update_row(&shown, |row, line| {
        row.lines += 1;
        row.set_timer_in(Duration::from_nanos(1));
        assert!(row.fired.is_none_or(|fired| fired < row.time()), "{line} at {}", row.time());
        assert!(!row.is_late());
    });
    print(app, lines);
    let fired = shown.on_timer(|row| {
        row.fired = Some(row.time());
        format!("{} fired", row.lines)
    });
    fired.sink("fired", LineText::new());
    let never = timed(app, "never", 0).key_by(|arrival| arrival.number.to_string());
    // Late ones would be refused.
    lines
        .key_by(|line| line.to_owned())
        .join("again", &never, Interval::after(seconds(1)), |line, _| line.to_owned())
        .sink("again", LineText::new());
}

/// Writes lines with the times that they have as events to the sink `out`.
pub fn print(app: &Application, lines: &Keyed<String, u64>) {
    let printed = app.table::<u64, u64>("printed").expire_after(hours(1));
    let line = lines.update_row(&printed, |row, line| {
        **row += 1;
        format!("{} {line} at {}", row.key(), row.time().nanos())
    });
    line.sink("out", LineText::new());
}

/// Lines of one step: those of a key in order, between keys in the order of the keys.
pub fn by_key(mut lines: Vec<String>) -> Vec<String> {
    lines.sort_by_key(|line| line.split(' ').next().map(str::to_owned));
    lines
}

/// Lines in no order.
pub fn sorted(mut lines: Vec<String>) -> Vec<String> {
    lines.sort();
    lines
}

//! Mistakes that are found before an application runs, and what their messages say.

use potoroo_sdk::prelude::*;

#[event]
struct Tick {
    n: u64,
}

struct Ticks;

impl Decode for Ticks {
    type Event = Tick;
    type Framing = FixedSize;
    fn framing(&self) -> FixedSize {
        FixedSize::new(1)
    }
    fn decode(&self, payload: &[u8]) -> Result<Tick, Reason> {
        Ok(Tick { n: payload.len() as u64 })
    }
}

impl Encode for Ticks {
    type Event = Tick;
    fn encode(&self, _: Tick, out: &mut Vec<u8>) {
        out.push(0);
    }
}

/// Describes an application, which must have a mistake whose message holds these `parts`.
fn check(parts: &[&str], describe: impl FnOnce(&Application)) {
    let app = Application::new("mistaken");
    describe(&app);
    let message = app.plan().err().expect("it is mistaken").to_string();
    for part in parts {
        assert!(message.contains(part), "no `{part}` in: {message}");
    }
}

#[test]
fn a_stream_without_an_end() {
    check(&["`in → filter` go nowhere", "add a sink"], |app| {
        app.source("in", Ticks).filter(|tick| tick.n > 0);
    });
}

#[test]
fn a_part_of_a_stream_without_an_end() {
    check(&["`in → split[1]` go nowhere", "say `filter` to drop events"], |app| {
        let (even, _) = app.source("in", Ticks).split(|tick| tick.n % 2 == 0);
        even.sink("even", Ticks);
    });
    check(&["`in → key_by → route[0]` go nowhere"], |app| {
        let [_, b] = app.source("in", Ticks).key_by(|tick| tick.n).route(|tick| tick.n as usize);
        b.sink("b", Ticks);
    });
}

#[test]
fn an_update_whose_events_have_no_consumer() {
    check(&["update of `t`", "let the handler return `()`"], |app| {
        let table = app.table::<u64, u64>("t");
        app.source("in", Ticks).key_by(|tick| tick.n).update(&table, |_, tick| tick);
    });
}

#[test]
fn one_name_for_two() {
    check(&["two sources are named `in`", "two tables are named `t`"], |app| {
        app.table::<u64, u64>("t");
        app.table::<u64, u64>("t");
        app.source("in", Ticks).sink("out", Ticks);
        app.source("in", Ticks).sink("more", Ticks);
    });
    check(&["two streams end in the sink `out`", "merge"], |app| {
        let stream = app.source("in", Ticks);
        stream.sink("out", Ticks);
        stream.sink("out", Ticks);
    });
}

#[test]
fn names_that_no_command_line_takes() {
    check(&["source name `my in`", "sink name ``"], |app| {
        app.source("my in", Ticks).sink("", Ticks);
    });
    check(&["key_by name `by n`"], |app| {
        app.source("in", Ticks).key_by(|tick| tick.n).named("by n").unkeyed().sink("out", Ticks);
    });
}

#[test]
fn names_of_exchanges_that_do_not_tell_them_apart() {
    check(&["two key_by are named `n`"], |app| {
        let named = app.source("in", Ticks).key_by(|tick| tick.n).named("n");
        named.key_by(|tick| !tick.n).named("n").unkeyed().sink("out", Ticks);
    });
    check(&["a key_by is named `n` and `m`: give it one name"], |app| {
        let named = app.source("in", Ticks).key_by(|tick| tick.n).named("n");
        named.filter(|_| true).named("m").unkeyed().sink("out", Ticks);
    });
}

#[test]
fn more_than_can_be_numbered() {
    check(&["source `s255` is one too many"], |app| {
        (0..256).for_each(|n| app.source(&format!("s{n}"), Ticks).sink(&format!("o{n}"), Ticks));
    });
    check(&["it has 65790 ways", "at most 65534"], |app| {
        let all = (0..255).map(|n| app.source(&format!("s{n}"), Ticks));
        let all = all.reduce(|all, one| all.merge(&one)).expect("there are some");
        (0..258).for_each(|n| all.sink(&format!("o{n}"), Ticks));
    });
}

#[test]
fn parts_of_another_application() {
    let other = Application::new("other");
    let foreign = other.table::<u64, u64>("theirs");
    check(&["`in → key_by` updates a table of another application"], |app| {
        app.source("in", Ticks).key_by(|tick| tick.n).update(&foreign, |_, _| ());
    });
    let stream = other.source("in", Ticks);
    check(&["`in` is merged with a stream of another application"], |app| {
        app.source("in", Ticks).merge(&stream).sink("out", Ticks);
    });
}

//! Builds the application of a topology and notes what is determined of it.
//!
//! ```text
//!   source ──┐                        ┌──► side sink
//!   source ──┴ merge ── stage ── stage ┴── fork ┬── stage ──┬ merge ── … ──► sink, reply, table
//!                                        or part└── stage ──┘
//! ```

use potoroo_sdk::prelude::*;

use super::handlers::{LATENESS, Memory, copied, copies, kept, marked, time, way};
use super::promise::{Determined, Grain, SinkPromise};
use super::shape::{Kind, Topology};
use crate::items::{Facts, Frames, Lines, Trial};
use crate::seeds::{Concern, mix, random};

/// A stream with or without a key.
enum Form<E: Trial> {
    Free(Stream<E>),
    Whole(Keyed<E, ()>),
    Keyed(Keyed<E, u32>),
}

/// A stream and what is known of its order.
struct Flow<E: Trial> {
    form: Form<E>,
    /// The groups within which order is kept, the coarsest that is true.
    grain: Grain,
    /// Order is kept for each origin and branch within a group.
    ordered: bool,
    /// Order is the only possible one, so handlers may show it.
    exact: bool,
    /// Each item has a time.
    timed: bool,
}

/// Does the same to a stream whatever its form.
macro_rules! any_form {
    ($form:expr, $stream:ident => $made:expr) => {
        match $form {
            Form::Free($stream) => Form::Free($made),
            Form::Whole($stream) => Form::Whole($made),
            Form::Keyed($stream) => Form::Keyed($made),
        }
    };
}

/// The streams into which one is parted, in the form that it has.
macro_rules! parts {
    ($form:expr, $stream:ident => $made:expr) => {
        match $form {
            Form::Free($stream) => Vec::from($made.map(Form::Free)),
            Form::Whole($stream) => Vec::from($made.map(Form::Whole)),
            Form::Keyed($stream) => Vec::from($made.map(Form::Keyed)),
        }
    };
}

struct Builder<'a> {
    topology: &'a Topology,
    app: Application,
    random: Random,
    tables: u32,
    sinks: Vec<SinkPromise>,
    replies: bool,
}

pub(super) fn build<E: Trial>(topology: &Topology) -> (Application, Vec<SinkPromise>) {
    let mut builder = Builder {
        topology,
        app: Application::new("random"),
        random: random(topology.seed, Concern::Topology),
        tables: 0,
        sinks: Vec::new(),
        replies: false,
    };
    let mut flow = builder.sources::<E>();
    for kind in &topology.kinds {
        flow = builder.stage(*kind, flow);
        if topology.fancy {
            flow = builder.decorate(flow);
        }
    }
    builder.finish(flow);
    (builder.app, builder.sinks)
}

impl Builder<'_> {
    fn below(&mut self, limit: u64) -> u64 {
        self.random.below(limit)
    }

    /// The sources, each with a table of its own or all sharing one, in one stream.
    fn sources<E: Trial>(&mut self) -> Flow<E> {
        let shared = self.app.table::<u32, Memory>("shared");
        let (mut merged, mut all_timed): (Option<Stream<E>>, bool) = (None, true);
        for number in 0..self.topology.sources {
            let source = self.app.source(&format!("s{number}"), Frames::<E>::new());
            if self.topology.fancy && self.random.chance(0.5) {
                source.key_by(|item| E::facts(item).key).update(&shared, |memory, item| {
                    memory.add(E::facts(item));
                });
            }
            let mark = mix(self.topology.seed, u64::from(number));
            let timed = self.topology.fancy && mark.is_multiple_of(2);
            all_timed &= timed;
            let source = if timed { with_late_marked(&source, mark) } else { source };
            merged = Some(match merged {
                None => source,
                Some(before) => before.merge(&source),
            });
        }
        Flow {
            form: Form::Free(merged.expect("there is a source")),
            grain: Grain::Whole,
            ordered: true,
            exact: self.topology.one_connection,
            timed: all_timed,
        }
    }

    fn stage<E: Trial>(&mut self, kind: Kind, flow: Flow<E>) -> Flow<E> {
        match kind {
            Kind::Stateless => self.stateless(flow),
            Kind::Stateful => self.stateful(flow),
            Kind::KeyStateless => {
                let keyed = self.key(flow);
                self.stateless(keyed)
            }
            Kind::KeyStateful => {
                let keyed = self.key(flow);
                self.stateful(keyed)
            }
        }
    }

    /// Groups by a key that is drawn; a coarser one than before mixes what comes from different
    /// places.
    fn key<E: Trial>(&mut self, flow: Flow<E>) -> Flow<E> {
        let grain = [Grain::Fine, Grain::Fine, Grain::Coarse, Grain::Whole][self.below(4) as usize];
        key_by(flow, grain)
    }

    fn stateless<E: Trial>(&mut self, flow: Flow<E>) -> Flow<E> {
        let mark = self.random.u64();
        let form = match self.below(6) {
            0 => any_form!(&flow.form, s => s.map(move |e| E::make(marked(E::facts(e), mark)))),
            1 => any_form!(&flow.form, s => s.filter(move |e| kept(E::facts(e), mark))),
            2 => any_form!(&flow.form, s => s.map(move |e| {
                let facts = E::facts(e);
                kept(facts, mark).then(|| E::make(marked(facts, mark)))
            })),
            3 => any_form!(&flow.form, s => s.map(move |e| {
                [0, 1].map(|copy| E::make(copied(E::facts(e), mark, copy)))
            })),
            4 => any_form!(&flow.form, s => s.flat_map(move |e, out| {
                let facts = E::facts(e);
                (0..copies(facts, mark)).for_each(|copy| {
                    out.emit(E::make(copied(facts, mark, copy)));
                });
            })),
            _ if flow.grain == Grain::Whole => any_form!(&flow.form, s => s.map(move |e| {
                E::make(rekeyed(marked(E::facts(e), mark)))
            })),
            _ => return self.stateless(flow),
        };
        Flow { form, ..flow }
    }

    fn stateful<E: Trial>(&mut self, flow: Flow<E>) -> Flow<E> {
        let number = self.tables;
        self.tables += 1;
        let name = format!("t{number}");
        let flow = match flow.form {
            Form::Free(_) => key_by(flow, Grain::Whole),
            _ => flow,
        };
        let (mark, exact) = (self.random.u64(), flow.exact);
        let shape = self.below(3);
        let form = match &flow.form {
            Form::Free(_) => unreachable!("it has a key now"),
            Form::Whole(stream) => {
                Form::Whole(update(stream, &self.app.table(&name), exact, shape, mark))
            }
            Form::Keyed(stream) => {
                Form::Keyed(update(stream, &self.app.table(&name), exact, shape, mark))
            }
        };
        Flow { form, ..flow }
    }

    /// Perhaps a second consumer, perhaps a fork or a parting.
    fn decorate<E: Trial>(&mut self, flow: Flow<E>) -> Flow<E> {
        match self.below(5) {
            0 => {
                self.sink(&flow);
                flow
            }
            1 => self.fork(flow),
            2 if !self.replies => {
                self.replies = true;
                self.promise("reply".to_owned(), &flow);
                match &flow.form {
                    Form::Free(stream) => stream.reply(Lines::new()),
                    Form::Whole(stream) => stream.reply(Lines::new()),
                    Form::Keyed(stream) => stream.reply(Lines::new()),
                }
                flow
            }
            3 => self.part(flow),
            4 if flow.timed => self.mark_late(flow),
            _ => flow,
        }
    }

    /// The late items are marked, wherever they are by now.
    fn mark_late<E: Trial>(&mut self, flow: Flow<E>) -> Flow<E> {
        let mark = self.random.u64();
        let mut parts = parts!(&flow.form, s => <[_; 2]>::from(s.split_late())).into_iter();
        let on_time = free(parts.next().expect("there are two"));
        let late = free(parts.next().expect("there are two"));
        let late = late.map(move |item| E::make(marked(E::facts(item), mark)));
        Flow { form: Form::Free(on_time.merge(&late)), ..flow }
    }

    /// Two or three ways, of which each item takes one, that meet again. As long as they stay in
    /// one stage, no item overtakes another.
    fn part<E: Trial>(&mut self, flow: Flow<E>) -> Flow<E> {
        let mark = self.random.u64();
        let forms = match self.random.chance(0.5) {
            true => parts!(&flow.form, s => <[_; 2]>::from(s.split(move |e| {
                way(E::facts(e), mark, 1) == 0
            }))),
            false => parts!(&flow.form, s => s.route::<3, _>(move |e| way(E::facts(e), mark, 3))),
        };
        let near = self.random.chance(0.5);
        let mut parted = (0..).zip(forms).map(|(branch, form)| match near {
            true => Flow { form, ..flow },
            false => Flow { form: branched(&form, 2, branch), ..flow },
        });
        let first = parted.next().expect("there are two ways at least");
        let mut met = self.stateless(first);
        for part in parted {
            let kind = if near { Kind::Stateless } else { Kind::ALL[self.below(4) as usize] };
            let part = self.stage(kind, part);
            met = meet(met, part);
        }
        Flow { exact: flow.exact && near, ..met }
    }

    /// Two ways that meet again.
    fn fork<E: Trial>(&mut self, flow: Flow<E>) -> Flow<E> {
        let fork = |bit: u32| Flow { form: branched(&flow.form, 1, bit), ..flow };
        let (left, right) = (fork(0), fork(1));
        let kind = Kind::ALL[self.below(4) as usize];
        let right = self.stage(kind, right);
        let left = if self.random.chance(0.5) { self.stage(Kind::Stateless, left) } else { left };
        meet(left, right)
    }

    fn promise<E: Trial>(&mut self, name: String, flow: &Flow<E>) {
        let determined = match flow.ordered {
            true => Determined::Order(flow.grain),
            false => Determined::Items,
        };
        self.sinks.push(SinkPromise { name, determined });
    }

    fn sink<E: Trial>(&mut self, flow: &Flow<E>) {
        let name = format!("out{}", self.sinks.len());
        match &flow.form {
            Form::Free(stream) => stream.sink(&name, Lines::new()),
            Form::Whole(stream) => stream.sink(&name, Lines::new()),
            Form::Keyed(stream) => stream.sink(&name, Lines::new()),
        }
        self.promise(name, flow);
    }

    /// The end: a sink, and perhaps a table that nothing leaves.
    fn finish<E: Trial>(&mut self, flow: Flow<E>) {
        self.sink(&flow);
        if self.topology.fancy && self.random.chance(0.5) {
            let end = self.app.table::<u32, Memory>("end");
            let keyed = free(flow.form).key_by(|item| E::facts(item).key);
            keyed.update(&end, |memory, item| memory.add(E::facts(item)));
        }
    }
}

fn free<E: Trial>(form: Form<E>) -> Stream<E> {
    match form {
        Form::Free(stream) => stream,
        Form::Whole(stream) => stream.unkeyed(),
        Form::Keyed(stream) => stream.unkeyed(),
    }
}

/// The same items with a time, where the late ones are marked; those that never happened are
/// refused.
fn with_late_marked<E: Trial>(stream: &Stream<E>, mark: u64) -> Stream<E> {
    let timed = stream.event_time(move |item| time(E::facts(item), mark), LATENESS);
    let (on_time, late) = timed.split_late();
    on_time.merge(&late.map(move |item| E::make(marked(E::facts(item), mark))))
}

/// The same items, each with the number of its branch in `bits` further bits.
fn branched<E: Trial>(form: &Form<E>, bits: u32, branch: u32) -> Form<E> {
    any_form!(form, s => s.map(move |e| {
        let facts = E::facts(e);
        E::make(Facts { branch: facts.branch << bits | branch, ..facts })
    }))
}

/// Two ways in one stream. How they mix is not determined.
fn meet<E: Trial>(left: Flow<E>, right: Flow<E>) -> Flow<E> {
    let grain = left.grain.max(right.grain);
    let ordered = left.ordered && right.ordered;
    let form = Form::Free(free(left.form).merge(&free(right.form)));
    Flow { form, grain, ordered, exact: false, timed: left.timed && right.timed }
}

/// The item with another key: only where all are in one place, so that order stays what it was.
fn rekeyed(facts: Facts<'_>) -> Facts<'_> {
    Facts { key: (facts.key + 7) * 3 % 64, ..facts }
}

/// Groups by `grain`. Order survives when each new group comes from one old group.
fn key_by<E: Trial>(flow: Flow<E>, grain: Grain) -> Flow<E> {
    let kept = grain >= flow.grain;
    let stream = free(flow.form);
    let form = match grain {
        Grain::Whole => Form::Whole(stream.collect()),
        _ => Form::Keyed(stream.key_by(move |item| grain.group(E::facts(item).key))),
    };
    let (ordered, exact, timed) = (flow.ordered && kept, flow.exact && kept, flow.timed);
    Flow { form, grain, ordered, exact, timed }
}

/// An update of `table` in one of three shapes. `exact` handlers let the order show.
fn update<E: Trial, K: Key>(
    stream: &Keyed<E, K>,
    table: &Table<K, Memory>,
    exact: bool,
    shape: u64,
    mark: u64,
) -> Keyed<E, K> {
    let step = move |memory: &mut Memory, facts: Facts<'_>| {
        if exact {
            return mark ^ memory.follow(facts);
        }
        memory.add(facts);
        mark
    };
    match shape {
        0 => stream.update(table, move |memory, item| {
            let facts = E::facts(item);
            let mark = step(memory, facts);
            E::make(marked(facts, mark))
        }),
        1 => stream.update(table, move |memory, item| {
            let facts = E::facts(item);
            let mark = step(memory, facts);
            kept(facts, mark).then(|| E::make(marked(facts, mark)))
        }),
        _ => stream.update_with(table, move |memory, item, out| {
            let facts = E::facts(item);
            let mark = step(memory, facts);
            (0..copies(facts, mark)).for_each(|copy| out.emit(E::make(copied(facts, mark, copy))));
            // Only where the order is determined it is also determined what is removed.
            if exact && memory.count() == 5 {
                memory.remove();
            }
        }),
    }
}

//! Applications: what is done with the events, by time and without it.

use std::sync::Arc;

use potoroo::prelude::*;
use potoroo::sdk::windows::WindowKind;

use super::expected::{JOIN_NS, is_left, pair};
use super::input::{Input, InputControl, is_audit, is_mark, time};
use crate::engine::load::{Item, ItemCodec, Tally};

/// Describes what a contender does.
pub type DescribeTimed = fn(Input, &Arc<InputControl>) -> Application;

/// A table without time.
pub fn update(input: Input, control: &Arc<InputControl>) -> Application {
    let app = Application::new("update");
    control.generator(&app, input);
    let (tallies, control) = (app.table::<u64, Tally>("tallies"), Arc::clone(control));
    app.source("load", ItemCodec).key_by(|item| item.key).update(&tallies, move |tally, item| {
        if !is_mark(&item) {
            tally.update(item.value, item.intended_ns);
        } else if is_audit(&item) {
            control.add(tally.checksum(item.key));
        }
    });
    app
}

/// Windows of one second.
pub fn tumbling_second(input: Input, control: &Arc<InputControl>) -> Application {
    windows(input, control, tumbling(seconds(1)))
}

/// Windows of a minute, one per second.
pub fn sliding_minute(input: Input, control: &Arc<InputControl>) -> Application {
    windows(input, control, sliding(minutes(1), seconds(1)))
}

fn windows(input: Input, control: &Arc<InputControl>, kind: impl WindowKind<Tally>) -> Application {
    let app = Application::new("windows");
    control.generator(&app, input);
    let windows = app.windows::<u64, Tally>("tallies", kind);
    timed(&app).window(&windows, |tally, item| {
        if !is_mark(&item) {
            tally.update(item.value, item.intended_ns);
        }
    });
    windows.closed(|tally, window| tally.checksum(*window.key())).sink("out", ChecksumCodec);
    app
}

/// Orders with the last quote of their key that came before, in a table without time.
pub fn quote_in_table(input: Input, control: &Arc<InputControl>) -> Application {
    let app = Application::new("quote-in-table");
    control.generator(&app, input);
    let tallies = app.table::<u64, Tally>("quotes");
    let (orders, quotes) = app.source("load", ItemCodec).split(|item| is_left(&item));
    let (orders, quotes) = (orders.key_by(|order| order.key), quotes.key_by(|quote| quote.key));
    quotes.update(&tallies, |tally, quote| tally.update(quote.value, quote.intended_ns));
    orders.update(&tallies, |tally, order| pair(&order, tally.last)).sink("out", ChecksumCodec);
    app
}

/// Orders with the quote of their key that prevailed at their time.
pub fn quote_as_of(input: Input, control: &Arc<InputControl>) -> Application {
    let app = Application::new("quote-as-of");
    control.generator(&app, input);
    let [orders, quotes] = sides(&app);
    let priced = orders
        .as_of("prevailing", &quotes, |order, quote| pair(&order, quote.map_or(0, |it| it.value)));
    priced.sink("out", ChecksumCodec);
    app
}

/// Pairs of events of a key that are near each other, which add up where they are found.
pub fn join_near(input: Input, control: &Arc<InputControl>) -> Application {
    let app = Application::new("join");
    control.generator(&app, input);
    let ([left, right], control) = (sides(&app), Arc::clone(control));
    let near = Interval::around(Duration::from_nanos(JOIN_NS));
    let pairs = left.join("near", &right, near, move |left, right| {
        if !is_mark(&right) {
            control.add(pair(&left, right.value));
        }
        None::<u64>
    });
    pairs.sink("out", ChecksumCodec);
    app
}

/// The events with their times, by key.
fn timed(app: &Application) -> Keyed<Item, u64> {
    let items = app.source("load", ItemCodec);
    items.event_time(|item| time(&item), IN_ORDER).key_by(|item| item.key)
}

/// Both halves of them.
fn sides(app: &Application) -> [Keyed<Item, u64>; 2] {
    let items = app.source("load", ItemCodec).event_time(|item| time(&item), IN_ORDER);
    let (left, right) = items.split(|item| is_left(&item));
    [left.key_by(|item| item.key), right.key_by(|item| item.key)]
}

/// Each output is a checksum of 8 bytes.
pub struct ChecksumCodec;

impl Encode for ChecksumCodec {
    type Event = u64;

    #[inline]
    fn encode(&self, checksum: u64, out: &mut Vec<u8>) {
        out.put_u64_le(checksum);
    }
}

impl Merge for Tally {
    fn merge(&mut self, later: &Self) {
        self.count += later.count;
        self.sum = self.sum.wrapping_add(later.sum);
        self.last = later.last;
        self.highest = self.highest.max(later.highest);
        self.seen_ns = later.seen_ns;
        self.mixed ^= later.mixed;
    }
}

//! Applications: what is done with the events, by time and without it.

use std::sync::Arc;

use potoroo::prelude::*;
use potoroo::sdk::windows::WindowKind;

use super::input::{Input, InputControl, is_audit, is_mark, time};
use crate::engine::load::{Item, ItemCodec, Tally};

/// Describes what a contender does.
pub type Describe = fn(Input, &Arc<InputControl>) -> Application;

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

/// The events with their times, by key.
fn timed(app: &Application) -> Keyed<Item, u64> {
    let items = app.source("load", ItemCodec);
    items.event_time(|item| time(&item), IN_ORDER).key_by(|item| item.key)
}

/// Each output is a checksum of 8 bytes.
struct ChecksumCodec;

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

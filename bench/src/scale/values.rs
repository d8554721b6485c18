//! Events that carry a value of 16 bytes to 4 KiB, and states that keep the latest one.

use std::sync::Arc;

use anyhow::{Result, bail};
use potoroo::prelude::*;
use potoroo::sdk::codec::FixedSize;

use super::axis::Point;
use crate::engine::load::{Item, checksum};
use crate::engine::ours::{Shared, in_place};
use crate::engine::{Job, Outcome};

/// Bytes of a value.
pub const POINTS: [Point; 5] =
    [("16", 16), ("64", 64), ("256", 256), ("1024", 1_024), ("4096", 4_096)];

/// Keyed values in place on one core.
///
/// # Errors
/// The engine cannot start, or there is no value of that size.
pub fn run(job: &Job, bytes: u64) -> Result<Outcome> {
    // Few enough that the largest values still lie in a cache.
    let job = Job { keys: job.keys.min(1_000), ..*job };
    match bytes {
        16 => in_place(&job, words2::application),
        64 => in_place(&job, words8::application),
        256 => in_place(&job, words32::application),
        1_024 => in_place(&job, words128::application),
        4_096 => in_place(&job, words512::application),
        _ => bail!("no event carries {bytes} bytes"),
    }
}

/// An event, its state and its application for each size: a frame has one fixed shape, so that
/// events cannot be generic. Values are arrays of arrays, because longer arrays have no default.
macro_rules! sized {
    ($module:ident, $value:ty) => {
        mod $module {
            use super::*;

            #[event]
            pub struct Valued {
                key: u64,
                number: u64,
                mark: u64,
                value: $value,
            }

            #[state]
            struct Kept {
                count: u64,
                sum: u64,
                value: $value,
            }

            impl From<Item> for Valued {
                fn from(item: Item) -> Self {
                    let Item { key, value: number, rest: [mark, ..], .. } = item;
                    let mut value = <$value>::default();
                    value.as_flattened_mut().fill(number);
                    Self { key, number, mark, value }
                }
            }

            impl Kept {
                fn follow(&mut self, event: Valued) {
                    self.count += 1;
                    self.sum = self.sum.wrapping_add(event.number);
                    self.value = event.value;
                }

                /// A value that is not whole spoils the sum.
                fn checksum(&self, key: u64) -> u64 {
                    let words = self.value.as_flattened();
                    let whole = words.iter().all(|word| *word == words[0]);
                    checksum(key, self.count, self.sum).wrapping_add(u64::from(!whole))
                }
            }

            /// The engine asks every source for a codec; a generator makes no use of it.
            struct Codec;

            impl Decode for Codec {
                type Event = Valued;
                type Framing = FixedSize;

                fn framing(&self) -> FixedSize {
                    FixedSize::new(size_of::<Valued>())
                }

                fn decode(&self, _: &[u8]) -> Result<Valued, Reason> {
                    Err(Reason::new("only generated events are counted"))
                }
            }

            pub fn application(keys: u64, shared: &Arc<Shared>) -> Application {
                let app = Application::new("keyed-values");
                let table = app.table::<u64, Kept>("values");
                shared.generator::<Valued>(&app, "load", keys);
                let shared = Arc::clone(shared);
                app.source("load", Codec).key_by(|event| event.key).update(
                    &table,
                    move |kept, event| {
                        if !Shared::is_mark(event.mark) {
                            kept.follow(event);
                        } else {
                            shared.mark(0, event.mark, kept.checksum(event.key));
                        }
                    },
                );
                app
            }
        }
    };
}

sized!(words2, [[u64; 2]; 1]);
sized!(words8, [[u64; 8]; 1]);
sized!(words32, [[u64; 32]; 1]);
sized!(words128, [[u64; 32]; 4]);
sized!(words512, [[u64; 32]; 16]);

//! Windows: the events of a key, by stretches of their time.
//!
//! Owns the kinds of windows, the row that a key has of those that are open, and the rules by which
//! events get into them and by which they close. A window is a part of its key's row, so that an
//! event looks up one row, and its windows move and are stored with it.
//!
//! Promises: what has closed never changes and never closes again; an event on time finds every
//! window open that it belongs to; a window without events does not exist.
//! Must never do: ask a clock, or depend on when a watermark arrives.
//!
//! ```text
//!   tumbling   ├──────┼──────┼──────┤      [start, start + size), one after the other
//!   sliding    ├──────┤                    the same, begun once per `slide`
//!                 ├──────┤
//!   sessions   ├───┤     ├──────┤          [first event, last event + gap)
//!   counted    ├─n─┤├──n──┤                `count` events, in the order in which they come
//! ```

mod kind;
mod late;
mod seen;

mod pane;
mod rule;

mod opened;
mod settling;

mod shared;

mod declared;

pub use declared::Windows;
pub use kind::{Counted, Sessions, Sliding, Tumbling, WindowKind};
pub use kind::{counted, sessions, sliding, tumbling};
pub use late::Late;
pub(crate) use pane::OpenWindows;
pub use seen::{Firing, Window};
pub(crate) use settling::DueStep;
pub use shared::HasWindows;
pub(crate) use shared::{WindowStage, WindowsRef};

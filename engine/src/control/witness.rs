//! What a core prints when the application panics on it: the event under way, and how to go on
//! without it.
//!
//! Where panics abort, as in the release profile, the panic hook is the last code that runs. So
//! each core's thread keeps a witness that the hook finds; what the witness needs of the event
//! under way are addresses that the stages note, with one store for each event: see
//! [`UnderWay`](potoroo_sdk::host::UnderWay).
#![allow(unsafe_code)]

use std::cell::RefCell;
use std::fmt::Debug;
use std::panic;
use std::ptr::NonNull;
use std::rc::Rc;
use std::sync::{Arc, Once};

use potoroo_sdk::host::{Cause, Noted, SourceId, UnderWay};
use potoroo_sdk::plan::Plan;

use super::config::{Config, Skip};
use super::console;
use crate::connect::promise::Replayable;
use crate::flow::{ConnectionId, Gauges, Stage, replayed_origin};

thread_local! {
    static WITNESS: RefCell<Option<Witness>> = const { RefCell::new(None) };
}

/// Has each panic of a core print its witness, after what any other hook prints.
pub(super) fn install() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            // Of another thread, or of one that is ending, there is nothing to add.
            let key = WITNESS.try_with(|witness| {
                witness.try_borrow().ok().and_then(|witness| witness.as_ref()?.print_event())
            });
            // It may end the process.
            before(info);
            // Last: a key whose formatting panics ends the process at once.
            if let Ok(Some(key)) = key {
                print_key(key);
            }
        }));
    });
}

/// What the hook knows of one core.
pub(super) struct Witness {
    core: usize,
    under_way: Rc<UnderWay>,
    gauges: Arc<Gauges>,
    sources: Vec<(String, Replayable)>,
    /// By source: what stands for it in origins.
    origins: Vec<u64>,
    /// Labels of the exchanges.
    exchanges: Vec<String>,
    /// Checkpoints are taken, which hold events that are under way.
    checkpoints: bool,
}

impl Witness {
    /// The witness of `core`, from its own thread.
    pub(super) fn new(
        core: usize,
        (plan, config): (&Plan, &Config),
        under_way: Rc<UnderWay>,
        gauges: Arc<Gauges>,
    ) -> Self {
        let sources = plan.sources.iter().map(|source| {
            let address = config.sources.get(&source.name);
            let replay = address.map_or(Replayable::Never, |address| address.connector().replay());
            (source.name.clone(), replay)
        });
        let sources = sources.collect();
        let exchanges = plan.exchanges.iter().map(|exchange| exchange.label.clone()).collect();
        let origins = plan.sources.iter().map(|source| replayed_origin(source.origin)).collect();
        let checkpoints = config.state.is_some();
        Self { core, under_way, gauges, sources, origins, exchanges, checkpoints }
    }

    /// From now on the hook finds it on this thread, in the place of that of a core before.
    pub(super) fn testify(self) {
        WITNESS.set(Some(self));
    }

    /// Prints where the event under way came from and what to do. Returns its key, if any event is
    /// under way.
    fn print_event(&self) -> Option<Key> {
        let Noted { cause, key, splits } = self.under_way.take();
        // SAFETY: the stage noted where the cause lies; it runs on this thread, which is in the
        // hook before its stack unwinds, and the core ends the note when a stage returns.
        let cause = cause.map(|cause| unsafe { *cause.as_ref() })?;
        console::error(format_args!("error: core {} panicked {}", self.core, self.place(&cause)));
        console::error(if splits { self.unsplit(&cause) } else { self.remedy(&cause) });
        Some(key)
    }

    /// Where the event came from, and how far it had come.
    fn place(&self, cause: &Cause) -> String {
        let (name, replay) = self.source(cause.source);
        let (connection, position) = (cause.origin.connection, cause.origin.position);
        let place = match replay {
            _ if connection == 0 => "a position that an older version did not store".to_string(),
            _ if is_gone(cause) => format!("position {position} of connection {connection:x}"),
            Replayable::Bytes => format!("byte {position} of its file"),
            Replayable::Events => format!("index {position} of its generator"),
            Replayable::Streams => format!("byte {position} of stream {connection:x}"),
            Replayable::Never => format!("position {position}"),
        };
        let stage = match self.gauges.doing().0 {
            Stage::Exchange(exchange) => &*self.exchanges[usize::from(exchange)],
            Stage::Source(_) => "its codec or generator, or a handler that follows on this core",
            Stage::None => "what comes before the first turn",
        };
        format!("on the event that came from source `{name}` at {place}, in: {stage}")
    }

    /// What the operator can do.
    fn remedy(&self, cause: &Cause) -> String {
        let (name, replay) = self.source(cause.source);
        let (connection, position) = (cause.origin.connection, cause.origin.position);
        if connection == 0 {
            return "it came back from the checkpoint of an older version and comes again at the \
                    next start, and no flag skips it: go back to a checkpoint before it with \
                    `--restore EPOCH`"
                .to_string();
        }
        let plain = matches!(replay, Replayable::Bytes | Replayable::Events)
            && connection == self.origins[usize::from(cause.source.0)];
        let stream = (!plain).then_some(connection);
        let skip = Skip { source: name.clone(), stream, position };
        match (is_gone(cause), self.checkpoints) {
            (true, false) => GONE.to_string(),
            (true, true) => format!(
                "{GONE}, unless a checkpoint holds it: if it comes again, start once with `--skip \
                 {skip}`: it becomes a dead letter"
            ),
            (false, _) => format!(
                "it comes again at the next start; to go on without it, start once with `--skip \
                 {skip}`: it becomes a dead letter"
            ),
        }
    }

    /// What the operator can do about input that cannot be split into frames.
    fn unsplit(&self, cause: &Cause) -> String {
        match is_gone(cause) {
            true => GONE.to_string(),
            false => "it comes again at the next start, and no flag skips it: `Framing::split` \
                      panicked, so the start of the next event is unknown; mend that function, \
                      or the input"
                .to_string(),
        }
    }

    fn source(&self, source: SourceId) -> &(String, Replayable) {
        &self.sources[usize::from(source.0)]
    }
}

/// Where the key of the event under way lies, once it has one.
type Key = Option<NonNull<dyn Debug>>;

/// Prints the key of the event under way: within the hook, as the event before.
fn print_key(key: Key) {
    // SAFETY: the stage noted where the key lies while it passes it by reference; it runs on this
    // thread, which is in the hook before its stack unwinds.
    let key = key.map(|key| format!("{:?}", unsafe { key.as_ref() }));
    let key = key.map(|key| key.chars().take(KEY_CHARS_MAX).collect::<String>());
    console::error(match key {
        Some(key) => format!("the key of the event under way: {key}"),
        None => "the event under way had no key yet".to_string(),
    });
}

/// Whether the event came over a connection, pipe or channel, which ends with the process.
fn is_gone(cause: &Cause) -> bool {
    ConnectionId(cause.origin.connection).core().is_some()
}

/// What becomes of an event whose connection ends with the process.
const GONE: &str = "that event is gone with this process, and nothing sends it again: a new start \
                    goes on without it";

/// Characters of a key that are printed.
const KEY_CHARS_MAX: usize = 256;

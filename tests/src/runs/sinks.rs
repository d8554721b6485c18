//! The sinks of a run at its beginning.

use std::path::PathBuf;
use std::sync::Arc;

use potoroo::checkpoint::store::{Head, Store};
use potoroo::checkpoint::{Manifest, Marks};
use potoroo::connect::file::Target;
use potoroo::connect::gather::Gatherer;
use potoroo::connect::potoroo::deliver::Delivery;
use potoroo::connect::potoroo::hold::Hold;
use potoroo::connect::resume::Resume;
use potoroo::connect::visible::Visible;
use potoroo::turn::Mailbox;
use potoroo_sdk::host::SinkId;
use potoroo_sdk::plan::Plan;

use super::process::Process;
use super::stop::Stop;
use super::world::World;

/// More than waits for a receiver of the tests.
const BACKLOG_BYTES_MAX: u64 = 1 << 30;

/// Where committed output becomes visible, and what of that brings it to clients.
pub(super) type Opened = (Vec<Box<dyn Visible>>, Vec<Arc<Delivery>>);

/// Brings the files of sinks to where `manifest` says, and keeps what is to be delivered; new
/// output is gathered.
pub(super) fn open_sinks(
    process: &mut Process,
    plan: &Plan,
    world: &World,
    (head, manifest): (&Head, Option<&Manifest>),
    store: &Arc<dyn Store>,
    cores: &[Mailbox],
) -> Result<Opened, Stop> {
    let marks = Marks::read(&**store).map_err(|error| Stop::Wrong(error.to_string()))?;
    let resume = &Resume { head, manifest, positions: &[], store, marks: &marks };
    let (mut visible, mut deliveries): Opened = Default::default();
    for (index, sink) in plan.sinks.iter().enumerate() {
        let Some(name) = &sink.name else { continue };
        let (sink, store) = (SinkId(index as u16), resume.store.clone());
        let (mut file, mut offset) = (None, 0);
        if world.receivers.contains_key(name) {
            let hold = Arc::new(Hold::new(sink, name, store.clone(), cores.to_vec()));
            let delivery = Arc::new(Delivery::open(name, resume, hold, BACKLOG_BYTES_MAX));
            visible.push(Box::new(delivery.clone()));
            deliveries.push(delivery);
        } else {
            let (disk, path) = (Arc::new(world.disk.clone()), PathBuf::from(name));
            let target = Target::on(disk, name, path, store.clone());
            let (checkpoint, committed) = (resume.manifest.is_some(), resume.transactions());
            offset = target.recover(checkpoint, committed, resume.marks, false)?;
            target.drop_spools()?;
            if !checkpoint {
                target.clear()?;
            }
            check(world, name, true)?;
            file = Some(target.file_name());
            visible.push(Box::new(target));
        }
        process.gather_sink(sink, Gatherer::new(store, name, file, offset));
    }
    Ok((visible, deliveries))
}

/// Whether readers of a sink see what they may see.
pub(super) fn check(world: &World, sink: &str, all: bool) -> Result<(), Stop> {
    world.readers.check(sink, &world.output(sink), all).map_err(Stop::Wrong)
}

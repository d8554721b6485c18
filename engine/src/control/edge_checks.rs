//! Looks whether sources and sinks can go on from a checkpoint, before that counts.
//!
//! Promises: what is refused here leaves HEAD, the application that runs and the files of its
//! edges as they are. Must never do: start anything.

use std::path::Path;
use std::sync::Arc;

use potoroo_sdk::plan::Plan;

use super::config::Config;
use super::edges::{Edges, sink_refused, source_refused};
use super::error::Error;
use crate::checkpoint::store::{Location, Name, Store};
use crate::checkpoint::{Manifest, Marks, Transaction};
use crate::connect::refusal::EdgeRefusal;
use crate::connect::resume::CommittedOutput;
use crate::connect::sink::OpenSink;
use crate::connect::spools;

/// The opened edges of an application, with what they are compared with.
pub(super) struct EdgeChecks<'a> {
    pub(super) plan: &'a Plan,
    pub(super) config: &'a Config,
    pub(super) edges: &'a Edges,
    pub(super) store: &'a Arc<dyn Store>,
    pub(super) place: &'a Location,
    pub(super) marks: &'a Marks,
}

impl EdgeChecks<'_> {
    /// Looks whether all can go on from `manifest`.
    ///
    /// # Errors
    /// One cannot.
    pub(super) fn check(&self, manifest: &Manifest) -> Result<(), Error> {
        self.check_sources(manifest)?;
        // What a dropped sink has is lost with it. Spools of an earlier version are adopted later.
        let is_ours = |one: &&Transaction| {
            let named = |name: &Option<String>| name.as_ref() == Some(&one.sink);
            one.name().is_some() && self.plan.sinks.iter().any(|sink| named(&sink.name))
        };
        let ours = manifest.transactions.iter().filter(is_ours);
        check_output(self.plan, &self.edges.sinks, self.marks, ours)?;
        self.each_sink(manifest, |sink, name, committed| sink.check(name, committed))
    }

    /// Completes what is visible in part of the output of `newest`, the checkpoint that HEAD is
    /// about to go back from.
    ///
    /// # Errors
    /// It cannot be completed.
    pub(super) fn complete(&self, newest: &Manifest) -> Result<(), Error> {
        self.each_sink(newest, |sink, name, committed| sink.complete(name, committed))
    }

    fn check_sources(&self, manifest: &Manifest) -> Result<(), Error> {
        for (source, edge) in self.plan.sources.iter().zip(&self.edges.sources) {
            let name = &source.name;
            let mut positions = manifest.sources.iter().filter(|at| at.stream.is_none());
            let at = positions.find(|at| at.name == *name);
            let Some((at, unit)) = at.zip(edge.unit()) else { continue };
            if at.unit != unit {
                return Err(Error::State {
                    place: self.place.clone(),
                    reason: format!(
                        "source `{name}` stands at {} {} of another address: give it the kind of \
                         address that it had, or another --state",
                        at.position, at.unit
                    ),
                });
            }
            let address = &self.config.sources[name];
            edge.check(name, at).map_err(|refusal| source_refused(name, address, refusal))?;
        }
        Ok(())
    }

    fn each_sink(
        &self,
        manifest: &Manifest,
        look: impl Fn(&dyn OpenSink, &str, CommittedOutput<'_>) -> Result<(), EdgeRefusal>,
    ) -> Result<(), Error> {
        let Self { plan, config, edges, store, marks, .. } = self;
        let committed = CommittedOutput { transactions: &manifest.transactions, store, marks };
        for (sink, edge) in plan.sinks.iter().zip(&edges.sinks) {
            let Some((name, edge)) = sink.name.as_ref().zip(edge.as_ref()) else { continue };
            let (what, address) = (format!("sink `{name}`"), &config.sinks[name]);
            let looked = look(&**edge, name, committed);
            looked.map_err(|refusal| sink_refused(&what, address, refusal))?;
        }
        Ok(())
    }
}

/// Refuses committed output that waits, and that no sink would bring to where it belongs.
pub(super) fn check_output<'a>(
    plan: &Plan,
    sinks: &[Option<Box<dyn OpenSink>>],
    marks: &Marks,
    committed: impl Iterator<Item = &'a Transaction>,
) -> Result<(), Error> {
    let waits = |one: &&Transaction| match one.name() {
        Some(_) => !marks.has(one),
        None => spools::waits(one, Path::new("")),
    };
    for waiting in committed.filter(waits) {
        let named = |name: &Option<String>| name.as_ref() == Some(&waiting.sink);
        let planned = plan.sinks.iter().position(|planned| named(&planned.name));
        let sink = planned.and_then(|at| sinks[at].as_ref());
        if sink.is_none_or(|sink| !sink.takes(waiting)) {
            let Transaction { sink, object, .. } = waiting;
            let mark = waiting.name().and_then(Name::mark);
            return Err(Error::Sink {
                what: format!("sink `{sink}`"),
                address: "another kind of address than before".to_owned(),
                reason: format!(
                    "{object} has committed output that it has not got yet: start once with the \
                     address that it had{}",
                    mark.map_or_else(String::new, |mark| format!(
                        ", or add an empty object {mark} to --state if that is to be lost"
                    ))
                ),
            });
        }
    }
    Ok(())
}

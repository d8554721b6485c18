//! A rollback: HEAD goes back to a retained checkpoint, and the world with it.

use std::fmt::Display;

use potoroo::checkpoint::store::{Head, Store, StoreReader};
use potoroo::checkpoint::{self, Identity, Manifest, Recovered, history, recover};

use super::nodes::LinkBytes;
use super::subject::Subject;
use super::troubles::Sabotage;
use super::world::World;

/// What the next generation begins with.
pub(super) struct RolledBack {
    recovered: Recovered,
    /// The last checkpoint of the generation before, for sabotages.
    last: Option<Manifest>,
    /// What was under way over links of the generation before, for another one.
    pub(super) under_way: LinkBytes,
}

/// Has HEAD, which is `head`, go back to any retained checkpoint, by a number that was drawn;
/// `None` if there is none.
///
/// # Errors
/// It cannot.
pub(super) fn roll_back(
    world: &mut World,
    subject: &Subject<'_>,
    head: &Head,
    draw: u64,
) -> Result<Option<RolledBack>, String> {
    let plan = (subject.describe)().plan().expect("as before");
    let facts = Identity::of(&plan, subject.partitions);
    let past = history(&world.store, Some(head)).map_err(text)?;
    let Some(to) = past.get(draw as usize % past.len().max(1)) else { return Ok(None) };
    // The storage thread hands over between two steps; here a commit may be half done.
    let own = StoreReader::head(&world.store).map_err(text)?.expect("something was committed");
    let recovered = checkpoint::roll_back(&world.store, &facts, draw, (&own, to.epoch), &|| true);
    let recovered = recovered.map_err(text)?;
    let sources: Vec<_> = plan.sources.iter().map(|source| source.name.clone()).collect();
    world.roll_back(recovered.manifest.as_ref().expect("it is that of an epoch"), &sources);
    let last = past.into_iter().next().and_then(|last| last.manifest.ok());
    Ok(Some(RolledBack { recovered, last, under_way: LinkBytes::new() }))
}

/// A link or node is lost: HEAD stays, and the next generation takes it over.
///
/// # Errors
/// It cannot.
pub(super) fn take_over(
    world: &World,
    subject: &Subject<'_>,
    draw: u64,
) -> Result<RolledBack, String> {
    let plan = (subject.describe)().plan().expect("as before");
    let facts = Identity::of(&plan, subject.partitions);
    let recovered = recover(&world.store, &facts, draw, None).map_err(text)?;
    Ok(RolledBack { recovered, last: None, under_way: LinkBytes::new() })
}

/// What a run goes on from, and what survives of the generation before, for sabotages: its last
/// checkpoint, and what was under way over its links.
///
/// # Errors
/// It cannot.
pub(super) fn begin_from(
    store: &dyn Store,
    facts: &Identity,
    owner: u64,
    before: Option<RolledBack>,
    sabotage: Option<Sabotage>,
) -> Result<(Recovered, (Option<Manifest>, LinkBytes)), String> {
    let Some(RolledBack { mut recovered, last, under_way }) = before else {
        return Ok((recover(store, facts, owner, None).map_err(text)?, Default::default()));
    };
    if let (Some(Sabotage::PositionsSurvive), Some(last)) = (sabotage, &last) {
        let to = recovered.manifest.iter_mut();
        to.for_each(|to| to.sources.clone_from(&last.sources));
    }
    let of_before = sabotage == Some(Sabotage::LinkOfBefore);
    Ok((recovered, (last, if of_before { under_way } else { LinkBytes::new() })))
}

fn text(error: impl Display) -> String {
    error.to_string()
}

//! History: which checkpoints lie in a store. Reads only.

use super::epoch::Epoch;
use super::manifest::Manifest;
use super::store::{Error, Head, Name, NameKind, StoreReader};

/// A checkpoint of the past.
#[derive(Debug)]
pub struct Past {
    /// Name of its manifest.
    pub name: String,
    /// The epoch in its name.
    pub epoch: Epoch,
    /// Its manifest, or why that cannot be used.
    pub manifest: Result<Manifest, Error>,
}

/// The retained checkpoints, newest first: that of `head`, and those before it.
///
/// Where a manifest cannot be used, the chain goes on with the newest older one that is there; so
/// it does when there is no `head`. One that never was committed may then be among them; it is as
/// whole as others.
///
/// # Errors
/// The storage cannot be listed.
pub fn history(view: &dyn StoreReader, head: Option<&Head>) -> Result<Vec<Past>, Error> {
    let mut rest = manifests(view)?;
    let mut next = match head {
        Some(head) => head.manifest.as_ref().and_then(|name| name.parse::<Name>().ok()),
        None => rest.last().copied(),
    };
    let mut past = Vec::new();
    while let Some(name) = next {
        rest.retain(|other| other.epoch < name.epoch);
        let manifest = Manifest::load(view, &name.to_string());
        next = match &manifest {
            Ok(manifest) => {
                let previous = manifest.previous.as_ref().and_then(|name| name.parse().ok());
                // When nothing older is there, it was collected: the end.
                previous.filter(|name: &Name| rest.contains(name) || !rest.is_empty())
            }
            Err(_) => rest.last().copied(),
        };
        past.push(Past { name: name.to_string(), epoch: name.epoch, manifest });
    }
    Ok(past)
}

/// All manifests that are there, in the order of their epochs.
pub(super) fn manifests(view: &dyn StoreReader) -> Result<Vec<Name>, Error> {
    let objects = view.list()?;
    let names = objects.iter().filter_map(|(name, _)| name.parse::<Name>().ok());
    let mut manifests: Vec<Name> = names.filter(|name| name.kind == NameKind::Manifest).collect();
    manifests.sort_by_key(|name| (name.epoch, name.generation));
    Ok(manifests)
}

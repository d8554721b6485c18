//! Commit: the order in which a checkpoint comes to count, and in which older ones go.
//!
//! ```text
//!   parts, each finished ─► propose: manifest finished ─► swap_head ─► collect
//! ```
//!
//! Promises: a manifest lies in the store before HEAD can name it; nothing is deleted that the
//! last checkpoints need, that is being written, or that a later coordinator made.

use std::collections::BTreeSet;
use std::io::Write;

use super::Manifest;
use super::store::{Error, Head, Name, NameKind, Store};

/// Stores `manifest` and returns the HEAD that commits it, to be given to
/// [`Store::swap_head`] with `head`, the present one. `random` is for its name.
///
/// # Errors
/// The store cannot be written.
///
/// # Panics
/// When `manifest` does not follow `head`.
pub fn propose(
    store: &dyn Store,
    head: &Head,
    manifest: &Manifest,
    random: u64,
) -> Result<Head, Error> {
    assert_eq!(manifest.generation, head.generation, "a manifest is its coordinator's");
    assert_eq!(manifest.previous, head.manifest, "a manifest follows the last commit");
    assert!(manifest.epoch > head.epoch, "epochs grow");
    let (generation, epoch) = (manifest.generation, manifest.epoch);
    let name = Name { generation, epoch, kind: NameKind::Manifest, random }.to_string();
    let mut upload = store.create(&name)?;
    let written = upload.write_all(&manifest.write());
    written.map_err(|error| Error::io("write", &name, error))?;
    upload.finish()?;
    Ok(Head { epoch, manifest: Some(name), ..head.clone() })
}

/// What [`collect`] found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Collected {
    /// Objects deleted.
    pub objects: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Bytes of the objects that are left.
    pub bytes_kept: u64,
}

/// Deletes what the last `keep` checkpoints (at least one) up to `head`, which must be the present
/// HEAD of this coordinator, do not need; but nothing of the epoch `running`. To be called after
/// each commit and each abort.
///
/// # Errors
/// The store cannot be read or written, a checkpoint to keep has a damaged manifest, or another
/// coordinator has taken over. Something may have been deleted, but nothing that is needed.
pub fn collect(
    store: &dyn Store,
    head: &Head,
    keep: usize,
    running: Option<u64>,
) -> Result<Collected, Error> {
    let found = store.head()?;
    if found.as_ref() != Some(head) {
        let (expected, found) = (Some(Box::new(head.clone())), found.map(Box::new));
        return Err(Error::Overtaken { expected, found });
    }
    let objects = store.list()?;
    let needed = needed(store, head, keep, &objects)?;
    let is_running =
        |name: &Name| name.generation == head.generation && Some(name.epoch) == running;
    let mut collected = Collected::default();
    let mut garbage = Vec::new();
    for (text, bytes) in &objects {
        let name = text.parse::<Name>().ok();
        let ours = name.filter(|name| name.generation <= head.generation && !is_running(name));
        match ours.filter(|_| !needed.contains(text)) {
            Some(name) => garbage.push((name, bytes)),
            None => collected.bytes_kept += bytes,
        }
    }
    // Manifests first: one that is seen has its parts.
    garbage.sort_by_key(|(name, _)| name.kind != NameKind::Manifest);
    for (name, bytes) in garbage {
        store.delete(&name.to_string())?;
        collected.objects += 1;
        collected.bytes += bytes;
    }
    Ok(collected)
}

/// The names of the last `keep` manifests and of their parts.
fn needed(
    store: &dyn Store,
    head: &Head,
    keep: usize,
    objects: &[(String, u64)],
) -> Result<BTreeSet<String>, Error> {
    let mut needed = BTreeSet::new();
    let mut next = head.manifest.clone();
    for index in 0..keep.max(1) {
        let there = |name: &String| index == 0 || objects.iter().any(|(other, _)| other == name);
        // An earlier collection may have kept fewer.
        let Some(name) = next.take().filter(there) else { break };
        let manifest = Manifest::load(store, &name)?;
        needed.extend(manifest.parts.into_iter().map(|part| part.name));
        needed.insert(name);
        next = manifest.previous;
    }
    Ok(needed)
}

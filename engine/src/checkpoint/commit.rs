//! Commit: the order in which a checkpoint comes to count, and in which older ones go.
//!
//! ```text
//!   parts and output, each stored ─► propose: manifest stored ─► swap_head ─► collect
//! ```
//!
//! Promises: a manifest lies in the store before HEAD can name it; nothing is deleted that the
//! last checkpoints need, that is being written, or that a later coordinator made.

use std::collections::BTreeSet;
use std::io::{self, Write};

use super::epoch::Epoch;
use super::manifest::{Manifest, Transaction};
use super::store::{Error, Head, Name, NameKind, Store};

/// Stores `manifest` and returns the HEAD that commits it, to be given to
/// [`Store::swap_head`] with `head`, the present one. `random` is for its name.
///
/// # Errors
/// The store cannot be written, or the manifest is too long to be read again.
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
    let failed = |cause| Error::io("write", &name, cause);
    let bytes = manifest.write();
    let (length, most) = (bytes.len() as u64, Manifest::BYTES_MAX);
    if length > most {
        let text = format!(
            "it has {length} bytes, and up to {most} are read: output of too many checkpoints waits"
        );
        return Err(failed(io::Error::other(text)));
    }
    let mut upload = store.create(&name)?;
    upload.write_all(&bytes).map_err(failed)?;
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
    /// Those of them that are not output: the size of checkpoints.
    pub state_bytes_kept: u64,
}

/// Deletes what the last `keep` checkpoints (at least one) up to `head`, which must be the present
/// HEAD of this coordinator, do not need; but nothing of the epoch `running`, and no output that is
/// `unsettled`. To be called after each commit and each abort.
///
/// # Errors
/// The store cannot be read or written, a checkpoint to keep has a damaged manifest, or another
/// coordinator has taken over. Something may have been deleted, but nothing that is needed.
pub fn collect<'a>(
    store: &dyn Store,
    head: &Head,
    keep: usize,
    running: Option<Epoch>,
    unsettled: impl IntoIterator<Item = &'a Transaction>,
) -> Result<Collected, Error> {
    let found = store.head()?;
    if found.as_ref() != Some(head) {
        let (expected, found) = (Some(Box::new(head.clone())), found.map(Box::new));
        return Err(Error::Overtaken { expected, found });
    }
    let objects = store.list()?;
    let mut needed = needed(store, head, keep, &objects)?;
    unsettled.into_iter().for_each(|one| need_output(&mut needed, one));
    let is_running =
        |name: &Name| name.generation == head.generation && Some(name.epoch) == running;
    let mut collected = Collected::default();
    let mut garbage = Vec::new();
    for (text, bytes) in &objects {
        let name = text.parse::<Name>().ok();
        let ours = name.filter(|name| name.generation <= head.generation && !is_running(name));
        let ours = ours.filter(|name| !is_gone_back_from(head, name));
        match ours.filter(|_| !needed.contains(text)) {
            Some(name) => garbage.push((name, bytes)),
            None => {
                let is_output = |name: Name| matches!(name.kind, NameKind::Output(_));
                collected.bytes_kept += bytes;
                collected.state_bytes_kept += if name.is_some_and(is_output) { 0 } else { *bytes };
            }
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

/// Whether it is of a checkpoint from which was gone back, and nothing was committed since. It
/// has the positions of clients of sources, also if this run commits nothing.
fn is_gone_back_from(head: &Head, name: &Name) -> bool {
    let uncommitted = !head.gone_back_to.is_none() && head.epoch == head.gone_back_to;
    uncommitted && name.epoch > head.epoch && name.generation < head.generation
}

/// The names of the last `keep` manifests, of their parts, and of their output with its marks.
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
        // An earlier collection may have retained fewer.
        let Some(name) = next.take().filter(there) else { break };
        let manifest = Manifest::load(store, &name)?;
        needed.extend(manifest.parts.into_iter().map(|part| part.name));
        manifest.transactions.iter().for_each(|one| need_output(&mut needed, one));
        needed.insert(name);
        next = manifest.previous;
    }
    Ok(needed)
}

fn need_output(needed: &mut BTreeSet<String>, of: &Transaction) {
    let mark = of.name().and_then(Name::mark);
    needed.extend(mark.map(|mark| mark.to_string()));
    needed.insert(of.object.clone());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::store::{Memory, StoreReader, contract};
    use crate::checkpoint::{Identity, facts};

    fn waits(object: &str) -> Transaction {
        Transaction {
            sink: "w".to_owned(),
            epoch: Epoch(1),
            offset: 0,
            bytes: 1,
            digest: None,
            object: object.to_owned(),
            file: None,
        }
    }

    fn manifest(head: &Head, epoch: u32, transactions: &[&str]) -> Manifest {
        Manifest {
            facts: Identity { partitions: 0, ..facts::example() },
            generation: head.generation,
            epoch: Epoch(epoch),
            previous: head.manifest.clone(),
            transactions: transactions.iter().map(|object| waits(object)).collect(),
            ..Manifest::default()
        }
    }

    #[test]
    fn output_stays_while_a_retained_manifest_or_the_coordinator_needs_it() {
        let store = Memory::new();
        let first = Head { generation: 1, owner: 7, folder: 5, ..Head::default() };
        store.swap_head(None, &first).expect("it was not there");
        let output = |number: u64| format!("output-1-{number}-0-{number:016x}");
        let shown = |number: u64| format!("shown-1-{number}-0-{number:016x}");
        for number in 1..=6 {
            contract::put(&store, &output(number), b"x");
            store.mark(&shown(number).parse().expect("a name")).expect("there is room");
        }
        let mut head = first;
        for (epoch, named) in [(1, output(1)), (2, output(2)), (3, output(3))] {
            let new = propose(&store, &head, &manifest(&head, epoch, &[&named]), 1);
            let new = new.expect("there is room");
            store.swap_head(Some(&head), &new).expect("the only writer");
            head = new;
        }
        // Carried over from an aborted epoch, and being stored.
        let carried = [waits(&output(4))];
        collect(&store, &head, 2, Some(Epoch(5)), &carried).expect("it is in memory");
        let names: Vec<String> =
            store.list().expect("it is in memory").into_iter().map(|(name, _)| name).collect();
        for number in 1..=6 {
            let stays = (2..=5).contains(&number);
            for name in [output(number), shown(number)] {
                assert_eq!(names.contains(&name), stays, "{name}");
            }
        }
    }

    /// Committed, it could not be recovered from.
    #[test]
    fn a_manifest_that_is_too_long_to_be_read_is_not_stored() {
        let head = Head { generation: 1, owner: 7, folder: 5, ..Head::default() };
        let object = "x".repeat(Manifest::BYTES_MAX as usize);
        let manifest = manifest(&head, 1, &[&object]);
        let store = Memory::new();
        let refused = propose(&store, &head, &manifest, 1).expect_err("it is too long");
        assert!(refused.to_string().contains("up to 67108864"), "{refused}");
        assert_eq!(store.list().expect("it is in memory"), []);
        let manifest = Manifest { transactions: Vec::new(), ..manifest };
        let head = propose(&store, &head, &manifest, 1).expect("there is room");
        let name = head.manifest.expect("it was stored");
        assert_eq!(Manifest::load(&store, &name).expect("it can be read"), manifest);
    }
}

//! Contents: the rows of a table in a checkpoint.
//!
//! ```text
//!   of parts with the same partitions   newest delta part ─► … ─► full part
//! ```
//!
//! Newest first, so that a row can be shown as soon as it is read. Promises: memory holds only the
//! keys of delta parts, of one core at a time where no partition moved; what was there at the
//! beginning can be read to the end in a folder, though an application that runs may delete it
//! meanwhile. Reads only. What was under way at the snapshot has not had its effect on a table yet.

use std::collections::HashSet;

use potoroo_sdk::host::TableId;
use potoroo_sdk::table::Record;

use super::recover::each_chunk_in;
use super::store::{self, StoreReader};
use super::{ChainLink, Manifest, Section, partition_of};

/// Shows `visit` the rows of `table` in the checkpoint of `manifest` of which `wanted` says so, in
/// no particular order. `wanted` must say the same for each record of a key. When this returns an
/// error, what was shown is not all.
///
/// # Errors
/// A part is missing, before anything was shown; or damaged; the storage cannot be read; or what
/// `visit` returned.
pub fn each_row<'a, E: From<store::Error>>(
    view: &dyn StoreReader,
    manifest: &'a Manifest,
    table: TableId,
    wanted: impl Fn(Record<'_>) -> bool,
    mut visit: impl FnMut(Record<'_>) -> Result<(), E>,
) -> Result<(), E> {
    let open = |link: ChainLink<'a>| Ok((view.open(&link.part.name)?, link));
    let links = manifest.links().into_iter().map(open).collect::<Result<Vec<_>, store::Error>>()?;
    for family in families(links) {
        let mut newer = HashSet::<Box<[u8]>>::new();
        for (from, link) in family.into_iter().rev() {
            let mut keys = Vec::new();
            each_chunk_in(from, manifest, link.part, |chunk| {
                let is_row = chunk.section == Section::Rows(table);
                if !is_row && chunk.section != Section::Removed(table) {
                    return Ok(());
                }
                let mut rest = chunk.bytes.as_slice();
                while let Some((record, left)) = Record::split(rest) {
                    rest = left;
                    let partition = partition_of(record.hash, manifest.facts.partitions);
                    let counts = link.has(partition.into());
                    if !counts || !wanted(record) || newer.contains(record.key) {
                        continue;
                    }
                    // Nothing is older than a full part.
                    if !link.part.since.is_none() {
                        keys.push(record.key.into());
                    }
                    if is_row {
                        visit(record)?;
                    }
                }
                Ok::<_, E>(())
            })?;
            newer.extend(keys);
        }
    }
    Ok(())
}

/// Links in groups, each in the order of its links: no key is in two of them.
fn families<T>(links: Vec<(T, ChainLink<'_>)>) -> Vec<Vec<(T, ChainLink<'_>)>> {
    let mut families: Vec<Vec<(T, ChainLink<'_>)>> = Vec::new();
    for new in links {
        let related = |family: &mut Vec<_>| family.iter().any(|(_, link)| new.1.meets(link));
        let mut family: Vec<_> = families.extract_if(.., related).flatten().collect();
        family.push(new);
        family.sort_by_key(|(_, link)| link.part.epoch);
        families.push(family);
    }
    families
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use potoroo_sdk::random::Random;

    use super::*;
    use crate::checkpoint::store::{Memory, Name, NameKind, Store};
    use crate::checkpoint::{
        Chunk, Epoch, Identity, Older, PartEntry, PartHeader, PartWriter, TableFacts, TypeFacts,
    };

    const TABLE: TableId = TableId(1);

    fn facts() -> Identity {
        let of = |name: &str| TypeFacts { name: name.into(), shape: 0 };
        let table = |name: &str| TableFacts {
            name: name.into(),
            key: of("u64"),
            state: of("u64"),
            windows: None,
            older: Older::default(),
        };
        let tables = vec![table("other"), table("table")];
        let application = "rows".into();
        Identity { application, partitions: 2, tables, ..Identity::default() }
    }

    /// Keys of core 1 are odd, and so are their hashes: its partition is 1.
    fn record(key: u64, state: Option<u64>) -> Vec<u8> {
        let state = state.map_or(Vec::new(), |state| state.to_le_bytes().to_vec());
        Record { hash: key, key: &key.to_le_bytes(), state: &state }.to_bytes()
    }

    /// Removes and sets some keys of `core` in `model`; stores what changed as its next part.
    fn change(
        store: &Memory,
        (core, epoch): (u32, Epoch),
        random: &mut Random,
        model: &mut BTreeMap<u64, u64>,
    ) -> PartEntry {
        let mut draw = |most| -> Vec<u64> {
            (0..random.below(most)).map(|_| random.below(50) * 2 + u64::from(core)).collect()
        };
        let (gone, mut set) = (if epoch == Epoch(1) { vec![] } else { draw(10) }, draw(30));
        set.sort_unstable();
        set.dedup();
        model.retain(|key, _| !gone.contains(key));
        let removed = gone.iter().flat_map(|key| record(*key, None)).collect();
        let rows =
            set.iter().flat_map(|key| record(*key, Some(key * 100 + u64::from(epoch.0)))).collect();
        model.extend(set.iter().map(|key| (*key, key * 100 + u64::from(epoch.0))));
        let other = record(7, Some(7));
        let (facts, since, generation) = (facts(), Epoch(epoch.0 - 1), 1);
        let header = PartHeader { facts, generation, epoch, since, core, cores: 2 };
        let name = Name { generation, epoch, kind: NameKind::Part(core), random: 0 }.to_string();
        let upload = store.create(&name).expect("the name is free");
        let mut writer = PartWriter::new(upload, &header).expect("there is room");
        for (section, bytes) in [
            (Section::Removed(TABLE), removed),
            (Section::Rows(TableId(0)), other),
            (Section::Rows(TABLE), rows),
        ] {
            writer.chunk(&Chunk { section, bytes }).expect("there is room");
        }
        let (upload, seal) = writer.finish().expect("there is room");
        upload.finish().expect("the name is free");
        PartEntry::new(name, &header, [core as u16].into_iter().collect(), seal, 0)
    }

    fn rows(store: &Memory, manifest: &Manifest, wanted: fn(u64) -> bool) -> BTreeMap<u64, u64> {
        let number = |bytes: &[u8]| u64::from_le_bytes(bytes.try_into().expect("eight bytes"));
        let mut rows = BTreeMap::new();
        each_row::<store::Error>(
            store,
            manifest,
            TABLE,
            |one| wanted(number(one.key)),
            |one| {
                let twice = rows.insert(number(one.key), number(one.state));
                assert_eq!(twice, None, "a key is shown once");
                Ok(())
            },
        )
        .expect("nothing is missing");
        rows
    }

    #[test]
    fn each_row_is_shown_once_and_as_it_became_last() {
        for seed in 0..200 {
            let mut random = Random::new(seed);
            let (store, mut model, mut parts) = (Memory::new(), BTreeMap::new(), Vec::new());
            let epochs = 1 + random.below(5) as u32;
            for epoch in (1..=epochs).map(Epoch) {
                for core in 0..2 {
                    parts.push(change(&store, (core, epoch), &mut random, &mut model));
                }
            }
            let manifest = Manifest {
                facts: facts(),
                generation: 1,
                epoch: Epoch(epochs),
                unix_seconds: 0,
                previous: None,
                sources: Vec::new(),
                parts,
                transactions: Vec::new(),
                delivered: Vec::new(),
            };
            assert_eq!(rows(&store, &manifest, |_| true), model, "seed {seed}");
            model.retain(|key, _| key % 3 == 0);
            assert_eq!(rows(&store, &manifest, |key| key % 3 == 0), model, "seed {seed}");
        }
    }
}

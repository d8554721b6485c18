//! A table is shown without being held.

mod support;

use std::path::Path;

use potoroo::checkpoint::store::{Error, Folder, Name, NameKind, Store};
use potoroo::checkpoint::{
    Chunk, Epoch, Manifest, PartEntry, PartHeader, PartWriter, PartitionSet, Section, each_row,
};
use potoroo_sdk::host::TableId;
use potoroo_sdk::table::Record;
use potoroo_tests::checkpoints::facts;
use potoroo_tests::memory::most_kib;
use support::Scratch;

const TABLE: TableId = TableId(0);

const STATE_BYTES: usize = 64 * 1024;

/// Stores a part with the rows of these keys.
fn store_part(store: &dyn Store, epoch: Epoch, keys: std::ops::Range<u64>) -> PartEntry {
    let (generation, core, rows) = (1, 0, keys.end - keys.start);
    let name = Name { generation, epoch, kind: NameKind::Part(core), random: 0 }.to_string();
    let (facts, since) = (facts(), Epoch(epoch.0 - 1));
    let header = PartHeader { facts, generation, epoch, since, core, cores: 1 };
    let upload = store.create(&name).expect("the name is free");
    let mut writer = PartWriter::new(upload, &header).expect("there is room");
    for key in keys {
        let state = vec![epoch.0 as u8; STATE_BYTES];
        let bytes = Record { hash: 0, key: &key.to_le_bytes(), state: &state }.to_bytes();
        writer.chunk(&Chunk { section: Section::Rows(TABLE), bytes }).expect("there is room");
    }
    let (upload, seal) = writer.finish().expect("there is room");
    upload.finish().expect("the name is free");
    PartEntry::new(name, &header, PartitionSet::all(16), seal, rows)
}

#[test]
fn a_table_is_shown_in_memory_for_the_keys_of_changes_only() {
    let scratch = Scratch::new("rows-memory");
    let folder = Folder::open(Path::new(&scratch.path("state"))).expect("it is free");
    let manifest = Manifest {
        facts: facts(),
        generation: 1,
        epoch: Epoch(2),
        unix_seconds: 0,
        previous: None,
        sources: Vec::new(),
        parts: vec![store_part(&folder, Epoch(1), 0..800), store_part(&folder, Epoch(2), 200..600)],
        transactions: Vec::new(),
        delivered: Vec::new(),
    };
    let (mut shown, mut newer, before) = (0, 0, most_kib());
    each_row::<Error>(
        &folder,
        &manifest,
        TABLE,
        |_| true,
        |record| {
            (shown, newer) = (shown + 1, newer + u32::from(record.state[0] == 2));
            Ok(())
        },
    )
    .expect("nothing is missing");
    assert_eq!((shown, newer), (800, 400));
    let grown = most_kib() - before;
    assert!(grown < 8 * 1024, "{grown} KiB were taken to show 50 MiB");
}

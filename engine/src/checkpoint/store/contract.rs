//! What every store promises, as one test for all of them, wherever they are tested.

use std::io::{Read, Write};

use super::{Error, Head, Name, NameKind, Store, StoreReader};
use crate::checkpoint::Epoch;

/// Stores an object.
///
/// # Panics
/// It cannot be stored.
#[track_caller]
pub fn put(store: &dyn Store, name: &str, bytes: &[u8]) {
    let mut upload = store.create(name).expect("the name is free");
    upload.write_all(bytes).expect("there is room");
    upload.finish().expect("the name is free");
}

/// The bytes of an object.
///
/// # Panics
/// It cannot be read.
#[track_caller]
pub fn get(view: &dyn StoreReader, name: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    view.open(name).expect("it is there").read_to_end(&mut bytes).expect("it can be read");
    bytes
}

/// Checks the whole contract with an empty store.
///
/// # Panics
/// A promise is broken.
pub fn check(store: &dyn Store) {
    check_objects(store);
    check_scratch(store);
    check_head(store);
}

fn name(random: u64) -> String {
    Name { generation: 1, epoch: Epoch(2), kind: NameKind::Part(0), random }.to_string()
}

fn check_objects(store: &dyn Store) {
    assert_eq!(store.list().expect("it can be read"), []);
    put(store, &name(1), b"first");
    put(store, &name(2), b"");
    let listed = [(name(1), 5), (name(2), 0)];
    assert_eq!(store.list().expect("it can be read"), listed);
    assert_eq!(get(store, &name(1)), b"first");

    // Nothing is overwritten, and what was not finished never was.
    assert!(matches!(store.create(&name(1)).map(|_| ()), Err(Error::Taken { .. })));
    let mut early = store.create(&name(3)).expect("the name is free");
    early.write_all(b"early").expect("there is room");
    assert_eq!(store.list().expect("it can be read"), listed);
    assert!(matches!(store.open(&name(3)).map(|_| ()), Err(Error::Missing { .. })));
    let mut late = store.create(&name(3)).expect("the name is still free");
    late.write_all(b"late").expect("there is room");
    early.finish().expect("it is the first");
    assert!(matches!(late.finish(), Err(Error::Taken { .. })));
    assert_eq!(get(store, &name(3)), b"early");
    drop(store.create(&name(4)).expect("the name is free"));
    assert_eq!(store.list().expect("it can be read").len(), 3);

    store.delete(&name(3)).expect("it is there");
    store.delete(&name(3)).expect("it is gone already");
    assert_eq!(store.list().expect("it can be read"), listed);
    for forged in ["", "HEAD", "../secret", "part-1-2-0-1"] {
        let opened = store.open(forged).map(|_| ());
        assert!(matches!(opened, Err(Error::Name { .. })), "{forged}: {opened:?}");
    }
}

fn check_scratch(store: &dyn Store) {
    let before = store.list().expect("it can be read");
    let mark = Name { generation: 1, epoch: Epoch(2), kind: NameKind::Shown(0), random: 9 };
    let output = |random| Name { kind: NameKind::Output(0), random, ..mark }.to_string();
    let mut scratch = store.scratch().expect("there is room");
    scratch.write_at(b"one", 0).expect("there is room");
    assert_eq!(store.list().expect("it can be read"), before, "it has no name yet");
    assert!(matches!(scratch.store("../secret", 3), Err(Error::Name { .. })));
    assert!(matches!(scratch.store(&name(1), 3), Err(Error::Taken { .. })));
    scratch.store(&output(1), 3).expect("the name is free");
    assert_eq!(get(store, &output(1)), b"one");

    // It goes on when its epoch was aborted: the object of that one is not changed.
    scratch.write_at(b", two", 3).expect("there is room");
    let mut read = [0; 5];
    scratch.read_at(&mut read, 1).expect("it was written");
    assert_eq!(&read, b"ne, t");
    assert!(scratch.read_at(&mut read, 4).is_err(), "it ends there");
    scratch.store(&output(2), 8).expect("the name is free");
    drop(scratch);
    assert_eq!(get(store, &output(2)), b"one, two");
    if let Ok(mut first) = store.open(&output(1)) {
        let mut bytes = Vec::new();
        first.read_to_end(&mut bytes).expect("it can be read");
        assert_eq!(bytes, b"one", "an object stays as it is, or goes");
        store.delete(&output(1)).expect("it is there");
    }

    let mut dropped = store.scratch().expect("there is room");
    dropped.write_at(b"never", 0).expect("there is room");
    drop(dropped);
    store.mark(&mark).expect("there is room");
    store.mark(&mark).expect("it is there already");
    assert_eq!(get(store, &mark.to_string()), b"");
    store.delete(&output(2)).expect("it is there");
    store.delete(&mark.to_string()).expect("it is there");
    assert_eq!(store.list().expect("it can be read"), before);
}

fn check_head(store: &dyn Store) {
    let of = |generation, epoch: u32| {
        let name = Name { generation, epoch: Epoch(epoch), kind: NameKind::Manifest, random: 1 };
        let manifest = (epoch > 0).then(|| name.to_string());
        Head { generation, owner: 7, folder: 7, epoch: Epoch(epoch), manifest, ..Head::default() }
    };
    let swap = |expected: Option<&Head>, new: &Head| store.swap_head(expected, new);
    let head = || store.head().expect("it can be read");
    assert_eq!(head(), None);
    assert!(matches!(swap(Some(&of(1, 0)), &of(2, 0)), Err(Error::Overtaken { .. })));
    assert_eq!(head(), None);
    swap(None, &of(1, 0)).expect("nothing was there");
    swap(None, &of(1, 0)).expect("to repeat it changes nothing");
    let other = Head { owner: 8, ..of(1, 0) };
    assert!(matches!(swap(None, &other), Err(Error::Overtaken { .. })));
    swap(Some(&of(1, 0)), &of(1, 1)).expect("it is what was expected");
    let late = swap(Some(&of(1, 0)), &of(1, 2));
    match late {
        Err(Error::Overtaken { expected, found }) => {
            let (was, is) = (Some(Box::new(of(1, 0))), Some(Box::new(of(1, 1))));
            assert_eq!((expected, found), (was, is));
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(head(), Some(of(1, 1)));
    assert!(
        !store.list().expect("it can be read").iter().any(|(name, _)| name.starts_with("HEAD"))
    );
}

//! Objects of a state folder damaged at random: the damage is reported or harmless. Nothing panics,
//! nothing that differs is read, and no length in a file decides how much memory is taken.

use std::collections::BTreeMap;

use potoroo::checkpoint::store::StoreReader;
use potoroo::checkpoint::{Manifest, history, recover};
use potoroo_sdk::random::Random;
use potoroo_tests::checkpoints::{Content, Coordinator, content, facts};
use potoroo_tests::disk::SimDisk;
use potoroo_tests::memory::most_kib;
use potoroo_tests::seeds::{Concern, each_seed, random};

const SEEDS: u64 = 3000;

/// All that reading may take beyond what the test itself needs.
const MEMORY_KIB_MAX: u64 = 64 * 1024;

#[test]
fn random_damage_is_reported_or_harmless() {
    let before = most_kib();
    let (mut reported, mut harmless) = (0, 0);
    each_seed("random_damage_is_reported_or_harmless", SEEDS, |seed| {
        let mut random = random(seed, Concern::Damage);
        let disk = SimDisk::new();
        let contents = fill(&disk, &mut random);
        let what = break_something(&disk, &mut random);
        match read(&disk, &contents) {
            Err(text) => {
                let remedy = ["--restore", "copy", "newer"].iter().any(|word| text.contains(word));
                assert!(remedy, "{what}: {text}");
                reported += 1;
            }
            Ok(()) => harmless += 1,
        }
    });
    if reported + harmless >= SEEDS {
        assert!(
            reported > SEEDS / 3 && harmless > SEEDS / 20,
            "{reported} reported, {harmless} harmless"
        );
    }
    let grown = most_kib() - before;
    assert!(grown < MEMORY_KIB_MAX, "{grown} KiB were taken");
}

/// Makes one to four checkpoints; returns what they hold, by their manifests.
fn fill(disk: &SimDisk, random: &mut Random) -> BTreeMap<String, Content> {
    let folder = disk.checkpoints().expect("the disk works");
    let mut coordinator = Coordinator::start(&folder, random.u64()).expect("the disk works");
    for index in 0..1 + random.below(4) {
        coordinator.checkpoint(index == 0 || random.below(2) == 0).expect("the disk works");
    }
    coordinator.contents
}

/// Reads all there is, as the tool does, then as an application does when it starts.
fn read(disk: &SimDisk, contents: &BTreeMap<String, Content>) -> Result<(), String> {
    let folder = disk.checkpoints().expect("the disk works");
    if let Ok(head) = folder.head() {
        for past in history(&folder, head.as_ref()).expect("the disk works") {
            if let Ok(manifest) = past.manifest {
                let _ = check(&folder, &past.name, &manifest, contents);
            }
        }
    }
    let recovered = recover(&folder, &facts(), 1, None).map_err(|error| error.to_string())?;
    let name = recovered.head.manifest.expect("a checkpoint was committed");
    let manifest = recovered.manifest.expect("a checkpoint was committed");
    check(&folder, &name, &manifest, contents)
}

fn check(
    view: &dyn StoreReader,
    name: &str,
    manifest: &Manifest,
    contents: &BTreeMap<String, Content>,
) -> Result<(), String> {
    let found = content(view, manifest).map_err(|error| error.to_string())?;
    assert!(found == contents[name], "{name} was read without an error, and is another");
    Ok(())
}

/// Damages one file; says how.
fn break_something(disk: &SimDisk, random: &mut Random) -> String {
    let names = disk.names();
    let draw = |random: &mut Random| names[random.below(names.len() as u64) as usize].clone();
    let (name, other) = (draw(random), draw(random));
    let bytes = disk.read(&name);
    let (kind, damaged) = damage(bytes, &disk.read(&other), random);
    disk.damage(&name, damaged);
    format!("{kind} {name} ({other})")
}

fn damage(
    mut bytes: Vec<u8>,
    other: &[u8],
    random: &mut Random,
) -> (&'static str, Option<Vec<u8>>) {
    let (from, to) = range(bytes.len(), random);
    let kind = match random.below(9) {
        0 => {
            bytes.truncate(from);
            "cut off"
        }
        1 => {
            bytes[from..to].fill(0);
            "zeros in"
        }
        2 => {
            let doubled = bytes[from..to].to_vec();
            bytes.splice(to..to, doubled);
            "doubled in"
        }
        3 => {
            bytes.drain(from..to);
            "taken out of"
        }
        4 => {
            let (start, end) = range(other.len(), random);
            bytes.splice(from..to, other[start..end].iter().copied());
            "spliced into"
        }
        5 => {
            bytes = other.to_vec();
            "replaced"
        }
        6 => {
            let length = random.below(64);
            bytes.extend((0..length).map(|_| random.u64() as u8));
            "appended to"
        }
        7 => return ("lost", None),
        _ => {
            for _ in 0..1 + random.below(3) {
                let at = random.below(bytes.len() as u64) as usize;
                bytes[at] ^= 1 << random.below(8);
            }
            "flipped in"
        }
    };
    (kind, Some(bytes))
}

fn range(length: usize, random: &mut Random) -> (usize, usize) {
    let mut at = || random.below(length as u64 + 1) as usize;
    let (a, b) = (at(), at());
    (a.min(b), a.max(b))
}

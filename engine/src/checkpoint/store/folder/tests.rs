//! Folders of a real file system: the contract, the lock and what is left over.

use std::fmt::{self, Debug, Formatter};
use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::io::Errno;

use super::*;
use crate::checkpoint::Epoch;
use crate::checkpoint::store::contract;
use crate::disk::{DiskFile, Open, Room, no_links};

/// A folder of one test that goes away with it.
struct Scratch(PathBuf);

impl Scratch {
    fn new(test: &str) -> Self {
        let path = std::env::temp_dir().join(format!("potoroo-{test}-{}", std::process::id()));
        fs::create_dir_all(&path).expect("there is a place for temporary files");
        Self(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

const PART: &str = "part-1-1-0-0000000000000001";

fn message<T>(result: Result<T, Error>) -> String {
    result.err().expect("it is refused").to_string()
}

#[test]
fn it_keeps_the_contract_of_stores() {
    let scratch = Scratch::new("contract");
    let path = scratch.0.join("made/on/demand");
    contract::check(&Folder::open(&path).expect("it can be made"));
    let view = FolderView::open(&path).expect("it is there");
    assert_eq!(view.head().expect("it can be read").expect("it was swapped").epoch, Epoch(1));
    assert_eq!(view.list().expect("it can be read").len(), 2);
}

#[test]
fn a_second_owner_is_refused_by_the_number_of_the_first_and_readers_are_not() {
    let scratch = Scratch::new("lock");
    let first = Folder::open(&scratch.0).expect("it is free");
    let refused = message(Folder::open(&scratch.0));
    let place = scratch.0.display();
    let number = std::process::id();
    assert_eq!(
        refused,
        format!("{place} is in use by process {number}: stop that one, or give another --state")
    );
    FolderView::open(&scratch.0).expect("reading needs no lock");
    drop(first);
    Folder::open(&scratch.0).expect("it is free again");
}

#[test]
fn an_upload_that_outlives_its_folder_keeps_the_lock() {
    let scratch = Scratch::new("outlives");
    let upload = Folder::open(&scratch.0).expect("it is free").create(PART).expect("it is free");
    message(Folder::open(&scratch.0));
    upload.finish().expect("the folder is still locked");
    Folder::open(&scratch.0).expect("it is free again");
}

#[test]
fn a_copy_made_of_links_can_be_used_and_leaves_the_original_as_it_is() {
    let (original, copy) = (Scratch::new("linked"), Scratch::new("links"));
    for (name, text) in [("LOCK", "17\n"), ("RESERVE", "short")] {
        fs::write(original.0.join(name), text).expect("it is ours");
        fs::hard_link(original.0.join(name), copy.0.join(name)).expect("it is on one disk");
    }
    let folder = Folder::open(&copy.0).expect("it is free");
    let refused = message(Folder::open(&original.0));
    assert!(refused.contains("is in use"), "it is one lock: {refused}");
    drop(folder);
    let read = |name| fs::read_to_string(original.0.join(name)).expect("it is there");
    assert_eq!((read("LOCK").as_str(), read("RESERVE").as_str()), ("17\n", "short"));
}

#[test]
fn what_a_crash_left_half_written_is_removed_and_strangers_are_left_alone() {
    let scratch = Scratch::new("leftovers");
    let write = |name: &str| fs::write(scratch.0.join(name), b"x").expect("it is ours");
    let others = ["tmp-1", "tmp-77", "tmp-00000000000000ab-1", "notes.txt", "part-of-me"];
    others.into_iter().for_each(write);
    let folder = Folder::open(&scratch.0).expect("it is free");
    assert_eq!(folder.list().expect("it can be read"), []);
    contract::put(&folder, PART, b"abc");
    let mut names: Vec<String> = fs::read_dir(&scratch.0)
        .expect("it is there")
        .map(|entry| entry.expect("it is there").file_name().into_string().expect("it is text"))
        .collect();
    names.sort();
    assert_eq!(names, ["LOCK", "RESERVE", "notes.txt", PART, "part-of-me"]);
}

#[test]
fn what_is_no_folder_or_not_there_is_refused_with_its_path() {
    let scratch = Scratch::new("refused");
    let file = scratch.0.join("file");
    fs::write(&file, b"x").expect("it is ours");
    let below = file.join("below");
    for refused in [
        message(Folder::open(&file)),
        message(Folder::open(&below)),
        message(FolderView::open(&file)),
        message(FolderView::open(&scratch.0.join("nothing/file"))),
    ] {
        assert!(refused.contains("/file") && refused.contains("--state"), "{refused}");
    }
}

#[test]
fn those_that_share_a_folder_and_one_that_has_it_alone_exclude_each_other() {
    let scratch = Scratch::new("shared");
    let alone = Folder::open(&scratch.0).expect("it is free");
    let refused = message(Folder::open_shared(&scratch.0));
    assert!(refused.contains(&format!("in use by process {}", std::process::id())), "{refused}");
    drop(alone);
    let shared = [(); 2].map(|()| Folder::open_shared(&scratch.0).expect("they share it"));
    let refused = message(Folder::open(&scratch.0));
    assert!(refused.contains("is in use by a process of an unknown number"), "{refused}");
    // Whose files are being written is not touched.
    let upload = shared[0].create(PART).expect("the name is free");
    drop(Folder::open_shared(&scratch.0).expect("they share it"));
    upload.finish().expect("its temporary file is there");
    assert_eq!(contract::get(&shared[1], PART), b"");
    drop(shared);
    Folder::open(&scratch.0).expect("it is free again");
}

#[test]
fn what_a_dead_process_had_half_written_is_removed_and_nothing_else() {
    let scratch = Scratch::new("left-over");
    let shared = [(); 2].map(|()| Folder::open_shared(&scratch.0).expect("they share it"));
    let upload = shared[1].create(PART).expect("the name is free");
    // The first one is of a dead process, the other one of a process that no lock speaks for.
    let (dead, unknown) = (["tmp-0a-0", "tmp-0a-1", "tmp-0a-12"], "tmp-0ab-1");
    let write = |name: &str| fs::write(scratch.0.join(name), b"x").expect("it is ours");
    dead.into_iter().chain([unknown, "notes-0"]).for_each(write);
    shared[0].remove_left_over().expect("it can be written");
    let is_there = |name: &str| scratch.0.join(name).exists();
    assert!(!dead.into_iter().any(is_there));
    assert!(is_there(unknown) && is_there("notes-0"));
    upload.finish().expect("its temporary file is there");
    drop(shared);
    Folder::open(&scratch.0).expect("it is free again");
    assert!(!is_there(unknown));
}

#[test]
fn a_shared_folder_keeps_the_contract_of_stores() {
    let scratch = Scratch::new("shared-contract");
    contract::check(&Folder::open_shared(&scratch.0).expect("it is free"));
}

fn head(generation: u64) -> Head {
    Head { generation, owner: 2, folder: 2, ..Head::default() }
}

fn heads(scratch: &Scratch) -> Vec<String> {
    let entries = fs::read_dir(&scratch.0).expect("it is there");
    let names = entries.map(|entry| entry.expect("it is there").file_name().into_string());
    let mut names: Vec<String> = names.map(|name| name.expect("it is text")).collect();
    names.retain(|name| name.starts_with("HEAD"));
    names.sort();
    names
}

#[test]
fn the_newest_head_counts_and_no_older_one_stays() {
    let scratch = Scratch::new("heads");
    let folder = Folder::open(&scratch.0).expect("it is free");
    folder.swap_head(None, &head(1)).expect("it was not there");
    for generation in 1..20 {
        folder.swap_head(Some(&head(generation)), &head(generation + 1)).expect("it is the last");
    }
    assert_eq!(heads(&scratch), ["HEAD", "HEAD-00000000000000000020"]);
    assert_eq!(folder.head().expect("it is whole"), Some(head(20)));
    // Another process that slept since the fourth swap, whose number is free again.
    let late = folder.swap_head(Some(&head(4)), &head(5));
    assert!(matches!(late, Err(Error::Overtaken { .. })), "{late:?}");
    let bytes = fs::read(scratch.0.join("HEAD-00000000000000000020")).expect("it is there");
    // What is none of ours has no say.
    for name in ["HEAD-99", "HEAD-00000000000000000000", "HEAD-x", "HEAD-000000000000000000021"] {
        fs::write(scratch.0.join(name), b"x").expect("it is ours");
    }
    assert_eq!(folder.head().expect("it is whole"), Some(head(20)));
    // Nor is one number taken for another.
    fs::write(scratch.0.join("HEAD-00000000000000000021"), bytes).expect("it is ours");
    let refused = message(folder.head());
    assert!(refused.contains("HEAD-00000000000000000021 cannot be used"), "{refused}");
    let last = head(21).write_numbered(u64::MAX);
    fs::write(scratch.0.join(format!("HEAD-{}", u64::MAX)), last).expect("it is ours");
    let refused = message(folder.swap_head(Some(&head(21)), &head(22)));
    assert!(refused.contains("it is the last number that there is: remove the file"), "{refused}");
}

#[test]
fn a_folder_of_a_version_before_is_taken_over_at_the_first_swap() {
    let scratch = Scratch::new("before");
    fs::write(scratch.0.join("HEAD"), head(7).write()).expect("it is ours");
    let folder = Folder::open(&scratch.0).expect("it is free");
    assert_eq!(folder.head().expect("it is whole"), Some(head(7)));
    let refused = folder.swap_head(Some(&head(6)), &head(8));
    assert!(matches!(refused, Err(Error::Overtaken { .. })), "{refused:?}");
    assert_eq!(heads(&scratch), ["HEAD"], "what is refused changes nothing");
    folder.swap_head(Some(&head(7)), &head(8)).expect("it is the last");
    assert_eq!(folder.head().expect("it is whole"), Some(head(8)));
    assert_eq!(heads(&scratch), ["HEAD", "HEAD-00000000000000000001"]);
    // An older version reads the first line, and says that a newer one wrote it.
    let fence = fs::read_to_string(scratch.0.join("HEAD")).expect("it is there");
    assert!(fence.starts_with("potoroo head 3\n"), "{fence}");
    let view = FolderView::open(&scratch.0).expect("it is there");
    assert_eq!(view.head().expect("it is whole"), Some(head(8)), "tools read both forms");
}

/// The disk of this machine, but that links are made so.
struct Linking<F>(F);

impl<F> Debug for Linking<F> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("a disk with links of its own")
    }
}

impl<F: Fn(&Path, &Path) -> io::Result<()> + Send + Sync> Disk for Linking<F> {
    fn open(&self, path: &Path, how: Open) -> io::Result<Box<dyn DiskFile>> {
        LocalDisk.open(path, how)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        LocalDisk.remove(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        LocalDisk.rename(from, to)
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.0(from, to)
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<PathBuf>> {
        LocalDisk.list(folder)
    }

    fn length(&self, path: &Path) -> io::Result<u64> {
        LocalDisk.length(path)
    }

    fn make_folder(&self, folder: &Path) -> io::Result<()> {
        LocalDisk.make_folder(folder)
    }

    fn room(&self, folder: &Path) -> io::Result<Option<Room>> {
        LocalDisk.room(folder)
    }

    fn sync(&self, folder: &Path) -> io::Result<()> {
        LocalDisk.sync(folder)
    }
}

/// Its number was made and removed meanwhile: it can link it, and has not won.
#[test]
fn a_process_that_slept_before_it_linked_is_overtaken() {
    let scratch = Scratch::new("slept");
    let path = scratch.0.clone();
    let others = move || {
        let other = Folder::shared_on(LocalDisk, &path).expect("it is shared");
        other.swap_head(Some(&head(1)), &head(2)).expect("it is the last");
        other.swap_head(Some(&head(2)), &head(3)).expect("it is the last");
    };
    let slept = AtomicBool::new(true);
    let disk = Linking(move |from: &Path, to: &Path| {
        if to.ends_with("HEAD-00000000000000000002") && slept.swap(false, Ordering::Relaxed) {
            others();
        }
        LocalDisk.link(from, to)
    });
    let folder = Folder::shared_on(disk, &scratch.0).expect("it is shared");
    folder.swap_head(None, &head(1)).expect("it was not there");
    let mine = Head { owner: 9, ..head(2) };
    match folder.swap_head(Some(&head(1)), &mine) {
        Err(Error::Overtaken { found, .. }) => assert_eq!(found.as_deref(), Some(&head(3))),
        other => panic!("{other:?}"),
    }
    assert_eq!(folder.head().expect("it is whole"), Some(head(3)));
}

#[test]
fn a_link_whose_answer_was_lost_has_won() {
    let scratch = Scratch::new("answer");
    let disk = Linking(|from: &Path, to: &Path| {
        LocalDisk.link(from, to)?;
        Err(io::Error::other("the server was started again"))
    });
    let folder = Folder::on(disk, &scratch.0).expect("it can be read");
    folder.swap_head(None, &head(1)).expect("it was linked");
    let nothing = Linking(|_: &Path, _: &Path| Err(io::Error::other("it was not")));
    let folder = Folder::on(nothing, &scratch.0).expect("it can be read");
    let refused = message(folder.swap_head(Some(&head(1)), &head(2)));
    assert!(refused.contains("it was not"), "{refused}");
    assert_eq!(folder.head().expect("it is whole"), Some(head(1)));
}

#[test]
fn a_file_system_without_links_is_refused_with_what_to_do() {
    let scratch = Scratch::new("no-links");
    let disk = Linking(|_: &Path, _: &Path| Err(no_links(Errno::PERM.into())));
    let folder = Folder::on(disk, &scratch.0).expect("it can be read");
    let refused = message(folder.swap_head(None, &head(1)));
    for part in ["HEAD-00000000000000000001", "(hard links)", "give a --state whose storage can"] {
        assert!(refused.contains(part), "`{part}` is not in {refused}");
    }
    assert_eq!(folder.head().expect("it is whole"), None);
    assert_eq!(heads(&scratch), ["HEAD"], "nothing is left over");
}

#[test]
fn a_damaged_head_is_named_by_its_path() {
    let scratch = Scratch::new("head");
    let folder = Folder::open(&scratch.0).expect("it is free");
    let head = head(1);
    folder.swap_head(None, &head).expect("it was not there");
    let path = scratch.0.join("HEAD-00000000000000000001");
    let mut bytes = fs::read(&path).expect("it is there");
    bytes.truncate(30);
    fs::write(&path, bytes).expect("it is ours");
    let refused = message(folder.head());
    assert!(refused.starts_with(&format!("{} cannot be used", path.display())), "{refused}");
    let refused = message(folder.swap_head(Some(&head), &head));
    assert!(refused.contains("cannot be used"), "{refused}");
}

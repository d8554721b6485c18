//! Folders of a real file system: the contract, the lock and what is left over.

use std::fs;
use std::path::PathBuf;

use super::*;
use crate::checkpoint::Epoch;
use crate::checkpoint::store::contract;

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
    ["tmp-1", "tmp-77", "notes.txt", "part-of-me"].into_iter().for_each(write);
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
fn a_damaged_head_is_named_by_its_path() {
    let scratch = Scratch::new("head");
    let folder = Folder::open(&scratch.0).expect("it is free");
    let head = Head { generation: 1, owner: 2, folder: 2, ..Head::default() };
    folder.swap_head(None, &head).expect("it was not there");
    let path = scratch.0.join("HEAD");
    let mut bytes = fs::read(&path).expect("it is there");
    bytes.truncate(30);
    fs::write(&path, bytes).expect("it is ours");
    let refused = message(folder.head());
    assert!(refused.starts_with(&format!("{} cannot be used", path.display())), "{refused}");
    let refused = message(folder.swap_head(Some(&head), &head));
    assert!(refused.contains("cannot be used"), "{refused}");
}

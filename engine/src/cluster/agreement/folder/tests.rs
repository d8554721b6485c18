//! The contract, and what only a folder has: locks of the kernel, files, and their damage.

use super::super::contract::{self, list};
use super::*;

struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let folder = format!("agreement-{name}-{}", std::process::id());
        Self(std::env::temp_dir().join(folder))
    }

    fn open(&self, lease: Option<Duration>) -> FolderAgreement {
        FolderAgreement::open(&self.0, lease).expect("it can be used")
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn it_keeps_the_contract_of_agreements() {
    let scratch = Scratch::new("contract");
    contract::check(&|| Box::new(scratch.open(Some(Duration::from_millis(300)))));
    let left = fs::read_dir(scratch.0.join(SESSIONS)).expect("it is there").count();
    assert_eq!(left, 0, "what sessions left is removed");
}

#[test]
fn a_session_without_a_lease_lives_as_long_as_its_process() {
    let scratch = Scratch::new("process");
    let (tool, late) = (scratch.open(None), scratch.open(Some(Duration::from_nanos(1))));
    assert_eq!(tool.claim("wish", "stop").expect("it can be used"), None);
    assert_eq!(late.claim("lead", "late").expect("it can be used"), None);
    assert_eq!(list(&tool).len(), 2, "who has no lease of its own takes no process for over");
    // A death is proven by the lock, whether or not one judges leases.
    let path = session_path(&scratch.0, late.session());
    late.own().file.unlock().expect("it was locked");
    assert_eq!(list(&tool).len(), 1);
    assert!(!path.exists());
}

#[test]
fn after_a_pause_of_the_machine_all_stand_that_renew() {
    let scratch = Scratch::new("pause");
    let lease = Duration::from_secs(60);
    let (a, b) = (scratch.open(Some(lease)), scratch.open(Some(lease)));
    assert_eq!(a.claim("lead", "a").expect("it can be used"), None);
    // Both were last renewed hours ago, and b since ever before.
    let long_ago = boottime().saturating_sub(Duration::from_secs(1));
    let text = format!("{:020} {:020}\n", long_ago.as_nanos(), time_namespace());
    a.own().file.write_all_at(text.as_bytes(), 0).expect("there is room");
    b.own().stands_since = Some(Duration::ZERO);
    b.own().until = long_ago;
    assert_eq!(list(&b).len(), 1, "it is late itself");
    b.renew().expect("it stands");
    assert_eq!(list(&b).len(), 1, "it has only begun to be in time");
    b.own().stands_since = boottime().checked_sub(lease);
    let judges = b.own().stands_since.is_some();
    assert_eq!(list(&b).len(), usize::from(!judges), "it was in time for a whole lease");
    assert_eq!(a.renew().is_err(), judges);
}

#[test]
fn damage_is_named_with_its_remedy() {
    let scratch = Scratch::new("damage");
    let a = scratch.open(None);
    fs::write(scratch.0.join(ENTRIES), "[]").expect("it can be written");
    let text = a.list().expect_err("it is no map").to_string();
    assert!(text.contains("is damaged") && text.contains("remove this file"), "{text}");
}

/// Else it could not be read any more.
#[test]
fn more_than_is_read_is_not_written() {
    let scratch = Scratch::new("full");
    let a = scratch.open(None);
    assert_eq!(a.claim("lead", "a").expect("there is room"), None);
    let full = a.claim("record", &"x".repeat(BYTES_MAX as usize)).expect_err("it is too much");
    assert!(full.to_string().contains("and 1048576 are read"), "{full}");
    assert_eq!(list(&a).len(), 1, "what was there can be read");
}

#[test]
fn files_of_sessions_that_left_nothing_else_are_removed() {
    let scratch = Scratch::new("left-over");
    let lives = scratch.open(None);
    let path = |session| session_path(&scratch.0, session);
    let make = |session| File::create(path(session)).expect("it is ours");
    let (old, _young) = (make(1), make(2));
    let long_ago = std::time::SystemTime::now() - 2 * LEFT_OVER;
    for file in [&old, &lives.own().file] {
        file.set_modified(long_ago).expect("it is ours");
    }
    let next = scratch.open(None);
    let is_there = [1, 2, lives.session(), next.session()].map(|session| path(session).exists());
    assert_eq!(is_there, [false, true, true, true]);
}

//! Claims, swaps and deaths, between sessions of this process: each has a lock of its own.

use std::path::PathBuf;
use std::thread::ScopedJoinHandle;

use super::*;

struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let folder = format!("agreement-{name}-{}", std::process::id());
        Self(std::env::temp_dir().join(folder))
    }

    fn open(&self, session: u64) -> Agreement {
        Agreement::open(&self.0, session).expect("it can be used")
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn claimed(agreement: &Agreement, key: &str, value: &str) -> Option<Agreed> {
    agreement.claim(key, value.to_owned()).expect("it can be used")
}

#[test]
fn a_key_has_one_holder_for_as_long_as_that_lives() {
    let scratch = Scratch::new("claim");
    let (a, b) = (scratch.open(1), scratch.open(2));
    assert_eq!(claimed(&a, "lead", "a"), None);
    let held = Agreed { value: "a".to_owned(), session: Some(1) };
    assert_eq!(claimed(&b, "lead", "b"), Some(held.clone()));
    assert_eq!(b.list().expect("it can be used").get("lead"), Some(&held));
    drop(a);
    assert_eq!(b.list().expect("it can be used"), AgreedEntries::new());
    assert_eq!(claimed(&b, "lead", "b"), None, "its holder is dead");
    let left = fs::read_dir(scratch.0.join(SESSIONS)).expect("it is there").count();
    assert_eq!(left, 1, "what the dead left is removed");
}

#[test]
fn what_is_bound_to_no_session_stays() {
    let scratch = Scratch::new("stays");
    let a = scratch.open(1);
    let new = |value: &str| Some(Agreed { value: value.to_owned(), session: None });
    assert_eq!(a.swap("generation", None, new("1")).expect("it can be used"), None);
    assert_eq!(a.swap("generation", None, new("2")).expect("it can be used"), new("1"));
    drop(a);
    let b = scratch.open(2);
    assert_eq!(b.swap("generation", new("1").as_ref(), None).expect("it can be used"), new("1"));
    assert_eq!(b.list().expect("it can be used"), AgreedEntries::new());
}

/// Sixteen at once: each round has one winner.
#[test]
fn of_many_that_claim_at_once_one_wins() {
    let scratch = Scratch::new("race");
    let sessions: Vec<Agreement> = (1..=16).map(|session| scratch.open(session)).collect();
    for round in 0..10 {
        let key = format!("lead-{round}");
        let won = std::thread::scope(|scope| {
            let key = key.as_str();
            let claim = |one| scope.spawn(move || claimed(one, key, "it").is_none());
            let claims: Vec<_> = sessions.iter().map(claim).collect();
            let join = |claim: ScopedJoinHandle<'_, bool>| claim.join().expect("no panic");
            claims.into_iter().map(join).collect::<Vec<bool>>()
        });
        assert_eq!(won.iter().filter(|won| **won).count(), 1);
    }
}

#[test]
fn damage_is_named_with_its_remedy() {
    let scratch = Scratch::new("damage");
    let a = scratch.open(1);
    fs::write(scratch.0.join(ENTRIES), "[]").expect("it can be written");
    let text = a.list().expect_err("it is no map").to_string();
    assert!(text.contains("is damaged") && text.contains("remove this file"), "{text}");
}

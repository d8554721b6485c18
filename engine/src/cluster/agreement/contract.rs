//! What every agreement promises, as one test for all of them, wherever they are tested.

use std::thread::{scope, sleep};
use std::time::{Duration, Instant};

use super::{Agreed, AgreedEntries, Agreement, Changed, Disagreement, EntryChange, Expected};

/// Nothing that works takes so long, even on a busy machine.
const LIMIT: Duration = Duration::from_secs(60);

/// Time between two looks.
const LOOK: Duration = Duration::from_millis(20);

/// Opens one more session of the same cluster.
pub type OpenSession<'a> = &'a (dyn Fn() -> Box<dyn Agreement> + Sync);

/// Checks the whole contract with a cluster in which nothing is agreed. `open` begins sessions of
/// a lease that is as short as it can be.
///
/// # Panics
/// A promise is broken.
pub fn check(open: OpenSession<'_>) {
    check_claims(open);
    check_changes(open);
    check_fence(open);
    check_race(open);
    check_leases(open);
}

/// What is agreed.
///
/// # Panics
/// It cannot be read.
#[track_caller]
pub fn list(agreement: &dyn Agreement) -> AgreedEntries {
    agreement.list().expect("it can be read")
}

#[track_caller]
fn claim(agreement: &dyn Agreement, key: &str, value: &str) -> Option<Agreed> {
    agreement.claim(key, value).expect("it can be used")
}

#[track_caller]
fn change(agreement: &dyn Agreement, change: &EntryChange<'_>) -> Changed {
    agreement.change(change).expect("it can be used")
}

fn text(value: &str) -> Agreed {
    Agreed { value: value.to_owned(), session: None }
}

fn check_claims(open: OpenSession<'_>) {
    let (a, b) = (open(), open());
    assert_ne!(a.session(), b.session());
    assert_eq!(list(&*a), AgreedEntries::new());
    assert_eq!(claim(&*a, "lead", "a"), None);
    let held = Agreed { value: "a".to_owned(), session: Some(a.session()) };
    assert_eq!(claim(&*b, "lead", "b"), Some(held.clone()), "it is taken");
    assert_eq!(list(&*b).get("lead"), Some(&held));
    // Who asks again, after an answer that was lost, has it; also with another value.
    assert_eq!(claim(&*a, "lead", "a"), None);
    assert_eq!(claim(&*a, "lead", "a, again"), None);
    assert_eq!(list(&*b)["lead"].value, "a, again");
    assert_eq!(claim(&*a, "nodes/a \"ä\n/../x", "odd"), None);
    assert_eq!(list(&*b).len(), 2);
    let before = b.version().expect("it can be read");
    drop(a);
    assert_eq!(list(&*b), AgreedEntries::new(), "entries go with their session");
    assert_ne!(b.version().expect("it can be read"), before, "and that is hinted at");
    assert_eq!(claim(&*b, "lead", "b"), None);
}

fn check_changes(open: OpenSession<'_>) {
    let a = open();
    let (first, second) = (text("1"), text("2"));
    let set = |expected, new: Option<&Agreed>| {
        change(&*a, &EntryChange { key: "record", expected, new: new.cloned(), held: None })
    };
    assert_eq!(set(Expected::Entry(&first), Some(&second)), Changed::Differs(None));
    assert_eq!(set(Expected::Nothing, Some(&first)), Changed::Done);
    assert_eq!(set(Expected::Nothing, Some(&second)), Changed::Differs(Some(first.clone())));
    assert_eq!(set(Expected::Entry(&second), None), Changed::Differs(Some(first.clone())));
    let bound = Agreed { session: Some(a.session()), ..first.clone() };
    let is_bound = set(Expected::Entry(&bound), Some(&second));
    assert_eq!(is_bound, Changed::Differs(Some(first.clone())), "it goes with no session");
    assert_eq!(set(Expected::Entry(&first), Some(&second)), Changed::Done);
    assert_eq!(set(Expected::Anything, Some(&first)), Changed::Done);
    drop(a);
    let b = open();
    assert_eq!(list(&*b), AgreedEntries::from([("record".to_owned(), first)]), "it stays");
    let remove = EntryChange { key: "record", expected: Expected::Anything, new: None, held: None };
    assert_eq!(change(&*b, &remove), Changed::Done);
    assert_eq!(list(&*b), AgreedEntries::new());
}

/// What a lead writes is refused once it does not lead.
fn check_fence(open: OpenSession<'_>) {
    let (a, b) = (open(), open());
    let write = |by: &dyn Agreement, value: &str| {
        let (expected, new) = (Expected::Anything, Some(text(value)));
        change(by, &EntryChange { key: "record", expected, new, held: Some("lead") })
    };
    assert_eq!(write(&*a, "a"), Changed::NotHeld, "none leads");
    assert_eq!(claim(&*a, "lead", "a"), None);
    assert_eq!(write(&*a, "a"), Changed::Done);
    assert_eq!(write(&*b, "b"), Changed::NotHeld);
    assert_eq!(list(&*b)["record"], text("a"));
    let remove = EntryChange { key: "record", expected: Expected::Anything, new: None, held: None };
    assert_eq!(change(&*a, &remove), Changed::Done);
}

/// Of many that claim at once one wins.
fn check_race(open: OpenSession<'_>) {
    let sessions: Vec<Box<dyn Agreement>> = (0..8).map(|_| open()).collect();
    for round in 0..5 {
        let key = format!("lead-{round}");
        let won = scope(|scope| {
            let claims: Vec<_> = sessions
                .iter()
                .map(|one| scope.spawn(|| claim(&**one, &key, "it").is_none()))
                .collect();
            let won = claims.into_iter().map(|one| one.join().expect("no panic"));
            won.filter(|won| *won).count()
        });
        assert_eq!(won, 1);
    }
}

/// A session that is not renewed ends, which others learn from a list; one that is renewed stands.
fn check_leases(open: OpenSession<'_>) {
    let (a, b) = (open(), open());
    assert_eq!(claim(&*a, "lead", "a"), None);
    assert_eq!(claim(&*b, "nodes/b", "b"), None);
    let stands = a.renew().expect("it stands");
    assert!(!stands.is_zero());
    let gone = |key: &str| {
        b.renew().expect("it is renewed in time");
        !list(&*b).contains_key(key)
    };
    wait_until(|| gone("lead"));
    assert!(list(&*b).contains_key("nodes/b"));
    assert!(matches!(a.renew(), Err(Disagreement::Over)), "it is over for good");
    assert!(matches!(a.claim("lead", "a"), Err(Disagreement::Over)), "nothing is bound to it");
    assert!(!list(&*b).contains_key("lead"));
    let before = a.session();
    a.begin_session().expect("it can be used");
    assert_ne!(a.session(), before);
    assert_eq!(claim(&*a, "lead", "a"), None);
    a.renew().expect("it stands");
}

#[track_caller]
fn wait_until(mut done: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !done() {
        assert!(begun.elapsed() < LIMIT, "not within {LIMIT:?}");
        sleep(LOOK);
    }
}

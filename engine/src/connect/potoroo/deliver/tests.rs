//! What a client may have, and whom a backlog holds back.

use std::path::PathBuf;
use std::sync::Arc;

use potoroo_runtime::Poller;
use potoroo_sdk::host::SinkId;
use xxhash_rust::xxh3::xxh3_128;

use super::*;
use crate::checkpoint::store::Head;
use crate::checkpoint::{Delivered, Epoch, Identity, Manifest, Transaction};
use crate::connect::potoroo::hold::Hold;
use crate::connect::spool::{Target, first_id};
use crate::turn::{Command, Mailbox, mailbox};

const STATE: u64 = 7;
const BACKLOG_BYTES_MAX: u64 = 1 << 30;

fn delivery_to(cores: Vec<Mailbox>) -> Delivery {
    let target = Target::new("w", PathBuf::from("nowhere/w"));
    // All of earlier generations may be with a client.
    let known = first_id(STATE, 4) - 1;
    let hold = Arc::new(Hold::new(SinkId(3), target.clone(), cores));
    let mut delivery = Delivery::new(&target, STATE, hold, BACKLOG_BYTES_MAX);
    delivery.known = known;
    delivery
}

fn transaction(number: u64, bytes: u64) -> Transaction {
    let spool = format!(".w.4-{number}.spool");
    Transaction {
        sink: "w".to_owned(),
        epoch: Epoch(number as u32),
        offset: 0,
        bytes,
        digest: None,
        spool,
    }
}

/// One whose fourth run has committed a transaction.
fn delivery() -> (Delivery, u128) {
    let delivery = delivery_to(Vec::new());
    assert!(!delivery.show(&transaction(1, 1)).expect("it can be brought"));
    (delivery, first_id(STATE, 4) | 1)
}

#[track_caller]
fn check_foreign(delivery: &Delivery, last: u128) {
    let refused = delivery.check_last(last).expect_err("it is not of this state folder");
    assert!(refused.contains("not of this state folder"), "{refused}");
}

/// Were it taken for ours, output that it never got would be removed.
#[test]
fn a_client_has_only_what_was_brought_to_it() {
    let (delivery, id) = delivery();
    check_foreign(&delivery, id);
    delivery.lock().brought = id;
    assert_eq!(delivery.check_last(id), Ok(()));
    check_foreign(&delivery, id + 1);
}

#[test]
fn a_client_of_another_state_folder_is_known_whatever_its_generation() {
    let (delivery, id) = delivery();
    delivery.lock().brought = id;
    for generation in [1, 4, 5] {
        check_foreign(&delivery, first_id(STATE + 1, generation) | 1);
        check_foreign(&delivery, first_id(STATE - 1, generation) | 1);
    }
    for last in [0, first_id(STATE, 1) | 9, first_id(STATE, 3) | 1] {
        assert_eq!(delivery.check_last(last), Ok(()), "{last:x} may be of an earlier run");
    }
}

/// Else the end would wait for ever for a client that refuses the same again and again.
#[test]
fn what_is_brought_again_comes_no_farther() {
    let (delivery, id) = delivery();
    let mut before = delivery.farthest();
    let steps = [(id, 10), (id, 20), (id, 10), (id, 20), (id, 21), (id + 1, 1)];
    let grew = steps.map(|(transaction, bytes)| {
        delivery.come(transaction, bytes);
        std::mem::replace(&mut before, delivery.farthest()) < before
    });
    assert_eq!(grew, [true, true, false, false, true, true]);
}

#[test]
fn a_client_that_has_less_than_it_had_is_refused() {
    let (delivery, id) = delivery();
    delivery.lock().brought = id;
    delivery.lock().delivered = id;
    let refused = delivery.check_last(0).expect_err("it had one");
    assert!(refused.contains("give it back what it had"), "{refused}");
}

/// The thread that waits for markers is never held back: only sources are, while the backlog is
/// above its limit.
#[test]
fn a_backlog_holds_sources_back_until_there_is_room() {
    let (core, mut mail) = mailbox(Poller::new().expect("this host has one").waker());
    let delivery = delivery_to(vec![core]);
    let mut sent = || match mail.take() {
        Some(Command::HoldSources { sink: SinkId(3), hold }) => Some(hold),
        Some(_) => panic!("no other command is sent"),
        None => None,
    };
    for number in 1..16_384 {
        delivery.show(&transaction(number, 1)).expect("it can be brought");
    }
    assert_eq!(sent(), None);
    delivery.show(&transaction(16_384, 1)).expect("it can be brought");
    assert_eq!((sent(), sent()), (Some(true), None));
    // Not at each transaction: a quarter of it has to go.
    delivery.settle(first_id(STATE, 4) | 4096).expect("no spool is there");
    assert_eq!(sent(), None);
    delivery.settle(first_id(STATE, 4) | 4097).expect("no spool is there");
    assert_eq!((sent(), sent()), (Some(false), None));
    delivery.settle(first_id(STATE, 4) | 16_384).expect("no spool is there");
    assert_eq!(sent(), None);
    delivery.show(&transaction(16_385, BACKLOG_BYTES_MAX)).expect("it can be brought");
    assert_eq!((sent(), sent()), (Some(true), None));
    delivery.settle(first_id(STATE, 4) | 16_385).expect("no spool is there");
    assert_eq!((sent(), sent()), (Some(false), None));
}

/// A client that does not look at ids would have it twice.
#[test]
fn what_the_client_has_does_not_come_again_while_its_spool_cannot_be_removed() {
    let scratch = Scratch::new("deliver-again");
    std::fs::write(scratch.0.join(".w.4-1.spool"), b"x").expect("it can be written");
    // What is left of it cannot be there.
    std::fs::create_dir(scratch.0.join(".w.4-1.taken")).expect("it can be made");
    let delivery = scratch.delivery(&[transaction(1, 1)], Vec::new()).expect("it can be opened");
    let id = first_id(STATE, 4) | 1;
    let mut session = Session::new(delivery.clone(), id).expect("it may have it");
    assert!(delivery.show(&transaction(1, 1)).is_err(), "its spool is in the way");
    let mut out = Vec::new();
    let said = session.send(&mut out);
    assert!(out.is_empty() && matches!(said, Err(DeliveryEnd::Lost(_))), "{said:?} {out:?}");
    std::fs::remove_dir(scratch.0.join(".w.4-1.taken")).expect("it is empty");
    session.send(&mut out).expect("nothing is in the way");
    assert!(out.is_empty() && delivery.lock().waiting.is_empty());
}

/// A folder with the spools of a sink.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("it can be made");
        Self(folder)
    }

    fn files(&self) -> Vec<String> {
        let entries = std::fs::read_dir(&self.0).expect("it is there");
        let names = entries.map(|entry| entry.expect("too").file_name().into_string());
        let mut names: Vec<_> = names.map(|name| name.expect("it is text")).collect();
        names.sort();
        names
    }

    /// In generation 5, after a checkpoint with these transactions.
    fn delivery(
        &self,
        committed: &[Transaction],
        delivered: Vec<Delivered>,
    ) -> io::Result<Arc<Delivery>> {
        self.delivery_behind(Some(0), committed, delivered)
    }

    fn delivery_behind(
        &self,
        rewound: Option<u64>,
        committed: &[Transaction],
        delivered: Vec<Delivered>,
    ) -> io::Result<Arc<Delivery>> {
        let (generation, owner, folder, epoch) = (5, 1, STATE, Epoch(9));
        let head = Head { generation, owner, folder, epoch, rewound, ..Head::default() };
        let manifest = Manifest {
            facts: Identity {
                application: "a".to_owned(),
                fingerprint: 0,
                partitions: 1,
                ..Identity::default()
            },
            generation: 4,
            epoch,
            unix_seconds: 0,
            previous: None,
            sources: Vec::new(),
            parts: Vec::new(),
            transactions: committed.to_vec(),
            delivered,
        };
        let target = Target::new("w", self.0.join("w"));
        let hold = Arc::new(Hold::new(SinkId(3), target.clone(), Vec::new()));
        Delivery::open(&target, &head, Some(&manifest), hold, BACKLOG_BYTES_MAX).map(Arc::new)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn delivered(transaction: u128) -> Vec<Delivered> {
    vec![Delivered { sink: "w".to_owned(), transaction }]
}

/// A gap would be there without a word.
#[test]
fn a_client_that_lost_what_it_had_is_refused_in_later_runs_too() {
    let (scratch, id) = (Scratch::new("deliver-lost"), |number| first_id(STATE, 3) | number);
    let delivery = scratch.delivery(&[], delivered(id(7))).expect("it can be opened");
    for last in [0, id(0), id(6)] {
        let refused = delivery.check_last(last).expect_err("it has lost something");
        for part in ["give it back what it had", &format!("`lost={:x}`", id(7))] {
            assert!(refused.contains(part), "`{part}` is not in {refused}");
        }
    }
    assert_eq!(delivery.check_last(id(7)), Ok(()));
    // The operator says that it is lost for good; what it commits then must not get lost again.
    let forgiving = |lost| {
        let delivery = scratch.delivery(&[], delivered(id(7))).expect("it can be opened");
        Arc::into_inner(delivery).expect("the only owner").forgive(lost)
    };
    assert!(forgiving(id(6)).check_last(0).is_err(), "it is another one");
    let delivery = forgiving(id(7));
    assert_eq!(delivery.check_last(0), Ok(()));
    delivery.settle(0).expect("nothing is there");
    assert_eq!(delivery.delivered(), id(7), "else it could be lost again");
    delivery.lock().delivered = id(8);
    assert!(delivery.check_last(0).is_err(), "it has lost what it got since");
}

/// Its answer is all that is left when the application is killed then.
#[test]
fn what_a_client_has_is_known_before_a_manifest_names_it() {
    let (scratch, id) = (Scratch::new("deliver-taken"), |number| first_id(STATE, 4) | number);
    let committed = [transaction(1, 1), transaction(2, 1), transaction(3, 1)];
    for number in 1..=3 {
        let name = format!(".w.4-{number}.spool");
        std::fs::write(scratch.0.join(name), b"x").expect("it can be written");
    }
    let open = || scratch.delivery(&committed, Vec::new()).expect("it can be opened");
    let before = open();
    before.show(&committed[0]).expect("it can be brought");
    before.show(&committed[1]).expect("it can be brought");
    for number in [1, 2] {
        before.settle(id(number)).expect("nothing is in the way");
    }
    assert_eq!(scratch.files(), [".w.4-2.taken", ".w.4-3.spool"]);
    let after = open();
    assert_eq!(after.delivered(), id(2));
    assert!(after.check_last(id(1)).is_err(), "it had more");
    assert_eq!([id(2), id(3)].map(|last| after.check_last(last)), [Ok(()), Ok(())]);
    assert!(after.show(&committed[1]).expect("it has it"));
    // After a return to an earlier checkpoint: the client is judged by what that one knows.
    let back = scratch.delivery_behind(Some(5), &[], delivered(id(1))).expect("it can be opened");
    assert_eq!([id(1), id(3), id(99)].map(|last| back.check_last(last)), [Ok(()), Ok(()), Ok(())]);
    assert!(back.check_last(0).is_err(), "it had more");
    assert_eq!(scratch.files(), [] as [&str; 0]);
}

/// What waits for it would be dropped.
#[test]
fn a_client_cannot_have_what_was_never_committed() {
    let scratch = Scratch::new("deliver-ahead");
    let committed = [transaction(1, 1), transaction(2, 1)];
    let open = |rewound| scratch.delivery_behind(rewound, &committed, Vec::new()).expect("opened");
    let delivery = open(Some(0));
    for last in [first_id(STATE, 4) | 3, first_id(STATE, 5) - 1, first_id(STATE, 5) | 1, u128::MAX]
    {
        check_foreign(&delivery, last);
    }
    assert_eq!(delivery.check_last(first_id(STATE, 4) | 2), Ok(()));
    // Who has gone back, or comes from an earlier version, does not know what was committed.
    for rewound in [Some(5), None] {
        assert_eq!(open(rewound).check_last(first_id(STATE, 4) | 3), Ok(()));
        check_foreign(&open(rewound), first_id(STATE, 5) | 1);
    }
}

/// The message names the spool and the sink ends, or the operator accepts the loss by a flag: it
/// is never tried for ever.
#[test]
fn a_spool_that_is_damaged_or_gone_is_lost() {
    let scratch = Scratch::new("deliver-damaged");
    let spool = scratch.0.join(".w.4-1.spool");
    let committed = [Transaction { digest: Some(xxh3_128(b"whole")), ..transaction(1, 5) }];
    let id = first_id(STATE, 4) | 1;
    for damaged in [Some(&b"hole"[..]), Some(b"whale"), None] {
        match damaged {
            Some(bytes) => std::fs::write(&spool, bytes).expect("it can be written"),
            None => drop(std::fs::remove_file(&spool)),
        }
        for lost in [0, id - 1, id] {
            let delivery = scratch.delivery(&committed, Vec::new()).expect("it can be opened");
            let delivery = Arc::into_inner(delivery).expect("the only owner").forgive(lost);
            let delivery = Arc::new(delivery);
            let mut session = Session::new(delivery.clone(), 0).expect("it has nothing");
            assert!(!delivery.show(&committed[0]).expect("it can be brought"));
            let mut out = Vec::new();
            let said = session.send(&mut out);
            assert!(out.is_empty(), "{out:?}");
            if lost == id {
                said.expect("it is passed over");
                assert_eq!(delivery.delivered(), id);
                break;
            }
            assert!(matches!(said, Err(DeliveryEnd::Stopped)), "{said:?}");
            let refused = delivery.show(&committed[0]).expect_err("it is lost").to_string();
            for part in [".w.4-1.spool", &format!("`lost={id:x}`")] {
                assert!(refused.contains(part), "`{part}` is not in {refused}");
            }
        }
        let _ = std::fs::remove_file(scratch.0.join(".w.4-1.taken"));
    }
}

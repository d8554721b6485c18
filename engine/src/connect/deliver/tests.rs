//! What a client may have, and whom a backlog holds back.

use potoroo_runtime::Poller;

use super::super::mail::mailbox;
use super::*;

const STATE: u64 = 7;

fn delivery_to(cores: Vec<Mailbox>) -> Delivery {
    let target = Target::new("w", PathBuf::from("nowhere/w"));
    Delivery::new(&target, STATE, 4, Holds::new(SinkId(3), cores))
}

fn transaction(number: u64, bytes: u64) -> Transaction {
    let spool = format!(".w.4-{number}.spool");
    Transaction { sink: "w".to_owned(), epoch: number, offset: 0, bytes, digest: None, spool }
}

/// One whose fourth life has committed a transaction.
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
        assert_eq!(delivery.check_last(last), Ok(()), "{last:x} may be of an earlier life");
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
fn a_client_that_has_less_than_it_had_is_told_so() {
    let (delivery, id) = delivery();
    delivery.lock().brought = id;
    delivery.lock().delivered = id;
    let refused = delivery.check_last(0).expect_err("it had one");
    assert!(refused.contains("give it back what it had"), "{refused}");
}

/// Whoever waits for markers must not be held back: only sources are, and only while it is too
/// much.
#[test]
fn a_backlog_holds_sources_back_until_there_is_room() {
    let (core, mut mail) = mailbox(Poller::new().expect("this host has one").waker());
    let delivery = delivery_to(vec![core]);
    let mut told = || match mail.take() {
        Some(Command::HoldSources { sink: SinkId(3), hold }) => Some(hold),
        Some(_) => panic!("nothing else is told"),
        None => None,
    };
    for number in 1..16_384 {
        delivery.show(&transaction(number, 1)).expect("it can be brought");
    }
    assert_eq!(told(), None);
    delivery.show(&transaction(16_384, 1)).expect("it can be brought");
    assert_eq!((told(), told()), (Some(true), None));
    delivery.settle(first_id(STATE, 4) | 1).expect("no spool is there");
    assert_eq!((told(), told()), (Some(false), None));
    delivery.show(&transaction(16_385, BACKLOG_BYTES_MAX)).expect("it can be brought");
    assert_eq!((told(), told()), (Some(true), None));
    delivery.settle(first_id(STATE, 4) | 16_385).expect("no spool is there");
    assert_eq!((told(), told()), (Some(false), None));
}

/// A client that does not look at ids would have it twice.
#[test]
fn what_the_client_has_does_not_come_again_while_its_spool_cannot_be_removed() {
    let scratch = std::env::temp_dir().join(format!("deliver-again-{}", std::process::id()));
    // No file, so it cannot be removed as one.
    std::fs::create_dir_all(scratch.join(".w.4-1.spool")).expect("it can be made");
    let holds = Holds::new(SinkId(3), Vec::new());
    let delivery = Delivery::new(&Target::new("w", scratch.join("w")), STATE, 5, holds);
    let (delivery, id) = (Arc::new(delivery), first_id(STATE, 4) | 1);
    let mut session = Session::new(delivery.clone(), id).expect("it may have it");
    assert!(delivery.show(&transaction(1, 1)).is_err(), "its spool is in the way");
    let mut out = Vec::new();
    let said = session.say(&mut out);
    assert!(out.is_empty() && matches!(said, Err(Over::Lost(_))), "{said:?} {out:?}");
    std::fs::remove_dir(scratch.join(".w.4-1.spool")).expect("it is empty");
    session.say(&mut out).expect("nothing is in the way");
    assert!(out.is_empty() && delivery.lock().waiting.is_empty());
    let _ = std::fs::remove_dir_all(scratch);
}

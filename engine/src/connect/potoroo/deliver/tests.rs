//! What a client may have, and whom a backlog holds back.

use std::sync::Arc;

use potoroo_runtime::{Nanos, Poller};
use potoroo_sdk::host::SinkId;
use xxhash_rust::xxh3::xxh3_128;

use super::*;
use crate::checkpoint::store::{Head, Memory, Store, StoreReader, contract};
use crate::checkpoint::{Delivered, Epoch, Manifest, Marks, Transaction, first_id};
use crate::connect::potoroo::hold::Hold;
use crate::connect::resume::Resume;
use crate::turn::{Command, Mailbox, NodeLease, mailbox};

const STATE: u64 = 7;
const BACKLOG_BYTES_MAX: u64 = 1 << 30;

fn hold(store: &Arc<dyn Store>, cores: Vec<Mailbox>) -> Arc<Hold> {
    Arc::new(Hold::new(SinkId(3), "w", store.clone(), cores))
}

fn delivery_to(cores: Vec<Mailbox>) -> Delivery {
    let store: Arc<dyn Store> = Arc::new(Memory::new());
    let hold = hold(&store, cores);
    let mut delivery = Delivery::new("w", (store, STATE), hold, BACKLOG_BYTES_MAX);
    // All of earlier generations may be with a client.
    delivery.known = first_id(STATE, 4) - 1;
    delivery
}

fn transaction(number: u64, bytes: u64) -> Transaction {
    Transaction {
        sink: "w".to_owned(),
        epoch: Epoch(number as u32),
        offset: 0,
        bytes,
        digest: None,
        object: format!("output-4-{number}-0-0000000000000001"),
        file: None,
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
    delivery.settle(first_id(STATE, 4) | 4096);
    assert_eq!(sent(), None);
    delivery.settle(first_id(STATE, 4) | 4097);
    assert_eq!((sent(), sent()), (Some(false), None));
    delivery.settle(first_id(STATE, 4) | 16_384);
    assert_eq!(sent(), None);
    delivery.show(&transaction(16_385, BACKLOG_BYTES_MAX)).expect("it can be brought");
    assert_eq!((sent(), sent()), (Some(true), None));
    delivery.settle(first_id(STATE, 4) | 16_385);
    assert_eq!((sent(), sent()), (Some(false), None));
}

/// The store of a state.
#[derive(Default)]
struct Stored(Memory);

impl Stored {
    /// With the output of these transactions.
    fn with(transactions: &[Transaction]) -> Self {
        let memory = Memory::new();
        for one in transactions {
            contract::put(&memory, &one.object, &vec![b'x'; one.bytes as usize]);
        }
        Self(memory)
    }

    fn marks(&self) -> Vec<String> {
        let objects = self.0.list().expect("it is in memory").into_iter();
        objects.map(|(name, _)| name).filter(|name| name.starts_with("shown-")).collect()
    }

    /// In generation 5, after a checkpoint with these transactions.
    fn delivery(&self, committed: &[Transaction], delivered: Vec<Delivered>) -> Arc<Delivery> {
        self.delivery_behind(Some(0), committed, delivered)
    }

    fn delivery_behind(
        &self,
        rewound: Option<u64>,
        committed: &[Transaction],
        delivered: Vec<Delivered>,
    ) -> Arc<Delivery> {
        let (generation, owner, folder, epoch) = (5, 1, STATE, Epoch(9));
        let head = Head { generation, owner, folder, epoch, rewound, ..Head::default() };
        let transactions = committed.to_vec();
        let manifest =
            Manifest { generation: 4, epoch, transactions, delivered, ..Manifest::default() };
        let store: Arc<dyn Store> = Arc::new(self.0.clone());
        let marks = Marks::read(&self.0).expect("it is in memory");
        let (manifest, positions) = (Some(&manifest), &[][..]);
        let resume = Resume { head: &head, manifest, positions, store: &store, marks: &marks };
        let hold = hold(&store, Vec::new());
        Arc::new(Delivery::open("w", &resume, hold, BACKLOG_BYTES_MAX))
    }
}

fn delivered(transaction: u128) -> Vec<Delivered> {
    vec![Delivered { sink: "w".to_owned(), transaction }]
}

/// A gap would be there without a word.
#[test]
fn a_client_that_lost_what_it_had_is_refused_in_later_runs_too() {
    let (stored, id) = (Stored::default(), |number| first_id(STATE, 3) | number);
    let delivery = stored.delivery(&[], delivered(id(7)));
    for last in [0, id(0), id(6)] {
        let refused = delivery.check_last(last).expect_err("it has lost something");
        for part in ["give it back what it had", &format!("`lost={:x}`", id(7))] {
            assert!(refused.contains(part), "`{part}` is not in {refused}");
        }
    }
    assert_eq!(delivery.check_last(id(7)), Ok(()));
    // The operator says that it is lost for good; what it commits then must not get lost again.
    let forgiving = |lost| {
        let delivery = stored.delivery(&[], delivered(id(7)));
        Arc::into_inner(delivery).expect("the only owner").forgive(lost)
    };
    assert!(forgiving(id(6)).check_last(0).is_err(), "it is another one");
    let delivery = forgiving(id(7));
    assert_eq!(delivery.check_last(0), Ok(()));
    delivery.settle(0);
    assert_eq!(delivery.delivered(), id(7), "else it could be lost again");
    delivery.lock().delivered = id(8);
    assert!(delivery.check_last(0).is_err(), "it has lost what it got since");
}

/// Its answer is all that is left when the application is killed then.
#[test]
fn what_a_client_has_is_known_before_a_manifest_names_it() {
    let id = |number| first_id(STATE, 4) | number;
    let committed = [transaction(1, 1), transaction(2, 1), transaction(3, 1)];
    let stored = Stored::with(&committed);
    let open = || stored.delivery(&committed, Vec::new());
    let before = open();
    before.show(&committed[0]).expect("it can be brought");
    before.show(&committed[1]).expect("it can be brought");
    [1, 2].into_iter().for_each(|number| before.settle(id(number)));
    assert_eq!(stored.marks(), ["shown-4-1-0-0000000000000001", "shown-4-2-0-0000000000000001"]);
    let after = open();
    assert_eq!(after.delivered(), id(2));
    assert!(after.check_last(id(1)).is_err(), "it had more");
    assert_eq!([id(2), id(3)].map(|last| after.check_last(last)), [Ok(()), Ok(())]);
    assert!(after.show(&committed[1]).expect("it has it"));
    // After a return to an earlier checkpoint: the client is judged by what that one knows.
    let back = stored.delivery_behind(Some(5), &[], delivered(id(1)));
    assert_eq!([id(1), id(3), id(99)].map(|last| back.check_last(last)), [Ok(()), Ok(()), Ok(())]);
    assert!(back.check_last(0).is_err(), "it had more");
}

/// What waits for it would be dropped.
#[test]
fn a_client_cannot_have_what_was_never_committed() {
    let committed = [transaction(1, 1), transaction(2, 1)];
    let stored = Stored::with(&committed);
    let open = |rewound| stored.delivery_behind(rewound, &committed, Vec::new());
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

/// The message names the object and the sink ends, or the operator accepts the loss by a flag: it
/// is never tried for ever.
#[test]
fn output_that_is_damaged_or_gone_is_lost() {
    let committed = [Transaction { digest: Some(xxh3_128(b"whole")), ..transaction(1, 5) }];
    let id = first_id(STATE, 4) | 1;
    for damaged in [Some(&b"hole"[..]), Some(b"whale"), None] {
        for lost in [0, id - 1, id] {
            let stored = Stored::default();
            damaged.iter().for_each(|bytes| contract::put(&stored.0, &committed[0].object, bytes));
            let delivery = stored.delivery(&committed, Vec::new());
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
            for part in [&committed[0].object, &format!("`lost={id:x}`")] {
                assert!(refused.contains(part), "`{part}` is not in {refused}");
            }
        }
    }
}

/// A client takes the connection that came last: the next lead would lose it.
#[test]
fn a_node_whose_lease_is_over_leaves_its_client_alone() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.set_nonblocking(true).expect("the system allows it");
    let port = listener.local_addr().expect("it is bound").port();
    let peer = Recipient {
        address: HostPort { host: "127.0.0.1".to_owned(), port },
        token: Token::default(),
        application: "a".to_owned(),
    };
    let lease = Arc::new(NodeLease::default());
    let leased = (Stopping::default(), EdgeLease::new(Some(lease.clone())));
    let courier = Courier::new(Arc::new(delivery_to(Vec::new())), peer, leased);
    let ended = courier.serve(&mut PAUSE.0.clone());
    assert!(matches!(&ended, Err(DeliveryEnd::Lost(why)) if why.contains("lease")), "{ended:?}");
    assert!(listener.accept().is_err(), "it does not dial");
    // One that was connected before is closed.
    lease.set(Nanos(u64::MAX));
    let of_client = lease.clone();
    let client = std::thread::spawn(move || {
        let (mut stream, _) = loop {
            match listener.accept() {
                Ok(accepted) => break accepted,
                Err(_) => std::thread::yield_now(),
            }
        };
        stream.set_nonblocking(false).expect("the system allows it");
        let mut hello = [0; 1];
        io::Read::read_exact(&mut stream, &mut hello).expect("it says hello");
        of_client.set(Nanos::ZERO);
        io::Read::read_to_end(&mut stream, &mut Vec::new()).expect("it closes");
    });
    let ended = courier.serve(&mut PAUSE.0.clone());
    assert!(matches!(&ended, Err(DeliveryEnd::Lost(why)) if why.contains("lease")), "{ended:?}");
    client.join().expect("it was closed");
}

//! The commit of a sink in another process, interrupted at each of its steps, by the death of
//! either side: what was not answered is offered again, what was stored is not, and later
//! transactions go on.

mod support;

use potoroo_connector::{Piece, Sink};
use rustix::process::Signal;
use support::{App, Scratch, check_windows, free_port, sink_at};

const NUMBERS: u64 = 20_000;

/// What a client does with a transaction.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fate {
    RefusesAtOnce,
    Refuses,
    DiesAtOnce,
    /// All is there, and nothing of it stored.
    DiesBeforeItStores,
    /// The application receives no answer.
    DiesBeforeItAnswers,
    DiesAfterItsAnswer,
    Commits,
}

impl Fate {
    const ALL: [Self; 7] = [
        Self::RefusesAtOnce,
        Self::Refuses,
        Self::DiesAtOnce,
        Self::DiesBeforeItStores,
        Self::DiesBeforeItAnswers,
        Self::DiesAfterItsAnswer,
        Self::Commits,
    ];

    fn at_once(self) -> bool {
        matches!(self, Self::RefusesAtOnce | Self::DiesAtOnce)
    }

    fn stores(self) -> bool {
        matches!(self, Self::DiesBeforeItAnswers | Self::DiesAfterItsAnswer | Self::Commits)
    }

    fn dies(self) -> bool {
        !matches!(self, Self::RefusesAtOnce | Self::Refuses | Self::Commits)
    }
}

/// A client of a sink with what it has stored.
struct Client {
    port: u16,
    sink: Option<Sink>,
    stored: Vec<u8>,
    last: u128,
}

impl Client {
    fn new(port: u16) -> Self {
        Self { port, sink: None, stored: Vec::new(), last: 0 }
    }

    /// Waits for the next transaction and lets it have its fate; returns its id. `None` when the
    /// application has ended before.
    fn meet(&mut self, fate: Fate, app: &mut App) -> Option<u128> {
        let (port, last) = (self.port, self.last);
        let sink = self.sink.get_or_insert_with(|| sink_at(port, "", last));
        let mut output = Vec::new();
        let transaction = loop {
            match sink.try_next().expect("it listens") {
                Some(Piece::Begin { transaction, .. }) if fate.at_once() => break transaction,
                Some(Piece::Begin { .. }) => output.clear(),
                Some(Piece::Data(bytes)) => output.extend_from_slice(bytes),
                Some(Piece::End { transaction }) => break transaction,
                None if app.has_ended() => return None,
                None => {}
            }
        };
        if fate.stores() {
            self.stored.append(&mut output);
            self.last = transaction;
        }
        match fate {
            Fate::RefusesAtOnce | Fate::Refuses => sink.refuse("the disk is full"),
            Fate::DiesAfterItsAnswer | Fate::Commits => sink.commit(transaction),
            _ => {}
        }
        if fate.dies() {
            self.sink = None;
        }
        Some(transaction)
    }

    fn take_rest(&mut self, app: &mut App) {
        while self.meet(Fate::Commits, app).is_some() {}
    }
}

/// Makes all numbers, and ends when their windows are with the client.
fn windows_to(client: &Client, scratch: &Scratch, cores: &str, drain_seconds: u64) -> App {
    App::start(
        "sequence_windows",
        &format!(
            "--source numbers=gen:numbers?count={NUMBERS}&rate=100000 --sink \
             windows=potoroo://127.0.0.1:{} --state {} --checkpoint-ms 10 --cores {cores} --report \
             json --drain-seconds {drain_seconds}",
            client.port,
            scratch.path("state")
        ),
    )
}

#[test]
fn however_a_commit_is_interrupted_nothing_is_lost_or_doubled() {
    let scratch = Scratch::new("commit-interrupted");
    let mut client = Client::new(free_port());
    let mut app = windows_to(&client, &scratch, "0", 60);
    let mut before: Option<(Fate, u128)> = None;
    for fate in Fate::ALL {
        let transaction = client.meet(fate, &mut app).expect("more will come");
        match before {
            Some((fate, before)) if fate.stores() => assert!(transaction > before, "{fate:?}"),
            Some((fate, before)) => assert_eq!(transaction, before, "after {fate:?}"),
            None => {}
        }
        before = Some((fate, transaction));
    }
    client.take_rest(&mut app);
    app.finish().report();
    check_windows(&scratch.write("windows", &client.stored), NUMBERS);
}

/// The application dies while only the client knows what has become of a transaction.
#[test]
fn a_transaction_in_doubt_is_settled_in_the_next_run() {
    for fate in [Fate::DiesBeforeItStores, Fate::DiesBeforeItAnswers] {
        let scratch = Scratch::new(&format!("commit-in-doubt-{fate:?}"));
        let mut client = Client::new(free_port());
        let mut app = windows_to(&client, &scratch, "0,0", 60);
        let doubtful = client.meet(fate, &mut app).expect("more will come");
        app.signal(Signal::KILL);
        app.finish();
        let mut app = windows_to(&client, &scratch, "0", 60);
        let next = client.meet(Fate::Commits, &mut app).expect("more will come");
        match fate.stores() {
            true => assert!(next > doubtful, "it has that already"),
            false => assert_eq!(next, doubtful, "it is the same again"),
        }
        client.take_rest(&mut app);
        app.finish().report();
        check_windows(&scratch.write("windows", &client.stored), NUMBERS);
    }
}

/// Each refusal costs a connection, and all that was brought in vain: they become rare.
#[test]
fn a_client_that_refuses_everything_is_asked_again_in_longer_and_longer_pauses() {
    let scratch = Scratch::new("commit-refused");
    let mut client = Client::new(free_port());
    let mut app = windows_to(&client, &scratch, "0", 3);
    let mut refusals = 0;
    while client.meet(Fate::RefusesAtOnce, &mut app).is_some() {
        refusals += 1;
    }
    let ended = app.finish();
    assert_eq!(ended.code, Some(3), "{}{}", ended.out, ended.log);
    assert!((1..60).contains(&refusals), "it was asked {refusals} times");
}

//! Programs that change, on the state of the program before: each small change and back, killed in
//! between, and the folders that an earlier version wrote.

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use potoroo::checkpoint::Manifest;
use potoroo::checkpoint::store::{FolderView, StoreReader};
use potoroo_connector::{Options, Piece, Source};
use potoroo_sdk::random::Random;
use rustix::process::Signal;
use support::kills::wait_for_commits;
use support::ledger::{
    CHANGES, CORRECTED, Place, check_totals, has_started, ledger, numbers, orders, own_names,
};
use support::{App, Ended, LIMIT, accept, free_port, receiver, sink_at};

#[test]
fn a_folder_of_an_earlier_version_goes_on_with_all_changes_when_nothing_is_under_way() {
    for change in CHANGES {
        let place = Place::stored(&format!("earlier-{change}"), "stopped", 600);
        let ended = place.run(change, "");
        ended.report();
        place.check();
        // And back.
        let names = own_names(change);
        let refused = (!names.is_empty()).then(|| place.run("base", ""));
        if let Some(refused) = refused {
            let name = names[0];
            refused.refused(1, &["is not in the program any more", &format!("--drop {name}")]);
        }
        let drop: String = names.iter().map(|name| format!("--drop {name} ")).collect();
        for _ in 0..2 {
            place.run("base", &drop).report();
            place.check();
        }
    }
}

#[test]
fn a_folder_of_an_earlier_version_with_frames_under_way_goes_on_with_the_same_program_only() {
    let place = Place::stored("earlier-frames", "frames", 12000);
    let before = place.head();
    let refused = place.run("filter", "");
    refused.refused(1, &["events were under way", "without names", "stop it with SIGTERM"]);
    assert_eq!(place.head(), before, "what is refused leaves everything as it was");
    place.run("base", "--cores 0").report();
    place.check();
    place.run("filter", "").report();
    place.check();
}

/// The program has the same structure and other keys or events: only the frames show it.
#[test]
fn frames_under_way_with_other_keys_or_events_are_refused_by_name() {
    for change in ["keys", "event"] {
        let place = Place::stored(&format!("earlier-{change}-frames"), "frames", 12000);
        let refused = place.run(change, "");
        let parts = ["were under way to `orders → map → key_by`, which has other keys or events"];
        refused.refused(1, &parts);
        // As the message says.
        let app = place.start("base", "");
        let mut app = app;
        assert!(has_started(&mut app));
        app.signal(Signal::TERM);
        app.finish().report();
        if change == "event" {
            place.run(change, "").report();
            place.check();
        }
    }
}

/// What a client has sent, and what waits for another one.
#[test]
fn clients_go_on_with_a_program_that_changed_on_a_folder_of_an_earlier_version() {
    let place = Place::stored("earlier-connector", "connector", 6000);
    let (source, sink) = (free_port(), free_port());
    let arguments = format!(
        "--source orders=potoroo://127.0.0.1:{source}?streams=1 --sink \
         totals=potoroo://127.0.0.1:{sink}?token=hush --state {} --cores 0,0 --report json",
        place.scratch.path("state")
    );
    let orders = place.orders.clone();
    let feed = std::thread::spawn(move || {
        let options = Options { patience: LIMIT, ..Options::new(format!("127.0.0.1:{source}")) };
        let mut source = Source::connect(options)?;
        let (stream, stored) = source.open("lines", 0)?;
        assert!(stored > 0, "it goes on where the checkpoint stands");
        source.send(stream, orders.len() as u64, &orders.as_bytes()[stored as usize..])?;
        source.end(stream);
        source.finish()
    });
    let length = totals_bytes(&place.orders);
    let collector = std::thread::spawn(move || {
        let mut client = sink_at(sink, "hush", 0);
        let (mut stored, mut output) = (Vec::new(), Vec::new());
        while stored.len() < length {
            match client.try_next().expect("it listens") {
                None => {}
                Some(Piece::Begin { .. }) => output.clear(),
                Some(Piece::Data(bytes)) => output.extend_from_slice(bytes),
                Some(Piece::End { transaction }) => {
                    stored.append(&mut output);
                    client.commit(transaction);
                }
            }
        }
        (stored, client)
    });
    let app = ledger("filter", &arguments);
    feed.join().expect("no panic").expect("the application runs");
    let (stored, client) = collector.join().expect("it gets all");
    app.finish().report();
    drop(client);
    check_totals(&stored, &place.orders);
}

/// Bytes of the lines that orders lead to.
fn totals_bytes(orders: &str) -> usize {
    let mut positions = BTreeMap::<u64, (u64, u64)>::new();
    let line = |order: Vec<u64>| {
        let (count, total) = positions.entry(order[0]).or_default();
        (*count, *total) = (*count + 1, *total + order[1]);
        format!("{} {count} {total}\n", order[0]).len()
    };
    orders.lines().map(numbers).map(line).sum()
}

#[test]
fn check_shows_what_a_start_would_keep_add_and_drop() {
    let place = Place::stored("changes-check", "stopped", 600);
    let before = place.head();
    let check = |change: &str, more: &str| place.run(change, &format!("--check {more}"));
    #[track_caller]
    fn shows(ended: &Ended, code: i32, parts: &[&str]) {
        assert_eq!(ended.code, Some(code), "{}{}", ended.out, ended.log);
        for part in parts {
            assert!(ended.out.contains(part), "`{part}` is not in:\n{}", ended.out);
        }
    }
    let kept = ["goes on from checkpoint 5", "table `positions`: kept", "source `orders`: kept"];
    shows(&check("table", ""), 0, &[&kept[..], &["table `largest`: added"]].concat());
    let migrated = "table `positions`: kept, migrated from `Position` (shape 36b893ebe7916198)";
    shows(&check("state", ""), 0, &[migrated]);
    let stranger = ledger(
        "stranger",
        &format!(
            "--check --source lines=file:{} --sink out=null: --state {}",
            place.scratch.path("orders"),
            place.scratch.path("state"),
        ),
    );
    let stranger = stranger.finish();
    let parts = ["table `counts`: not in the program any more, with 50 rows", "sink `out`: added"];
    shows(&stranger, 1, &parts);
    let position = "`--drop orders` to lose its position (1,707 bytes)";
    stranger.refused(1, &["`--drop positions` to lose 50 rows", position]);
    assert_eq!(place.head(), before, "nothing was changed");

    place.run("table", "").report();
    let gone = check("base", "");
    shows(&gone, 1, &["table `largest`: not in the program any more, with 50 rows"]);
    gone.refused(1, &["start with `--drop largest` to lose 50 rows"]);
    shows(&check("base", "--drop largest"), 0, &["table `largest`: dropped, with 50 rows"]);
    let by_file = place.scratch.write("config", b"drop = ['largest']\n");
    shows(&check("base", &format!("--config {by_file}")), 0, &["dropped, with 50 rows"]);
    check("base", "--drop larges").refused(1, &[
        "--drop larges: nothing of this name is in the checkpoint; in it, and not in the program: \
         table `largest`",
    ]);
    let wrong = check("base", "--drop counts --drop largest");
    wrong.refused(1, &["--drop counts: the program has this table: leave the flag out"]);
}

fn waits(manifest: &Manifest) -> bool {
    manifest.transactions.iter().any(|one| one.sink == "copies" && one.bytes > 0)
}

/// A sink is dropped whose client has not received what was committed for it.
#[test]
fn output_that_waits_for_a_sink_is_lost_on_the_operators_word_only() {
    let place = Place::new("changes-waiting", 2000);
    let nothing_listens = format!("--sink copies=potoroo://127.0.0.1:{}", free_port());
    let arguments = format!(
        "--source orders=file:{} --sink totals=file:{} {nothing_listens} --state {} --cores 0,0 \
         --checkpoint-ms 5 --drain-seconds 60",
        place.scratch.path("orders"),
        place.scratch.path("totals"),
        place.scratch.path("state"),
    );
    let app = ledger("sink", &arguments);
    let deadline = Instant::now() + LIMIT;
    while !place.manifest().is_some_and(|last| waits(&last)) {
        assert!(Instant::now() < deadline, "no output of it is committed");
        std::thread::park_timeout(std::time::Duration::from_millis(1));
    }
    app.signal(Signal::KILL);
    app.finish();
    let refused = place.run("base", "");
    refused.refused(1, &["start with `--drop copies` to lose", "bytes of committed output"]);
    assert!(!refused.log.contains("to lose 0 bytes"), "{}", refused.log);
    place.run("base", "--drop copies").report();
    place.check();
}

/// An older checkpoint is gone back to, of another program and of another version of Potoroo.
#[test]
fn a_program_that_changed_goes_back_to_checkpoints_of_the_programs_before() {
    let place = Place::stored("changes-restore", "stopped", 600);
    let kept = "--checkpoints-kept 1000";
    place.run("table", kept).report();
    let of_table = epoch(&place);
    place.run("source", &format!("{kept} --drop largest")).report();
    let of_source = epoch(&place);
    assert!(of_source > of_table && of_table > 5);
    let refused = place.run("base", &format!("{kept} --restore {of_source}"));
    refused.refused(1, &["source `corrections` is not in the program any more"]);
    let refused = place.run("base", &format!("{kept} --restore {of_table}"));
    refused.refused(1, &["table `largest` is not in the program any more"]);
    // Totals of the orders that followed are written again.
    let older = |epoch: u32, more: &str| {
        place.scratch.write("totals", b"");
        let ended = place.run("base", &format!("{kept} --restore {epoch} {more}"));
        assert_eq!(ended.code, Some(0), "{}", ended.log);
        let written = place.scratch.read("totals");
        String::from_utf8(written).expect("it is text").lines().count()
    };
    assert_eq!(older(of_table, "--drop largest"), 0, "all orders were read by then");
    assert_eq!(older(5, ""), 300, "half of the orders were");
}

fn epoch(place: &Place) -> u32 {
    let view = FolderView::open(Path::new(&place.scratch.path("state"))).expect("it is there");
    view.head().expect("it is whole").expect("it was committed").epoch.0
}

#[test]
fn two_programs_of_one_name_do_not_share_a_folder_unnoticed() {
    let place = Place::stored("changes-two", "stopped", 600);
    place.run("base", "").report();
    let pipe = place.scratch.path("pipe");
    let made = Command::new("mkfifo").arg(&pipe).status().expect("there is mkfifo");
    assert!(made.success());
    let stranger = || {
        let state = place.scratch.path("state");
        ledger("stranger", &format!("--source lines=file:{pipe} --sink out=null: --state {state}"))
    };
    let lost = ["table `positions` is not in", "source `orders` is not in", "sink `totals` is not"];
    stranger().finish().refused(1, &lost);
    let arguments = format!(
        "--source orders=file:{pipe} --sink totals=file:{} --state {}",
        place.scratch.path("other"),
        place.scratch.path("state"),
    );
    let mut running = ledger("base", &arguments);
    assert!(has_started(&mut running));
    stranger().finish().refused(1, &["is in use by process"]);
}

/// A program as it was, and what is to be done before another one goes on from its state.
struct Walk<'a> {
    place: &'a Place,
    random: Random,
    change: &'static str,
    kills: u64,
    drains: u64,
}

impl Walk<'_> {
    fn flags(&mut self) -> String {
        let cores = ["0", "0,0", "0,1", "0,1,0"][self.random.below(4) as usize];
        format!("--checkpoint-ms {} --cores {cores}", 1 + self.random.below(20))
    }

    /// Starts the program with `change` as an operator does who reads what is refused: names are
    /// dropped, and the program before is stopped when it has frames under way. Returns it when it
    /// runs, or what it said at its end.
    fn start(&mut self, change: &'static str) -> Result<App, Ended> {
        let (mut drop, mut tries) = (String::new(), 0);
        loop {
            tries += 1;
            assert!(tries < 10, "`{change}` does not start on the state of `{}`", self.change);
            let flags = self.flags();
            let mut app = self.place.start(change, &format!("{flags} {drop}"));
            if !has_started(&mut app) {
                let ended = app.finish();
                if ended.code == Some(0) {
                    self.change = change;
                    return Err(ended);
                }
                ended.refused(1, &["cannot be used by application `ledger`"]);
                for name in CHANGES.iter().flat_map(|change| own_names(change)) {
                    let flag = format!("--drop {name}");
                    if ended.log.contains(&format!("start with `{flag}`")) {
                        drop += &format!("{flag} ");
                    }
                }
                if ended.log.contains("were under way") {
                    self.drain();
                }
                continue;
            }
            self.change = change;
            return Ok(app);
        }
    }

    /// Has the program before deliver what is under way.
    fn drain(&mut self) {
        let flags = self.flags();
        let mut app = self.place.start(self.change, &flags);
        assert!(has_started(&mut app) || app.has_ended());
        if !app.has_ended() {
            app.signal(Signal::TERM);
        }
        app.finish().report();
        self.drains += 1;
    }
}

/// Each change and back, on an input that grows, killed after up to three commits each time.
#[test]
fn every_change_and_back_goes_on_after_kills() {
    let mut place = Place::new("changes-killed", 1);
    let all = orders(PER_START * 4 * CHANGES.len());
    let random = Random::new(11);
    let changes = CHANGES.iter().flat_map(|change| [*change, "base"]).cycle();
    let (mut change, mut kills, mut drains) = ("base", 0, 0);
    let starts = 4 * CHANGES.len();
    let mut random = random;
    for (start, next) in changes.take(starts).enumerate() {
        place.orders =
            all.lines().take((start + 1) * PER_START).map(|line| line.to_owned() + "\n").collect();
        place.scratch.write("orders", place.orders.as_bytes());
        let mut walk = Walk { place: &place, random, change, kills, drains };
        if let Ok(mut app) = walk.start(next) {
            let commits = walk.random.below(4);
            if wait_for_commits(&mut app, &|| place.head(), commits) {
                app.signal(Signal::KILL);
                walk.kills += 1;
            }
            let ended = app.finish();
            assert!(ended.code.is_none_or(|code| code == 0), "{}", ended.log);
        }
        Walk { random, change, kills, drains, .. } = walk;
    }
    let mut walk = Walk { place: &place, random, change, kills, drains };
    if let Ok(app) = walk.start("base") {
        app.finish().report();
    }
    println!("{starts} changes, killed {kills} times, {drains} drains");
    place.check();
    assert!(kills > 7, "killed {kills} times");
}

/// Orders that are added before each start.
const PER_START: usize = 20_000;

/// Receivers of `?sequence=true` drop what comes again by the stream in its id. A source that is
/// described before another one does not take its ids.
#[test]
fn ids_of_outputs_are_those_of_the_program_before() {
    let mut place = Place::new("changes-ids", 300);
    let streams = |place: &Place, change: &str| {
        let (listener, address) = receiver();
        let more = format!("--cores 0 --sink totals=tcp://{address}?sequence=true");
        let app = place.start_to(change, &more);
        let mut bytes = Vec::new();
        accept(&listener).read_to_end(&mut bytes).expect("it ends");
        app.finish().report();
        let mut streams = BTreeMap::<bool, BTreeSet<u64>>::new();
        let mut rest = bytes.as_slice();
        while let Some((id, line)) = rest.split_first_chunk::<16>() {
            let end = line.iter().position(|byte| *byte == b'\n').expect("a whole line");
            let numbers = numbers(std::str::from_utf8(&line[..end]).expect("it is text"));
            let stream = u64::from_le_bytes(id[..8].try_into().expect("eight bytes"));
            streams.entry(numbers[0] < CORRECTED).or_default().insert(stream);
            rest = &line[end + 1..];
        }
        streams
    };
    let before = streams(&place, "base");
    assert_eq!(before, BTreeMap::from([(true, BTreeSet::from([1]))]));
    place.orders = orders(600);
    place.scratch.write("orders", place.orders.as_bytes());
    let after = streams(&place, "source");
    assert_eq!(after[&true], before[&true], "the source `orders` keeps its stream");
    assert_eq!(after[&false], BTreeSet::from([2]), "the source `corrections` has another one");
}

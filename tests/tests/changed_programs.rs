//! Programs that change, on the state of the program before: each small change and back, killed in
//! between, and the folders that an earlier version wrote.

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use potoroo::checkpoint::Manifest;
use potoroo::checkpoint::store::{FolderView, StoreReader};
use potoroo_tests::seeds::each_seed;
use rustix::process::Signal;
use support::ledger::{
    CHANGES, CORRECTED, Place, by_symbol, check_fed, check_lines, check_totals, collect, feed,
    has_started, ledger, numbers, orders, own_names,
};
use support::operator::{checkpoint, restore};
use support::walk::Walk;
use support::{Ended, LIMIT, accept, free_port, receiver};

#[test]
fn a_folder_of_an_earlier_version_goes_on_with_all_changes_when_nothing_is_under_way() {
    for change in CHANGES {
        let place = Place::stored(&format!("earlier-{change}"), "state_1/stopped", 600);
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
    let place = Place::stored("earlier-frames", "state_1/frames", 12000);
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
        let place = Place::stored(&format!("earlier-{change}-frames"), "state_1/frames", 12000);
        let before = place.head();
        let parts = ["were under way to `orders → map → key_by`, which has other keys or events"];
        place.run(change, "--check").refused(1, &parts);
        assert_eq!(place.head(), before, "nothing was changed");
        // Gone back to, an older checkpoint would be the last one.
        place.run(change, "--restore 1").refused(1, &parts);
        assert_eq!(place.head(), before, "nothing was changed");
        let refused = place.run(change, "");
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

/// They would end the application when they are restored.
#[test]
fn a_running_program_does_not_go_back_to_frames_with_other_keys() {
    let place = Place::stored("keys-rollback", "state_1/frames", 12000);
    let of_frames = epoch(&place);
    let kept = "--checkpoints-kept 1000";
    place.run("base", kept).report();
    let pipe = place.scratch.path("pipe");
    let made = Command::new("mkfifo").arg(&pipe).status().expect("there is mkfifo");
    assert!(made.success());
    let arguments = format!(
        "--source orders=file:{pipe} --sink totals=file:{} --state {} --cores 0 {kept} \
         --checkpoint-ms 3600000 --admin 127.0.0.1:0",
        place.scratch.path("totals"),
        place.scratch.path("state"),
    );
    let mut app = ledger("keys", &arguments);
    let admin = app.admin();
    let before = place.head();
    let refused = restore(admin, of_frames.into()).expect_err("its frames have other keys");
    assert!(refused.contains("were under way to `orders → map → key_by`"), "{refused}");
    assert_eq!(place.head(), before, "nothing was changed");
    checkpoint(admin);
    assert!(!app.has_ended());
}

/// What a client has sent, and what waits for another one.
#[test]
fn clients_go_on_with_a_program_that_changed_on_a_folder_of_an_earlier_version() {
    let place = Place::stored("earlier-connector", "state_1/connector", 6000);
    let (source, sink) = (free_port(), free_port());
    let arguments = format!(
        "--source orders=potoroo://127.0.0.1:{source}?streams=1 --sink \
         totals=potoroo://127.0.0.1:{sink}?token=hush --state {} --cores 0,0 --report json",
        place.scratch.path("state")
    );
    let (orders, over) = (place.orders.clone(), Arc::new(AtomicBool::new(false)));
    let feed = std::thread::spawn(move || feed(source, &orders));
    let collector = collect(sink, over.clone());
    let app = ledger("filter", &arguments);
    feed.join().expect("no panic").expect("the application runs");
    app.finish().report();
    over.store(true, Ordering::Relaxed);
    check_totals(&collector.join().expect("it gets all"), &place.orders);
}

#[test]
fn check_shows_what_a_start_would_keep_add_and_drop() {
    let place = Place::stored("changes-check", "state_1/stopped", 600);
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
    let place = Place::stored("changes-restore", "state_1/stopped", 600);
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
    let place = Place::stored("changes-two", "state_1/stopped", 600);
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

/// Each change and back, on an input that grows, killed after up to three commits each time.
#[test]
fn every_change_and_back_goes_on_after_kills() {
    each_seed("changed_programs every_change", 1, |seed| {
        let place = Place::new(&format!("changes-killed-{seed}"), 1);
        let changes = CHANGES.iter().flat_map(|change| [*change, "base"]).cycle();
        let starts = 4 * CHANGES.len();
        let all = orders(PER_START * starts);
        let ends: Vec<usize> = all.match_indices('\n').map(|(end, _)| end + 1).collect();
        let (start, head) = (|change: &str, more: &str| place.start(change, more), || place.head());
        let mut walk = Walk::new(&start, &head, seed);
        for (made, change) in changes.take(starts).enumerate() {
            place.scratch.write("orders", &all.as_bytes()[..ends[(made + 1) * PER_START - 1]]);
            walk.step(change).into_iter().for_each(|ended| drop(ended.report()));
        }
        if let Ok(app) = walk.run("base") {
            app.finish().report();
        }
        println!("{starts} changes, killed {} times, {} drains", walk.kills, walk.drains);
        assert!(walk.kills > 7, "killed {} times", walk.kills);
        check_totals(&place.scratch.read("totals"), &all);
    });
}

/// What only a changed program has, a sink, a source or a table: it is killed until it ends.
#[test]
fn what_only_a_changed_program_has_is_whole_after_kills() {
    each_seed("changed_programs what_only", 1, |seed| {
        let place = Place::new(&format!("changes-own-{seed}"), 1);
        let all = orders(PER_START * 6);
        let ends: Vec<usize> = all.match_indices('\n').map(|(end, _)| end + 1).collect();
        let end = |starts: usize| ends[starts * PER_START - 1];
        let (start, head) = (|change: &str, more: &str| place.start(change, more), || place.head());
        let mut walk = Walk::new(&start, &head, seed);
        for (round, change) in ["sink", "source", "table"].into_iter().enumerate() {
            let (old, new) = (end(2 * round + 1), end(2 * round + 2));
            place.scratch.write("orders", &all.as_bytes()[..old]);
            walk.run_out("base").report();
            let written = place.scratch.read("totals").len();
            place.scratch.write("orders", &all.as_bytes()[..new]);
            walk.run_out(change).report();
            let totals = place.scratch.read("totals").split_off(written);
            let totals = String::from_utf8(totals).expect("it is text");
            match change {
                "sink" => check_copies(&place, &totals),
                "source" => check_corrections(&place, &totals),
                _ => check_largest(&place, &all[old..new]),
            }
        }
        println!("killed {} times, {} drains", walk.kills, walk.drains);
        assert!(walk.kills > 3, "killed {} times", walk.kills);
        check_totals(&place.scratch.read("totals"), &all);
    });
}

/// The sink `copies` has the totals of the orders that its program read.
fn check_copies(place: &Place, totals: &str) {
    let copies = String::from_utf8(place.scratch.read("copies")).expect("it is text");
    let mut expected = by_symbol(totals.lines());
    expected.values_mut().flatten().for_each(|line| {
        line.remove(1);
    });
    assert!(by_symbol(copies.lines()) == expected, "`copies` has other totals than `totals`");
}

/// Each line of the source `corrections` has led to one total.
fn check_corrections(place: &Place, totals: &str) {
    let corrections = String::from_utf8(place.scratch.read("corrections")).expect("it is text");
    check_lines(totals.lines().filter(|line| numbers(line)[0] >= CORRECTED), &corrections);
}

/// The table `largest` knows the orders that its program read, and no others.
fn check_largest(place: &Place, orders: &str) {
    let mut expected = BTreeMap::<u64, u64>::new();
    for order in orders.lines().map(numbers) {
        let largest = expected.entry(order[0]).or_default();
        *largest = order[1].max(*largest);
    }
    let row = |(symbol, largest)| format!("{{\"key\":{symbol},\"state\":{largest}}}");
    let mut expected: Vec<String> = expected.into_iter().map(row).collect();
    expected.sort();
    assert_eq!(place.rows("table", "largest"), expected);
}

/// Orders that are added before each start.
const PER_START: usize = 20_000;

/// The same with clients that stay: of the source, and of the sink.
#[test]
fn clients_get_everything_once_while_the_program_changes_and_is_killed() {
    each_seed("changed_programs clients_get", 1, |seed| {
        let place = Place::new(&format!("changes-clients-{seed}"), 150_000);
        let (source, sink) = (free_port(), free_port());
        let (orders, over) = (place.orders.clone(), Arc::new(AtomicBool::new(false)));
        let feed = std::thread::spawn(move || feed(source, &orders));
        let collector = collect(sink, over.clone());
        let start = |change: &str, more: &str| {
            let addresses = format!(
                "--source orders=potoroo://127.0.0.1:{source}?streams=1 --sink \
                 totals=potoroo://127.0.0.1:{sink}?token=hush --drain-seconds 60 {more}"
            );
            place.start_from(change, &addresses)
        };
        let head = || place.head();
        let mut walk = Walk::new(&start, &head, seed);
        let mut changes = CHANGES.iter().flat_map(|change| [*change, "base"]).cycle();
        let ended = loop {
            let change = changes.next().expect("it goes on for ever");
            if let Some(ended) = walk.step(change) {
                break ended;
            }
        };
        ended.report();
        println!("killed {} times, {} drains", walk.kills, walk.drains);
        check_fed(feed.join().expect("no panic"));
        over.store(true, Ordering::Relaxed);
        check_totals(&collector.join().expect("it gets all"), &place.orders);
        assert!(walk.kills > 0, "it was never killed");
    });
}

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

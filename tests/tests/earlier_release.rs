//! Folders that an earlier release wrote go on, with the same program and with changed ones, on
//! other numbers of cores.
//!
//! The folders are those in `tests/data/state_2`, which `ledger base` wrote with manifests of
//! format 3: `stopped` at its end; `frames` killed after a commit whose output the file did not
//! show yet, with frames under way; `connector` killed with nine epochs of output that wait for
//! their client; `restored` gone back from epoch 8 to 4, and killed before it committed anything.

mod support;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use support::ledger::{CHANGES, Place, check_totals, collect, feed, ledger, numbers, own_names};
use support::{Ended, free_port};

const CORES: [&str; 3] = ["0", "0,0", "0,1,0"];

#[test]
fn a_folder_of_a_stopped_program_goes_on_with_all_changes_and_back() {
    for (change, cores) in CHANGES.iter().zip(CORES.iter().cycle()) {
        let place = Place::stored(&format!("release-{change}"), "state_2/stopped", 600);
        place.run(change, &format!("--cores {cores}")).report();
        place.check();
        let drop: String = own_names(change).iter().map(|it| format!("--drop {it} ")).collect();
        place.run("base", &drop).report();
        place.check();
    }
}

/// Frames go on, and output that was committed is shown once. Only other events have no place.
#[test]
fn a_folder_with_frames_under_way_and_output_that_is_not_shown_goes_on() {
    for (change, cores) in ["base"].iter().chain(&CHANGES).zip(CORES.iter().cycle()) {
        let place = Place::stored(&format!("frames-{change}"), "state_2/frames", 12000);
        let before = place.head();
        let ended = place.run(change, &format!("--cores {cores}"));
        if *change == "event" {
            ended.refused(1, &["66 events were under way to `orders → map → key_by`"]);
            assert_eq!(place.head(), before, "what is refused leaves everything as it was");
            continue;
        }
        ended.report();
        place.check();
        let left = place.files().into_iter().filter(|name| name.ends_with(".spool"));
        assert_eq!(left.count(), 0, "{change}: spools are left over");
    }
}

#[test]
fn a_folder_with_output_that_waits_for_a_client_goes_on() {
    for (change, cores) in ["base", "filter", "table"].iter().zip(CORES) {
        let place = Place::stored(&format!("client-{change}"), "state_2/connector", 6000);
        let (sink, over) = (free_port(), Arc::new(AtomicBool::new(false)));
        let collector = collect(sink, over.clone());
        let sink = format!("potoroo://127.0.0.1:{sink}?token=hush");
        go_on(&place, change, &format!("--cores {cores} --sink totals={sink}")).report();
        over.store(true, Ordering::Relaxed);
        check_totals(&collector.join().expect("it gets all"), &place.orders);
    }
}

/// The file has the output of epochs 5 to 8 already, and gets it once more, as the start said.
#[test]
fn a_folder_that_was_gone_back_to_an_older_checkpoint_goes_on_from_there() {
    for (change, cores) in ["base", "filter", "key_by"].iter().zip(CORES) {
        let place = Place::stored(&format!("restored-{change}"), "state_2/restored", 6000);
        let had = place.scratch.read("totals").len();
        let totals = place.scratch.path("totals");
        let more = format!("--cores {cores} --sink totals=file:{totals} --restore 4");
        let ended = go_on(&place, change, &more);
        assert!(ended.log.contains("that was done at an earlier start"), "{}", ended.log);
        ended.report();
        let written = place.scratch.read("totals");
        let again: Vec<&[u8]> = written[had..].split_inclusive(|byte| *byte == b'\n').collect();
        let repeated = String::from_utf8(written[..had].to_vec()).expect("it is text");
        let repeated =
            repeated.lines().filter(|line| again.contains(&format!("{line}\n").as_bytes()));
        assert_eq!(repeated.count(), 20, "four epochs of five orders come again");
        check_totals(&once(&written), &place.orders);
    }
}

/// Runs the program on the folder of `place`, with a client that sends what it has not got.
fn go_on(place: &Place, change: &str, more: &str) -> Ended {
    let source = free_port();
    let arguments = format!(
        "--source orders=potoroo://127.0.0.1:{source}?streams=1 --state {} --report json {more}",
        place.scratch.path("state")
    );
    let orders = place.orders.clone();
    let feed = std::thread::spawn(move || feed(source, &orders));
    let app = ledger(change, &arguments);
    feed.join().expect("no panic").expect("the application runs");
    app.finish()
}

/// The lines without those that came before.
fn once(written: &[u8]) -> Vec<u8> {
    let (mut seen, mut once) = (BTreeMap::<u64, u64>::new(), Vec::new());
    for line in std::str::from_utf8(written).expect("it is text").lines() {
        let [symbol, count, _] = numbers(line)[..] else { panic!("`{line}` is no total") };
        let last = seen.entry(symbol).or_default();
        if count > *last {
            *last = count;
            once.extend(format!("{line}\n").into_bytes());
        }
    }
    once
}

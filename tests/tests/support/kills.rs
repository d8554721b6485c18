//! Killing a real application again and again, on another number of cores each time.

use std::time::{Duration, Instant};

use potoroo_sdk::random::Random;
use rustix::process::Signal;

use super::{App, LIMIT, Scratch, head};

/// Starts an example and kills it at some point of its progress, until it ends by itself. Returns
/// how often it was killed.
pub fn kill_until_it_ends(name: &str, arguments: &str, scratch: &Scratch, seed: u64) -> u64 {
    kill_behind(name, arguments, scratch, seed, "")
}

/// As [`kill_until_it_ends`], most often only after a line with `part` in the log: what comes from
/// elsewhere has to come before there is any progress.
pub fn kill_behind(name: &str, arguments: &str, scratch: &Scratch, seed: u64, part: &str) -> u64 {
    let state = scratch.path("state");
    let start = |more: &str| App::start(name, &format!("{arguments} --state {state} {more}"));
    let head = || head(&state);
    kill(&start, &head, seed, part)
}

/// As [`kill_behind`], whatever is started, and wherever its HEAD lies.
pub fn kill(start: &dyn Fn(&str) -> App, head: &dyn Fn() -> Vec<u8>, seed: u64, part: &str) -> u64 {
    let mut random = Random::new(seed);
    for kills in 0.. {
        assert!(kills < 1000, "it does not get to its end");
        let cores = ["0", "0,0", "0,1", "0,1,0"][random.below(4) as usize];
        let checkpoint_ms = 1 + random.below(40);
        let mut app =
            start(&format!("--cores {cores} --checkpoint-ms {checkpoint_ms} --report json"));
        if random.below(4) > 0 {
            wait_for_part(&mut app, part);
        }
        // Killed after up to three further commits, or in the middle of starting.
        if !wait_for_commits(&mut app, head, random.below(4)) {
            let ended = app.finish();
            ended.report();
            println!("killed {kills} times");
            return kills;
        }
        app.signal(Signal::KILL);
    }
    unreachable!("it returns from the loop")
}

/// Waits for `part` in the log, or for the end.
fn wait_for_part(app: &mut App, part: &str) {
    let deadline = Instant::now() + LIMIT;
    while !app.log_so_far().contains(part) && !app.has_ended() {
        assert!(Instant::now() < deadline, "`{part}` was not said within {LIMIT:?}");
        std::thread::park_timeout(Duration::from_micros(300));
    }
}

/// Waits until HEAD has changed `count` times. Returns false if the application has ended first.
pub fn wait_for_commits(app: &mut App, head: &dyn Fn() -> Vec<u8>, count: u64) -> bool {
    let (mut seen, mut changes) = (head(), 0);
    let deadline = Instant::now() + LIMIT;
    while changes < count {
        assert!(Instant::now() < deadline, "no checkpoint within {LIMIT:?}:\n{}", app.log_so_far());
        if app.has_ended() {
            return false;
        }
        let now = head();
        changes += u64::from(now != seen);
        seen = now;
        // Leaves the CPU to the application.
        std::thread::park_timeout(Duration::from_micros(300));
    }
    !app.has_ended()
}

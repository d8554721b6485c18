//! A thousand rollbacks in one process: memory, descriptors and threads are counted; none grows.

mod support;

use std::fs;

use support::operator::{checkpoint, restore};
use support::{App, Scratch, free_port};

/// What a process holds.
#[derive(Clone, Copy, Debug)]
struct Held {
    kib: u64,
    descriptors: usize,
    threads: usize,
}

impl Held {
    fn by(app: &App) -> Self {
        let folder = format!("/proc/{}", app.process().as_raw_nonzero());
        let status = fs::read_to_string(format!("{folder}/status")).expect("it runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.and_then(|text| text.trim().split(' ').next()).expect("a number");
        let count = |of: &str| fs::read_dir(format!("{folder}/{of}")).expect("it runs").count();
        Self {
            kib: kib.parse().expect("a number"),
            descriptors: count("fd"),
            threads: count("task"),
        }
    }
}

/// The first rollbacks fill what stays filled; the others may not add to it.
#[test]
fn a_thousand_rollbacks_leave_nothing_in_their_process() {
    const WARM: usize = 100;
    const ALL: usize = 1_000;
    let scratch = Scratch::new("rollback-many");
    let (words, counts) = (free_port(), free_port());
    let mut app = App::start(
        "word_count",
        &format!(
            "--source lines=potoroo://127.0.0.1:{words} --sink counts=potoroo://127.0.0.1:{counts} \
             --state {} --checkpoint-ms 3600000 --cores 0,1 --admin 127.0.0.1:0",
            scratch.path("state")
        ),
    );
    let admin = app.admin();
    let epoch = checkpoint(admin);
    let mut warm = Held::by(&app);
    let mut stopped = Vec::new();
    for round in 0..ALL {
        let answer = restore(admin, epoch).unwrap_or_else(|error| panic!("{error}"));
        stopped.push(answer["stopped_ms"].as_f64().expect("a number"));
        if round + 1 == WARM {
            warm = Held::by(&app);
        }
        if round % 100 == 99 {
            println!("{round}: {:?}", Held::by(&app));
        }
    }
    let held = Held::by(&app);
    stopped.sort_by(f64::total_cmp);
    println!("{warm:?} after {WARM}, {held:?} after {ALL}: {:.1} ms each", stopped[ALL / 2]);
    assert!(held.descriptors <= warm.descriptors, "{warm:?} became {held:?}");
    assert!(held.threads <= warm.threads, "{warm:?} became {held:?}");
    // 900 generations of 4 KiB each would be 3.6 MiB.
    assert!(held.kib <= warm.kib + 3_600, "{warm:?} became {held:?}");
}

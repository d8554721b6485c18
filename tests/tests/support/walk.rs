//! A walk through programs that change, on one state, as an operator makes it who does what
//! refusals say.

use potoroo_sdk::random::Random;
use rustix::process::Signal;

use super::kills::wait_for_commits;
use super::ledger::{CHANGES, has_started, own_names};
use super::{App, Ended};

/// How a program with a change is started, with more flags.
type Start<'a> = &'a dyn Fn(&str, &str) -> App;

/// The program that was started last, and what was done.
pub struct Walk<'a> {
    pub start: Start<'a>,
    /// What HEAD is.
    pub head: &'a dyn Fn() -> Vec<u8>,
    pub random: Random,
    pub change: &'static str,
    pub kills: u64,
    pub drains: u64,
}

impl<'a> Walk<'a> {
    pub fn new(start: Start<'a>, head: &'a dyn Fn() -> Vec<u8>, seed: u64) -> Self {
        Self { start, head, random: Random::new(seed), change: "base", kills: 0, drains: 0 }
    }

    /// Starts the program with `change`, and kills it after up to three commits. Returns what it
    /// said if it ends before that.
    pub fn step(&mut self, change: &'static str) -> Option<Ended> {
        match self.run(change) {
            Err(ended) => Some(ended),
            Ok(mut app) => {
                let commits = self.random.below(4);
                if !wait_for_commits(&mut app, self.head, commits) {
                    return Some(app.finish());
                }
                app.signal(Signal::KILL);
                app.finish();
                self.kills += 1;
                None
            }
        }
    }

    /// Starts the program with `change`, and kills it until it ends by itself. Returns what it said
    /// then.
    pub fn run_out(&mut self, change: &'static str) -> Ended {
        loop {
            if let Some(ended) = self.step(change) {
                return ended;
            }
        }
    }

    /// Starts the program with `change`: names are dropped, and the program before is stopped when
    /// it has frames under way. Returns it when it runs, or what it said at its end.
    pub fn run(&mut self, change: &'static str) -> Result<App, Ended> {
        let mut drop = String::new();
        for _ in 0..10 {
            let flags = self.flags();
            let mut app = (self.start)(change, &format!("{flags} {drop}"));
            if has_started(&mut app) {
                self.change = change;
                return Ok(app);
            }
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
        }
        panic!("`{change}` does not start on the state of `{}`", self.change)
    }

    fn flags(&mut self) -> String {
        let cores = ["0", "0,0", "0,1", "0,1,0"][self.random.below(4) as usize];
        format!("--checkpoint-ms {} --cores {cores}", 1 + self.random.below(20))
    }

    /// Has the program before deliver what is under way.
    fn drain(&mut self) {
        let flags = self.flags();
        let mut app = (self.start)(self.change, &flags);
        if has_started(&mut app) && !app.has_ended() {
            app.signal(Signal::TERM);
        }
        app.finish().report();
        self.drains += 1;
    }
}

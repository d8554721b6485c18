//! The test of the tests: an engine that loses, doubles or reorders is reported.
//!
//! The engine has no switch to make mistakes with, so its outputs are broken instead.

use potoroo_tests::items::Shown;
use potoroo_tests::oracle::{Results, judge, observe};
use potoroo_tests::seeds::{Concern, each_seed, random};
use potoroo_tests::simulator::{Deployment, Script};
use potoroo_tests::topology::{Determined, Kind, Topology};
use potoroo_tests::trial::{expect, simulate};
use potoroo_tests::workload::Workload;

struct Run {
    topology: Topology,
    expected: Results,
    seen: Results,
}

fn run(seed: u64) -> Run {
    let kinds = vec![Kind::KeyStateful];
    let topology = Topology { seed, kinds, sources: 1, one_connection: true, fancy: false };
    let scripts: Vec<Script> = Workload::plain(1, 200).scripts(seed);
    let outcome = simulate(&topology, &Deployment::tiny(3, seed), &scripts);
    let seen = observe(&outcome, &scripts).expect("whole lines");
    Run { expected: expect(&topology, &scripts), seen, topology }
}

impl Run {
    fn output(&mut self) -> &mut Vec<Shown> {
        self.seen.sinks.get_mut("out0").expect("chains end in it")
    }

    #[track_caller]
    fn check(&self, complaint: &str) {
        let sinks = self.topology.sinks();
        let wrong = judge(&self.expected, &self.seen, &sinks).expect_err("this is a mistake");
        assert!(wrong.contains(complaint), "{wrong}");
    }
}

/// Breaks each run of which the output is long enough.
fn each_run(test: &str, break_it: impl Fn(&mut Run, usize)) {
    let mut broken = 0;
    each_seed(test, 12, |seed| {
        let mut run = run(seed);
        let length = run.output().len();
        if length > 10 {
            let at = random(seed, Concern::Damage).below(length as u64 - 1) as usize;
            break_it(&mut run, at);
            broken += 1;
        }
    });
    assert!(broken > 0 || std::env::var_os("POTOROO_SEED").is_some(), "outputs are too short");
}

#[test]
fn a_lost_item_is_reported() {
    each_run("a_lost_item_is_reported", |run, at| {
        run.output().remove(at);
        run.check("1 are missing");
    });
}

#[test]
fn a_doubled_item_is_reported() {
    each_run("a_doubled_item_is_reported", |run, at| {
        let item = run.output()[at];
        run.output().insert(at, item);
        run.check("came too often");
    });
}

#[test]
fn an_item_of_another_trail_is_reported() {
    each_run("an_item_of_another_trail_is_reported", |run, at| {
        run.output()[at].trail ^= 1;
        run.check("should not have come");
    });
}

#[test]
fn two_items_of_a_key_that_changed_places_are_reported() {
    each_run("two_items_of_a_key_that_changed_places_are_reported", |run, at| {
        let Determined::Order(grain) = run.topology.sinks()[0].determined else { return };
        let items = run.output();
        let group = grain.group(items[at].key);
        let next = (at + 1..items.len()).find(|next| grain.group(items[*next].key) == group);
        let Some(next) = next.filter(|next| items[*next] != items[at]) else { return };
        items.swap(at, next);
        run.check("order of origin");
    });
}

#[test]
fn a_state_that_went_back_is_reported() {
    each_run("a_state_that_went_back_is_reported", |run, _| {
        let tables = run.seen.tables.as_mut().expect("they are seen");
        let rows = tables.get_mut("t0").expect("the stage has a table");
        rows[0] = rows[0].replace("count: ", "count: 9");
        run.check("table `t0`");
    });
}

#[test]
fn a_lost_dead_letter_is_reported() {
    let mut run = run(1);
    run.expected.refused.push(("s0".into(), "no item".into(), vec![1]));
    run.check("dead letters");
}

#[test]
fn an_output_that_is_cut_off_is_reported() {
    assert!(Shown::parse_all(b"0 1 2 0 ff 0\n0 2").is_err());
    assert!(Shown::parse_all(b"0 1 2 0 ff 0 7\n").is_err());
    assert_eq!(Shown::parse_all(b"0 1 2 0 ff 0\n").map(|items| items.len()), Ok(1));
}

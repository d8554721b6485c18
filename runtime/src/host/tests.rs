//! Hosts with more reactors than CPUs, in every idle mode.

use std::time::Duration;

use super::*;
use crate::clock::{Clock, Nanos};
use crate::gaps::{GAP_NS, Gap};
use crate::lanes::{LaneLimits, Lanes, mesh};
use crate::poller::{Poller, Ready, Waker};

const ROUNDS: u64 = 200;

/// Passes one token around all cores; the token counts its hops.
struct Relay {
    index: usize,
    lanes: Lanes,
    wakers: Vec<Waker>,
    hops: u64,
    ready: Vec<Ready>,
}

impl Relay {
    fn cores(&self) -> usize {
        self.lanes.outbound.len()
    }

    fn pass(&mut self, token: u64) {
        let next = (self.index + 1) % self.cores();
        let lanes = &mut self.lanes.outbound[next];
        let (body, _) = lanes.try_append(0, 12).expect("one token leaves room");
        body.copy_from_slice(&token.to_le_bytes());
        lanes.publish(0);
        self.wakers[next].wake_if_parked();
    }

    fn take(&mut self) -> Option<u64> {
        let before = (self.index + self.cores() - 1) % self.cores();
        let limits = LaneLimits { epoch: 0, end: None };
        let mut lane = self.lanes.inbound[before].drain(0, limits);
        let (frame, next) = lane.frame_at(lane.head())?;
        let token = u64::from_le_bytes(frame[4..12].try_into().expect("eight bytes"));
        lane.consume_to(next);
        Some(token)
    }
}

impl Reactor for Relay {
    type Report = u64;

    fn turn(&mut self, _now: Nanos, poller: &mut Poller) -> Turn {
        poller.poll(&mut self.ready);
        if self.hops == ROUNDS {
            return Turn::Done;
        }
        let Some(token) = self.take() else { return Turn::Idle };
        self.hops += 1;
        if token < ROUNDS * self.cores() as u64 {
            self.pass(token + 1);
        }
        Turn::Worked
    }

    fn due(&self, _now: Nanos) -> Option<Nanos> {
        None
    }

    fn finish(self) -> u64 {
        self.hops
    }
}

#[test]
fn eight_parking_cores_share_two_cpus() {
    check_relay(Idle::Park);
}

#[test]
fn eight_adaptive_cores_share_two_cpus() {
    check_relay(Idle::Adaptive);
}

#[test]
fn two_spinning_cores_have_a_cpu_each() {
    check_relay_of(2, Idle::Spin);
}

fn check_relay(idle: Idle) {
    check_relay_of(8, idle);
}

fn check_relay_of(cores: usize, idle: Idle) {
    let mut lanes: Vec<Option<Lanes>> = mesh(cores, 1, 4096).into_iter().map(Some).collect();
    let host = start(config(cores, idle), |index, wakers| {
        let lanes = lanes[index].take().expect("each core is made once");
        let wakers = wakers.to_vec();
        move |_: &mut Poller| {
            let mut relay = Relay { index, lanes, wakers, hops: 0, ready: Vec::new() };
            if index == 0 {
                relay.pass(1);
            }
            relay
        }
    });
    let reports = host.expect("this host can run it").join().expect("no core panics");
    assert_eq!(reports, vec![ROUNDS; cores]);
}

/// Waits for a moment, then ends, panics or goes on waiting.
struct Waiting {
    until: Option<Nanos>,
    panics: bool,
}

impl Reactor for Waiting {
    type Report = Nanos;

    fn turn(&mut self, now: Nanos, poller: &mut Poller) -> Turn {
        poller.poll(&mut Vec::new());
        match self.until {
            Some(until) if now < until => Turn::Idle,
            Some(until) => {
                assert!(!self.panics, "due at {until}");
                Turn::Done
            }
            None => Turn::Idle,
        }
    }

    fn due(&self, _now: Nanos) -> Option<Nanos> {
        self.until
    }

    fn finish(self) -> Nanos {
        self.until.unwrap_or(Nanos::MAX)
    }
}

#[test]
fn a_parked_core_is_back_when_something_is_due() {
    for idle in [Idle::Spin, Idle::Adaptive, Idle::Park] {
        let due = Clock::new().now() + Duration::from_millis(3);
        let host = start(config(1, idle), |_, _| {
            move |_: &mut Poller| Waiting { until: Some(due), panics: false }
        });
        assert_eq!(host.expect("it can run").join().expect("no panic"), [due]);
    }
}

/// Its second turn takes long and says that it was idle, its third one that it worked.
struct Late {
    gaps: Vec<Gap>,
    starts: Vec<Nanos>,
}

impl Reactor for Late {
    type Report = (Vec<Gap>, Vec<Nanos>);

    fn turn(&mut self, now: Nanos, poller: &mut Poller) -> Turn {
        poller.poll(&mut Vec::new());
        self.starts.push(now);
        let clock = Clock::new();
        let turn = self.starts.len();
        while (turn == 2 || turn == 3) && clock.now() - now <= 40 * GAP_NS {}
        match turn {
            3 => Turn::Worked,
            4 => Turn::Done,
            _ => Turn::Idle,
        }
    }

    fn due(&self, now: Nanos) -> Option<Nanos> {
        Some(now)
    }

    fn gap(&mut self, gap: Gap) {
        self.gaps.push(gap);
    }

    fn finish(self) -> (Vec<Gap>, Vec<Nanos>) {
        (self.gaps, self.starts)
    }
}

#[test]
fn a_turn_that_is_late_after_an_idle_one_is_a_gap() {
    for idle in [Idle::Spin, Idle::Adaptive] {
        let late = |_: &mut Poller| Late { gaps: Vec::new(), starts: Vec::new() };
        let host = start(config(1, idle), |_, _| late);
        let reports = host.expect("it can run").join().expect("no panic");
        let (gaps, starts) = &reports[0];
        let behind = |start: Nanos| gaps.iter().find(|gap| gap.start == start).map(|gap| gap.end);
        assert_eq!(behind(starts[1]), Some(starts[2]), "{idle:?}: {gaps:?}");
        assert_eq!(behind(starts[2]), None, "work is no gap: {gaps:?}");
    }
}

#[test]
fn a_panic_names_its_core_and_stops_the_others() {
    let host = start(config(3, Idle::Park), |index, _| {
        move |_: &mut Poller| Waiting { until: (index == 1).then_some(Nanos::ZERO), panics: true }
    });
    let error = host.expect("it can run").join().expect_err("core 1 panics");
    assert_eq!(error.to_string(), "core 1 panicked: due at 0ns");
}

#[test]
fn a_panic_while_building_is_one_of_the_core() {
    let host = start(config(2, Idle::Park), |index, _| {
        move |_: &mut Poller| {
            assert!(index == 1, "cannot build");
            Waiting { until: None, panics: false }
        }
    });
    let error = host.expect("it can run").join().expect_err("core 0 panics");
    assert_eq!(error.to_string(), "core 0 panicked: cannot build");
}

#[test]
fn a_dropped_host_takes_its_cores_along() {
    let host = start(config(2, Idle::Park), |_, _| {
        move |_: &mut Poller| Waiting { until: None, panics: false }
    })
    .expect("it can run");
    assert_eq!(host.running(), 2);
    assert_eq!(host.wakers().len(), 2);
    drop(host);
}

/// This many cores on at most two CPUs.
fn config(cores: usize, idle: Idle) -> HostConfig {
    let allowed = rustix::thread::sched_getaffinity(None).expect("can be asked");
    let cpus: Vec<usize> = (0..1024).filter(|&cpu| allowed.is_set(cpu)).take(2).collect();
    let mut config = HostConfig::new((0..cores).map(|core| cpus[core % cpus.len()]).collect());
    config.idle = idle;
    config
}

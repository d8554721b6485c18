//! The loop of a load, on a thread of its own.

use std::net::TcpStream;
use std::sync::mpsc::{Sender, channel};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use potoroo_runtime::socket::keep_alive;
use rustix::event::epoll;
use rustix::fd::OwnedFd;
use serde_json::{Value, json};

use super::account::{Account, RunPart};
use super::connection::LoadConnection;
use super::protocol::Protocol;
use crate::interrupt;
use crate::load::{Skew, Traffic};
use crate::place::{Gate, Place, join, start};
use crate::stamp;

/// What is sent where, and for how long.
#[derive(Clone, Debug)]
pub struct LoadPlan {
    /// Where the application listens: `HOST:PORT`.
    pub server: String,
    /// What is sent.
    pub protocol: Protocol,
    /// When it is sent.
    pub traffic: Traffic,
    /// Number of different keys.
    pub keys: u64,
    /// How events spread over them.
    pub skew: Skew,
    /// How long events are sent that do not count.
    pub warm_up: Duration,
    /// How long events are sent that do.
    pub length: Duration,
    /// After how long the account so far is handed out.
    pub interval: Duration,
}

impl LoadPlan {
    /// As it stands in a report.
    pub fn json(&self) -> Value {
        json!({
            "server": self.server,
            "protocol": format!("{:?}", self.protocol),
            "rate": self.traffic.rate,
            "connections": self.traffic.connections,
            "arrivals": self.traffic.arrivals.to_string(),
            "keys": self.keys,
            "skew": self.skew.to_string(),
            "seed": self.traffic.seed,
            "warm_up_seconds": self.warm_up.as_secs_f64(),
            "seconds": self.length.as_secs_f64(),
        })
    }
}

/// Runs a load on the left CPU and hands out its account, part by part, on the calling thread.
///
/// # Errors
/// The application cannot be connected to, then there is no part; it breaks a connection, or
/// answers something else.
pub fn run(plan: &LoadPlan, place: Place, mut take: impl FnMut(RunPart)) -> Result<()> {
    let (sender, parts) = channel();
    thread::scope(|scope| {
        let load = start(scope, || place.alone(|gate| drive(plan, gate, sender)))?;
        parts.iter().for_each(&mut take);
        join(load)
    })
}

fn drive(plan: &LoadPlan, gate: &Gate, parts: Sender<RunPart>) -> Result<()> {
    let streams = connect(plan)?;
    let poll = watch(&streams)?;
    let sprint = gate.enter();
    let mut load = Load::new(plan, streams, poll, parts);
    let outcome = load.run();
    drop(sprint);
    load.finish();
    outcome
}

fn connect(plan: &LoadPlan) -> Result<Vec<TcpStream>> {
    let open = |_| {
        let stream = TcpStream::connect(&plan.server)
            .with_context(|| format!("no process listens at {}", plan.server))?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        keep_alive(&stream)?;
        Ok(stream)
    };
    (0..plan.traffic.connections).map(open).collect()
}

/// One call tells which of the sockets have something.
fn watch(streams: &[TcpStream]) -> Result<OwnedFd> {
    let poll = epoll::create(epoll::CreateFlags::CLOEXEC).context("no epoll")?;
    for (index, stream) in streams.iter().enumerate() {
        let data = epoll::EventData::new_u64(index as u64);
        epoll::add(&poll, stream, data, epoll::EventFlags::IN).context("no epoll")?;
    }
    Ok(poll)
}

struct Load<'a> {
    plan: &'a LoadPlan,
    connections: Vec<LoadConnection>,
    poll: OwnedFd,
    parts: Sender<RunPart>,
    account: Account,
    part_end_ns: u64,
    /// When everything that is sent has left.
    end_ns: u64,
}

impl<'a> Load<'a> {
    fn new(
        plan: &'a LoadPlan,
        streams: Vec<TcpStream>,
        poll: OwnedFd,
        parts: Sender<RunPart>,
    ) -> Self {
        let slots = (SLOTS_TOTAL / streams.len()).clamp(SLOTS_MIN, SLOTS_MAX);
        let start_ns = stamp::now() + START_NS;
        let length = plan.warm_up + plan.length;
        let connection = |(index, stream)| {
            let departures = plan.traffic.departures(index, start_ns, length);
            // Apart from the moments, so that another arrival pattern has the same keys.
            let ranks = plan.skew.ranks(plan.keys, !plan.traffic.seed.wrapping_add(index as u64));
            LoadConnection::new(stream, departures, ranks, slots)
        };
        let counts_from_ns = start_ns + plan.warm_up.as_nanos() as u64;
        Self {
            plan,
            connections: streams.into_iter().enumerate().map(connection).collect(),
            poll,
            parts,
            account: Account::new(counts_from_ns),
            part_end_ns: counts_from_ns + plan.interval.as_nanos() as u64,
            end_ns: start_ns + length.as_nanos() as u64,
        }
    }

    /// Until all answers have come, or none has for too long after the end.
    fn run(&mut self) -> Result<()> {
        let mut ready = Vec::with_capacity(self.connections.len());
        let mut answered = (0, self.end_ns);
        while !self.connections.iter().all(LoadConnection::is_done) {
            let now_ns = stamp::now();
            self.account.see(now_ns);
            for connection in &mut self.connections {
                connection.depart(&self.plan.protocol, now_ns, &mut self.account)?;
            }
            self.collect(&mut ready)?;
            if now_ns >= self.part_end_ns && now_ns < self.end_ns {
                self.hand_out(now_ns);
            }
            if interrupt::asked() && now_ns < self.end_ns {
                self.connections.iter_mut().for_each(LoadConnection::end);
                self.end_ns = now_ns;
            }
            let total = self.connections.iter().map(LoadConnection::answered).sum::<u64>();
            if total != answered.0 {
                answered = (total, now_ns.max(self.end_ns));
            }
            if now_ns > answered.1 + PATIENCE_NS {
                break;
            }
        }
        Ok(())
    }

    fn collect(&mut self, ready: &mut Vec<epoll::Event>) -> Result<()> {
        ready.clear();
        let no_wait = rustix::event::Timespec { tv_sec: 0, tv_nsec: 0 };
        let spare = rustix::buffer::spare_capacity(ready);
        epoll::wait(&self.poll, spare, Some(&no_wait)).context("epoll failed")?;
        for event in ready.iter() {
            let connection = &mut self.connections[event.data.u64() as usize];
            connection.collect(&self.plan.protocol, &mut self.account)?;
        }
        Ok(())
    }

    fn hand_out(&mut self, now_ns: u64) {
        self.part_end_ns = now_ns + self.plan.interval.as_nanos() as u64;
        // The receiver is gone when the caller has panicked.
        let _ = self.parts.send(self.account.turn_over(now_ns));
    }

    /// Events without an answer count with the time that they have waited.
    fn finish(mut self) {
        let now_ns = stamp::now();
        for due_ns in self.connections.iter().flat_map(LoadConnection::unanswered) {
            self.account.end_unanswered(due_ns, now_ns);
        }
        self.hand_out(now_ns);
    }
}

/// The first event is due a little later than everything is ready.
const START_NS: u64 = 1_000_000;
/// How long the load waits for the next answer when everything has been sent.
const PATIENCE_NS: u64 = 2_000_000_000;
/// Events under way, over all connections: 8 bytes each.
const SLOTS_TOTAL: usize = 1 << 22;
const SLOTS_MIN: usize = 1 << 10;
/// Fewer than the different ids of orders.
const SLOTS_MAX: usize = 1 << 18;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::Arrivals;
    use std::io::{Read, Write};
    use std::net::{Ipv4Addr, SocketAddr, TcpListener};
    use std::ops::Range;

    fn plan(server: SocketAddr, rate: u32) -> LoadPlan {
        LoadPlan {
            server: server.to_string(),
            protocol: Protocol::Frames(16),
            traffic: Traffic::constant(rate),
            keys: 10,
            skew: Skew::Zipf(1.0),
            warm_up: Duration::ZERO,
            length: Duration::from_millis(300),
            interval: Duration::from_millis(50),
        }
    }

    /// A server that gives back what it gets, each time after `hold` has seen how many bytes there
    /// have been before and are now.
    fn serve(
        connections: usize,
        hold: impl Fn(Range<usize>) + Copy + Send + 'static,
    ) -> SocketAddr {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || {
            for _ in 0..connections {
                let (mut stream, _) = listener.accept().unwrap();
                thread::spawn(move || {
                    let (mut bytes, mut total) = ([0; 4096], 0);
                    while let Ok(count @ 1..) = stream.read(&mut bytes) {
                        hold(total..total + count);
                        total += count;
                        if stream.write_all(&bytes[..count]).is_err() {
                            break;
                        }
                    }
                });
            }
        });
        address
    }

    fn total(plan: &LoadPlan) -> (RunPart, Result<()>) {
        let mut total = RunPart::default();
        let outcome = run(plan, Place::toy(), |part| total.merge(&part));
        (total, outcome)
    }

    #[test]
    fn every_event_is_sent_and_answered_on_several_connections() {
        for text in ["constant", "poisson", "bursts:7"] {
            let arrivals: Arrivals = text.parse().unwrap();
            let traffic = Traffic { arrivals, connections: 3, ..Traffic::constant(3_000) };
            let plan = LoadPlan { traffic, ..plan(serve(3, |_| {}), 3_000) };
            let (total, outcome) = total(&plan);
            outcome.unwrap();
            assert!(total.sent.abs_diff(900) < 400, "{} events at {text}", total.sent);
            assert_eq!((total.answered, total.unanswered), (total.sent, 0));
            assert_eq!((total.latency.count(), total.lag.count()), (total.sent, total.sent));
        }
    }

    #[test]
    fn a_checksum_tells_that_the_answers_are_those_to_the_load() {
        let (total, outcome) = total(&plan(serve(1, |_| {}), 1_000));
        outcome.unwrap();
        assert_eq!(total.sent, 300);
        assert_eq!(total.checksum, (0..300).sum::<u64>());
    }

    #[test]
    fn a_stall_of_the_server_is_seen_by_every_event_that_was_due_in_it() {
        // Spins in the middle of the run: a hundred milliseconds are a hundred events.
        let stall = |bytes: Range<usize>| {
            let start = stamp::now();
            while bytes.contains(&2000) && stamp::now() - start < 100_000_000 {}
        };
        let (total, outcome) = total(&plan(serve(1, stall), 1_000));
        outcome.unwrap();
        assert_eq!((total.sent, total.answered), (300, 300));
        let at_least = |ms: f64| {
            let counted = (0..300).filter(|i| total.latency.quantile(f64::from(*i) / 300.0) > ms);
            counted.count()
        };
        // Slower machines make events later, never earlier.
        assert!(at_least(90e6) >= 9, "{} events were late by 90 ms", at_least(90e6));
        assert!(at_least(50e6) >= 45, "{} events were late by 50 ms", at_least(50e6));
        assert!(at_least(10e6) >= 85, "{} events were late by 10 ms", at_least(10e6));
    }

    #[test]
    fn events_of_the_warm_up_do_not_count() {
        let warm_up = Duration::from_millis(100);
        let plan = LoadPlan { warm_up, ..plan(serve(1, |_| {}), 1_000) };
        let (total, outcome) = total(&plan);
        outcome.unwrap();
        assert_eq!((total.sent, total.answered), (300, 300));
        assert_eq!(total.checksum, (100..400).sum::<u64>());
    }

    #[test]
    fn a_broken_connection_loses_no_account() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let server = listener.local_addr().unwrap();
        thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut frames = [0; 5 * 20];
            stream.read_exact(&mut frames).unwrap();
            stream.write_all(&frames[..60]).unwrap();
        });
        let (total, outcome) = total(&plan(server, 1_000));
        let error = format!("{:#}", outcome.unwrap_err());
        assert!(error.contains("events and"), "{error}");
        assert!(total.sent >= 5 && total.answered <= 3, "{total:?}");
        assert_eq!(total.unanswered, total.sent - total.answered);
    }

    #[test]
    fn a_port_without_a_listener_is_an_error() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let server = listener.local_addr().unwrap();
        drop(listener);
        let (_, outcome) = total(&plan(server, 1_000));
        assert!(format!("{:#}", outcome.unwrap_err()).contains("no process listens"));
    }
}

//! Time of connections that come, go and are silent.

mod support;

use std::time::{Duration, Instant};

use potoroo::control::report::Snapshot;
use potoroo::prelude::*;
use potoroo::sdk::codec::LineText;
use potoroo::{ChannelSource, Config, Running, SinkAddress, SourceAddress, run};
use potoroo_connector::{Options, Source, StreamNumber};
use rustix::process::Signal;
use serde_json::Value;
use support::{App, Scratch, get};

/// Longer than any wait for what certainly comes.
const LIMIT: Duration = Duration::from_secs(60);

/// Sends one trade at this second in the stream `name`, and waits until it is committed.
fn commit_trade(source: &mut Source, name: &str, second: u64) -> StreamNumber {
    let (stream, after) = source.open(name, 0).expect("it is opened");
    let trade = format!("AAA {second}000000000 100 1\n");
    source.send(stream, after + 1, trade.as_bytes()).expect("it is taken");
    source.wait(stream, after + 1).expect("it is committed");
    stream
}

/// A stream holds time from its last event in the run before on, also while its client has not come
/// back: what the other stream brings first makes none of its events late.
#[test]
fn a_stream_holds_time_before_its_client_is_back() {
    let scratch = Scratch::new("live-times");
    let start = || {
        let mut app = App::start(
            "bars",
            &format!(
                "--source trades=potoroo://127.0.0.1:0?streams=2 --sink bars=file:{} --sink \
                 late=file:{} --cores 0,0 --idle park --checkpoint-ms 20 --state {} \
                 --report json --admin 127.0.0.1:0",
                scratch.path("bars"),
                scratch.path("late"),
                scratch.path("state")
            ),
        );
        let address = app.listening("trades");
        let admin = app.admin();
        (app, admin, move || Source::connect(Options::new(address.to_string())).expect("it is up"))
    };
    let (app, _, connect) = start();
    commit_trade(&mut connect(), "slow", 1);
    commit_trade(&mut connect(), "quick", 1);
    app.signal(Signal::KILL);
    let _ = app.finish();

    let (app, admin, connect) = start();
    let mut quick = connect();
    let of_quick = commit_trade(&mut quick, "quick", 100);
    let status: Value = serde_json::from_str(&get(admin, "/status")).expect("it is JSON");
    let time = &status["time"]["watermarks"][0];
    assert!(time["held_by"].as_str().is_some_and(|by| by.contains("`trades`")), "{time}");
    assert_eq!(time["watermark_ns"], 994_999_999, "{time}");
    let mut slow = connect();
    let of_slow = commit_trade(&mut slow, "slow", 2);
    for (mut source, stream) in [(quick, of_quick), (slow, of_slow)] {
        source.end(stream);
        source.finish().expect("it is committed");
    }
    let report = app.finish().report();
    assert_eq!(report["time"]["late"][0]["events"], 0, "{}", report["time"]);
    assert_eq!(scratch.read("late"), b"");
    let bars = String::from_utf8(scratch.read("bars")).expect("lines are text");
    let seconds = |line: &str| line.split(' ').nth(1).map(str::to_owned);
    let mut seconds: Vec<String> = bars.lines().filter_map(seconds).collect();
    seconds.sort();
    assert_eq!(seconds, ["1.000000000", "100.000000000", "2.000000000"]);
}

/// Counts the events of each second that come from two sources.
fn counts(quick: Lateness, silent: Lateness) -> Application {
    let app = Application::new("counts");
    let counts = app.windows::<(), u64>("counts", tumbling(seconds(1)));
    for (name, lateness) in [("quick", quick), ("silent", silent)] {
        app.source(name, LineText::new())
            .map(|line| line.parse::<i64>().ok())
            .event_time(EventTime::from_seconds, lateness)
            .collect()
            .window(&counts, |count, _| *count += 1);
    }
    counts
        .closed(|count, window| format!("{} {count}", window.start()))
        .sink("counts", LineText::new());
    app
}

struct Live {
    running: Running,
    quick: Option<ChannelSource>,
    silent: Option<ChannelSource>,
}

impl Live {
    fn start(quick: Lateness, silent: Lateness) -> Self {
        Self::run(move || counts(quick, silent), ["counts"])
    }

    fn run<const SINKS: usize>(
        application: impl Fn() -> Application + Send + Sync + 'static,
        sinks: [&str; SINKS],
    ) -> Self {
        let sources = ["quick", "silent"];
        let config = Config::default();
        let config =
            sources.iter().fold(config, |it, name| it.source(*name, SourceAddress::Channel));
        let config = sinks.iter().fold(config, |it, name| it.sink(*name, SinkAddress::Null));
        let mut running = run(application, config).expect("it is sound");
        let [quick, silent] = sources.map(|name| running.source(name));
        Self { running, quick, silent }
    }

    /// Both sources end, and with them the application.
    fn end(self) -> Snapshot {
        drop((self.quick, self.silent));
        self.running.wait().expect("it ends").snapshot
    }

    fn send(&mut self, to_silent: bool, seconds: impl IntoIterator<Item = i64>) {
        let source = if to_silent { &mut self.silent } else { &mut self.quick };
        let source = source.as_mut().expect("it has not ended");
        for second in seconds {
            source.send(&second.to_string()).expect("it runs");
        }
        source.flush().expect("it runs");
    }

    /// Waits until this is so.
    fn wait_until(&self, is_so: impl Fn(&Snapshot) -> bool) -> Snapshot {
        let deadline = Instant::now() + LIMIT;
        loop {
            let snapshot = self.running.status().snapshot;
            if is_so(&snapshot) {
                return snapshot;
            }
            if Instant::now() > deadline {
                panic!("{:?} {:?}", snapshot.sources, snapshot.time);
            }
            std::thread::yield_now();
        }
    }

    fn wait_for_windows(&self, count: u64) {
        self.wait_until(|snapshot| snapshot.sinks[0].events >= count);
    }
}

#[test]
fn a_silent_connection_holds_time_no_longer_if_it_may_be_idle() {
    let mut live = Live::start(IN_ORDER, IN_ORDER.idle_after(millis(20)));
    live.send(true, [0]);
    live.send(false, 0..100);
    // The last second is still open.
    live.wait_for_windows(99);
    // It is late for what was closed meanwhile, and counted.
    live.send(true, [50]);
    let snapshot = live.end();
    let time = snapshot.time.expect("it goes by event time");
    assert_eq!((time.late[0].events, &*time.late[0].table), (1, "counts"));
    assert_eq!(snapshot.sinks[0].events, 100);
}

#[test]
fn the_time_of_a_silent_connection_goes_on_if_it_may() {
    let runs_on = IN_ORDER.runs_on_after(millis(20));
    let mut live = Live::start(runs_on, runs_on);
    live.send(true, [0]);
    live.send(false, [0]);
    // Its second is over after a second of silence, without any other event.
    live.wait_for_windows(1);
    live.end();
}

#[test]
fn a_connection_far_ahead_is_not_read() {
    let mut live = Live::start(IN_ORDER.ahead_max(seconds(10)), IN_ORDER);
    live.send(true, [0]);
    live.wait_until(|snapshot| snapshot.sources[1].events == 1);
    live.send(false, 1..2000);
    let snapshot = live.wait_until(|snapshot| snapshot.sources[0].events >= 10);
    // What one turn brings it may be further.
    assert!(snapshot.sources[0].events <= 10 + 128, "{:?}", snapshot.sources);
    live.send(true, [5000]);
    live.wait_for_windows(1999);
    let snapshot = live.end();
    assert_eq!((snapshot.sources[0].events, snapshot.sinks[0].events), (1999, 2001));
}

/// What was read of it before the stop goes on to its end.
#[test]
fn a_connection_far_ahead_is_read_when_the_application_stops() {
    let mut live = Live::start(IN_ORDER.ahead_max(seconds(10)), IN_ORDER);
    live.send(true, [0]);
    live.wait_until(|snapshot| snapshot.sources[1].events == 1);
    live.send(false, 1..500);
    live.wait_until(|snapshot| snapshot.sources[0].events >= 10);
    live.running.stop();
    let snapshot = live.end();
    assert_eq!((snapshot.sources[0].events, snapshot.failures), (499, 0));
}

/// Time of a source ends with it, also while another source goes on.
#[test]
fn a_source_that_has_ended_closes_what_was_open_by_it() {
    let application = || {
        let app = Application::new("apart");
        for (source, table) in [("quick", "quickly"), ("silent", "silently")] {
            let counts = app.windows::<(), u64>(table, tumbling(seconds(1)));
            app.source(source, LineText::new())
                .map(|line| line.parse::<i64>().ok())
                .event_time(EventTime::from_seconds, IN_ORDER)
                .collect()
                .window(&counts, |count, _| *count += 1);
            counts.closed(|count, _| count.to_string()).sink(table, LineText::new());
        }
        app
    };
    let mut live = Live::run(application, ["quickly", "silently"]);
    live.send(true, [0]);
    live.send(false, [0]);
    live.quick = None;
    let snapshot = live.wait_until(|snapshot| snapshot.sinks[0].events == 1);
    assert_eq!(snapshot.sinks[1].events, 0, "the other source has not ended");
    live.silent = None;
    assert_eq!(live.end().sinks[1].events, 1);
}

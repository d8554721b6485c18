//! Runs an application on real cores: threads, rings and pipes, through the front door.
//!
//! Promises: feeds every source from a thread of its own and reads every sink from one, so that
//! nothing waits for the order in which a test does things. Must never do: judge.

use std::collections::BTreeMap;
use std::path::Path;
use std::thread::{self, JoinHandle};

use potoroo::{ChannelSink, ChannelSource, Config, SinkAddress, SourceAddress};
use potoroo_runtime::Idle;

use crate::items::{Item, Shown, Slim, Trial};
use crate::oracle::Results;
use crate::simulator::Script;
use crate::topology::Topology;
use crate::workload::each_item;

/// How the cores of a run are made.
#[derive(Clone, Debug)]
pub struct Cores {
    /// CPU of each core; one that occurs twice is shared.
    pub cpus: Vec<usize>,
    /// What an idle core does.
    pub idle: Idle,
}

impl Cores {
    /// `cores` cores, spread over the CPUs of the host.
    pub fn spread(cores: usize, idle: Idle) -> Self {
        let allowed = potoroo::control::config::cpus_allowed();
        let cpus = (0..cores).map(|core| allowed[core % allowed.len()]).collect();
        Self { cpus, idle }
    }

    /// Small lanes and buffers, so that back-pressure happens.
    fn config(&self) -> Config {
        Config {
            cores: self.cpus.clone(),
            idle: self.idle,
            lane_bytes: 4096,
            outlet_bytes: 4096,
            progress: false,
            ..Config::default()
        }
    }
}

/// Runs `topology` with channels for all its edges; one script for each source. Replies have no
/// way back over a channel, so they are lost and not looked at.
///
/// # Panics
/// It cannot run.
pub fn run_channels(topology: &Topology, cores: &Cores, scripts: &[Script]) -> Results {
    let mut config = cores.config();
    for source in 0..topology.sources {
        config = config.source(format!("s{source}"), SourceAddress::Channel);
    }
    let names = sink_names(topology);
    for name in &names {
        config = config.sink(name, SinkAddress::Channel);
    }
    let of_cores = topology.clone();
    let mut running =
        potoroo::run(move || of_cores.application(), config).expect("the application runs");
    let readers: Vec<_> = names
        .iter()
        .map(|name| spawn_reader(running.sink(name).expect("it is a channel")))
        .collect();
    for script in scripts {
        let name = format!("s{}", script.source);
        let source = running.source(&name).expect("it is a channel, with one script");
        spawn_writer(topology, source, script.clone());
    }
    let outputs = readers.into_iter().map(|reader| reader.join().expect("readers end"));
    let sinks = names.iter().cloned().zip(outputs.map(shown)).collect();
    running.wait().expect("all cores end");
    Results { sinks, ..Results::default() }
}

/// Runs `topology` with files for all its edges, in `folder`.
///
/// # Panics
/// It cannot run, or the folder cannot be written.
pub fn run_files(topology: &Topology, cores: &Cores, scripts: &[Script], folder: &Path) -> Results {
    let mut config = cores.config();
    for script in scripts {
        let path = folder.join(format!("s{}", script.source));
        std::fs::write(&path, &script.bytes).expect("the folder can be written");
        config = config.source(format!("s{}", script.source), SourceAddress::File { path });
    }
    let names = sink_names(topology);
    let path = |name: &str| folder.join(name);
    for name in &names {
        let address = SinkAddress::File { path: path(name), append: false };
        config = config.sink(name, address);
    }
    let of_cores = topology.clone();
    let running =
        potoroo::run(move || of_cores.application(), config).expect("the application runs");
    running.wait().expect("all cores end");
    let output = |name: &String| {
        let bytes = std::fs::read(path(name)).expect("the sink has made it");
        (name.clone(), shown(bytes))
    };
    let sinks: BTreeMap<_, _> = names.iter().map(output).collect();
    Results { sinks, ..Results::default() }
}

fn sink_names(topology: &Topology) -> Vec<String> {
    let names = topology.sinks().into_iter().map(|sink| sink.name);
    names.filter(|name| name != "reply").collect()
}

fn shown(bytes: Vec<u8>) -> Vec<Shown> {
    Shown::parse_all(&bytes).expect("outputs are whole lines")
}

fn spawn_reader(mut sink: ChannelSink) -> JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut all = Vec::new();
        while let Some(bytes) = sink.recv() {
            all.extend_from_slice(&bytes);
        }
        all
    })
}

fn spawn_writer(topology: &Topology, source: ChannelSource, script: Script) {
    let slim = topology.is_slim();
    thread::spawn(move || match slim {
        true => write::<Slim>(source, &script),
        false => write::<Item>(source, &script),
    });
}

fn write<E: Trial>(mut source: ChannelSource, script: &Script) {
    each_item(script, |facts| {
        source.send(&E::make(facts)).expect("the application takes everything");
        if facts.seq.is_multiple_of(16) {
            source.flush().expect("the application takes everything");
        }
    });
}

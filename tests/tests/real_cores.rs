//! The comparison of the simulator on real cores: threads, rings, parking and waking.

use potoroo_runtime::Idle;
use potoroo_tests::oracle::{Results, judge};
use potoroo_tests::seeds::each_seed;
use potoroo_tests::simulator::Script;
use potoroo_tests::threads::{Cores, run_channels, run_files};
use potoroo_tests::topology::{Kind, SinkPromise, Topology};
use potoroo_tests::trial::expect;
use potoroo_tests::workload::Workload;

fn topology(seed: u64, sources: u8) -> Topology {
    let kinds = Kind::sequences(1 + seed as u32 % 3);
    let kinds = kinds[seed as usize * 7 % kinds.len()].clone();
    Topology { seed, kinds, sources, one_connection: sources == 1, fancy: true }
}

/// Compares the sinks; tables, replies and dead letters cannot be seen from outside.
fn check(topology: &Topology, scripts: &[Script], cores: &Cores, seen: &Results) {
    let expected = expect(topology, scripts);
    let expected = Results { tables: None, refused: Vec::new(), ..expected };
    let sinks = topology.sinks().into_iter();
    let sinks: Vec<SinkPromise> = sinks.filter(|sink| sink.name != "reply").collect();
    if let Err(wrong) = judge(&expected, seen, &sinks) {
        panic!("{wrong}\n{topology:?}\n{cores:?}");
    }
}

fn all_cores() -> impl Iterator<Item = Cores> {
    let idles = [Idle::Park, Idle::Adaptive];
    [1, 2, 8].into_iter().flat_map(move |cores| idles.map(|idle| Cores::spread(cores, idle)))
}

#[test]
fn channels_in_and_out() {
    each_seed("channels_in_and_out", 4, |seed| {
        let sources = 1 + (seed % 3) as u8;
        let (topology, workload) = (topology(seed, sources), Workload::plain(sources, 3_000));
        let scripts = workload.scripts(seed);
        for cores in all_cores() {
            let seen = run_channels(&topology, &cores, &scripts);
            check(&topology, &scripts, &cores, &seen);
        }
    });
}

#[test]
fn files_in_and_out() {
    let name = format!("potoroo-real-cores-{}", std::process::id());
    let folder = std::env::temp_dir().join(name);
    std::fs::create_dir_all(&folder).expect("the folder for temporary files can be written");
    each_seed("files_in_and_out", 4, |seed| {
        let sources = 1 + (seed % 2) as u8;
        let (topology, workload) = (topology(seed + 50, sources), Workload::plain(sources, 3_000));
        let scripts = workload.scripts(seed);
        for cores in all_cores() {
            let seen = run_files(&topology, &cores, &scripts, &folder);
            check(&topology, &scripts, &cores, &seen);
        }
    });
    std::fs::remove_dir_all(&folder).expect("it was made above");
}

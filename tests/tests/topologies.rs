//! Every topology of one to three stages, and random ones, in the simulator against the reference.

use potoroo_tests::seeds::each_seed;
use potoroo_tests::simulator::Deployment;
use potoroo_tests::topology::{Kind, Topology};
use potoroo_tests::trial::simulate;
use potoroo_tests::workload::Workload;

const CORES: [usize; 4] = [1, 2, 3, 8];

/// All chains of `length` stages on every number of cores, with one connection.
fn every_chain(test: &str, length: u32, rounds: u64) {
    each_seed(test, rounds, |round| {
        for (number, kinds) in Kind::sequences(length).into_iter().enumerate() {
            for cores in CORES {
                let seed = round * 10_007 + number as u64 * 31 + cores as u64;
                let kinds = kinds.clone();
                let topology =
                    Topology { seed, kinds, sources: 1, one_connection: true, fancy: false };
                let scripts = Workload::plain(1, 100).scripts(seed);
                simulate(&topology, &Deployment::any(cores, seed), &scripts);
            }
        }
    });
}

#[test]
fn every_chain_of_one_stage() {
    every_chain("every_chain_of_one_stage", 1, 10);
}

#[test]
fn every_chain_of_two_stages() {
    every_chain("every_chain_of_two_stages", 2, 3);
}

#[test]
fn every_chain_of_three_stages() {
    every_chain("every_chain_of_three_stages", 3, 1);
}

/// A random application of up to three stages with everything that the builder knows.
fn random_topology(seed: u64, sources: u8, clients: usize) -> Topology {
    let kinds = Kind::sequences(1 + seed as u32 % 3);
    let kinds = kinds[(seed / 3) as usize % kinds.len()].clone();
    let one_connection = sources == 1 && clients == 1;
    Topology { seed, kinds, sources, one_connection, fancy: true }
}

#[test]
fn random_applications_with_one_connection() {
    each_seed("random_applications_with_one_connection", 400, |seed| {
        let scripts = Workload::plain(1, 120).scripts(seed);
        let deployment = Deployment::any(CORES[seed as usize % 4], seed);
        simulate(&random_topology(seed, 1, 1), &deployment, &scripts);
    });
}

#[test]
fn random_applications_with_several_sources_and_connections() {
    each_seed("random_applications_with_several_sources_and_connections", 400, |seed| {
        let (sources, clients) = (1 + (seed % 3) as u8, 1 + seed as usize / 3 % 4);
        let workload = Workload { clients, ..Workload::plain(sources, 60) };
        let deployment = Deployment::any(CORES[seed as usize / 7 % 4], seed);
        simulate(&random_topology(seed, sources, clients), &deployment, &workload.scripts(seed));
    });
}

#[test]
fn bad_input_and_broken_connections_lose_nothing_else() {
    each_seed("bad_input_and_broken_connections_lose_nothing_else", 400, |seed| {
        let (sources, clients) = (1 + (seed % 2) as u8, 1 + seed as usize / 2 % 5);
        let cuts = !seed.is_multiple_of(3);
        let workload = Workload { clients, garbage: true, cuts, ..Workload::plain(sources, 60) };
        let deployment = Deployment::any(CORES[seed as usize / 7 % 4], seed);
        simulate(&random_topology(seed, sources, clients), &deployment, &workload.scripts(seed));
    });
}

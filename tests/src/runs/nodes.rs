//! The nodes of a run: which core is on which, the links between them, and how these are lost.
//!
//! Rings join the cores of one node, links those of different ones. The lead is the node of core 0.
//! A link that is lost ends the generation; here is only noted that it must be, and that it was.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use potoroo::turn::NewLink;
use potoroo_runtime::Lanes;
use potoroo_sdk::random::Random;

use super::troubles::Sabotage;
use crate::seeds::{Concern, random};
use crate::wires::{
    Verdict, WireKind, WireReadiness, WireSabotage, WireWatch, WiredCore, link_nodes,
};

/// Where the cores are, and what joins them.
pub(super) struct Nodes {
    /// By core: its node.
    of: Vec<u64>,
    /// By core: its node has crashed.
    dead: Vec<bool>,
    kind: WireKind,
    lane_bytes: usize,
    /// The ends of all wires, each with its core.
    wires: Vec<(usize, WireWatch)>,
    /// By core: what is announced to it.
    readiness: Vec<WireReadiness>,
    verdict: Verdict,
    /// How often other nodes have come or gone.
    renewals: u32,
    /// Reports of links of earlier renewals.
    ignored: u64,
    /// Ends of links whose cores have to report that they are lost: core and seat.
    awaited: BTreeSet<(usize, usize)>,
}

/// Bytes on their way to a core, the first number, from a seat.
pub(super) type LinkBytes = BTreeMap<(usize, usize), Vec<u8>>;

/// Most nodes of a run.
const NODES_MAX: u64 = 4;

impl Nodes {
    /// Places `count` cores: all on one node in two of five runs.
    pub(super) fn place(
        seed: u64,
        count: usize,
        lane_bytes: usize,
        sabotage: Option<Sabotage>,
    ) -> Self {
        let mut nodes = Self {
            of: vec![0; count],
            dead: vec![false; count],
            kind: WireKind::default(),
            lane_bytes,
            wires: Vec::new(),
            readiness: Vec::new(),
            verdict: Verdict::default(),
            renewals: 0,
            ignored: 0,
            awaited: BTreeSet::new(),
        };
        nodes.kind.sabotage = sabotage.and_then(of_wires);
        nodes.draw(&mut placing(seed));
        nodes
    }

    fn draw(&mut self, random: &mut Random) {
        let nodes = [1, 1, 2, 3, NODES_MAX][random.below(5) as usize];
        self.of.iter_mut().for_each(|node| *node = random.below(nodes));
        // Bytes that a mistake keeps back are not announced again.
        self.kind.announced = random.chance(0.5) && self.kind.sabotage.is_none();
        self.kind.stalls = [0.0, 0.0, 0.000_5][random.below(3) as usize];
    }

    /// Links the cores of different nodes. Returns each link with its core.
    pub(super) fn link(&mut self, seed: u64, lanes: &mut [Lanes]) -> Vec<(usize, NewLink)> {
        let mut random = random(!seed, Concern::Network);
        let readiness = |_: &u64| WireReadiness::new(Random::new(random.u64()));
        self.readiness = self.of.iter().map(readiness).collect();
        let with = (self.kind, &self.verdict);
        let wired = link_nodes(&self.of, lanes, self.lane_bytes, &mut random, with);
        let watch = |WiredCore { core, link, watch }| {
            self.readiness[core].add(watch.clone());
            self.wires.push((core, watch));
            (core, link)
        };
        wired.into_iter().map(watch).collect()
    }

    /// Nothing is under way, and the links are left: what is reported of them means nothing now.
    pub(super) fn leave(&mut self) {
        self.renewals += 1;
    }

    /// Other nodes take the place of those that left their links.
    ///
    /// # Errors
    /// Something that was sent over a link had not come.
    pub(super) fn renew(&mut self, seed: u64) -> io::Result<()> {
        self.check_empty()?;
        self.wires.clear();
        self.draw(&mut placing(seed));
        Ok(())
    }

    /// Reports since the last call that meant nothing.
    pub(super) fn take_ignored(&mut self) -> u64 {
        std::mem::take(&mut self.ignored)
    }

    /// What is announced to a core.
    pub(super) fn readiness(&mut self, core: usize) -> &mut WireReadiness {
        &mut self.readiness[core]
    }

    /// Whether the node of a core has crashed.
    pub(super) fn is_dead(&self, core: usize) -> bool {
        self.dead[core]
    }

    /// Whether two cores are on different nodes.
    pub(super) fn are_apart(&self, core: usize, other: usize) -> bool {
        self.of[core] != self.of[other]
    }

    /// What is under way over links: to a core, from a seat.
    pub(super) fn under_way(&self) -> LinkBytes {
        let bytes = |(core, watch): &(usize, WireWatch)| ((*core, watch.seat()), watch.under_way());
        self.wires.iter().map(bytes).collect()
    }

    /// Links begin with what was under way over those of an earlier generation.
    pub(super) fn begin_with(&self, under_way: &LinkBytes) {
        for (core, watch) in &self.wires {
            if let Some(bytes) = under_way.get(&(*core, watch.seat())) {
                watch.begin_with(bytes);
            }
        }
    }

    /// Whether all ends that were lost have been reported.
    pub(super) fn all_lost(&self) -> bool {
        self.awaited.is_empty()
    }

    /// Breaks a link, or has a node crash. Returns whether there was a link.
    pub(super) fn lose_any(&mut self, random: &mut Random) -> bool {
        if self.wires.is_empty() {
            return false;
        }
        let (core, watch) = self.wires[random.below(self.wires.len() as u64) as usize].clone();
        match random.below(3) {
            0 => self.crash(core, random),
            1 if watch.spoil() => {
                // Only the end that gets the bytes sees it, and closes the connection.
                self.awaited.extend([(core, watch.seat()), (watch.seat(), core)]);
            }
            _ => {
                watch.reset();
                self.awaited.extend([(core, watch.seat()), (watch.seat(), core)]);
            }
        }
        true
    }

    /// All cores on the node of `core` are gone.
    fn crash(&mut self, core: usize, random: &mut Random) {
        let node = self.of[core];
        let at_once = random.chance(0.5);
        for (core, watch) in self.wires.iter().filter(|(core, _)| self.of[*core] == node) {
            self.awaited.insert((watch.seat(), *core));
            if at_once { watch.reset() } else { watch.end() }
        }
        for (dead, of) in self.dead.iter_mut().zip(&self.of) {
            *dead |= *of == node;
        }
    }

    /// A core reports that its link to `seat` is lost, which it got after `renewals`.
    ///
    /// # Errors
    /// It is not.
    pub(super) fn lose(
        &mut self,
        (core, seat): (usize, usize),
        renewals: u32,
        reason: &str,
    ) -> io::Result<()> {
        if renewals < self.renewals {
            self.ignored += 1;
            return Ok(());
        }
        if self.awaited.remove(&(core, seat)) {
            return Ok(());
        }
        let now = self.renewals;
        Err(wrong(format!(
            "the link from {core} to {seat} of renewal {renewals}, of {now}, is lost: {reason}"
        )))
    }

    /// # Errors
    /// A link has broken a promise.
    pub(super) fn check(&self) -> io::Result<()> {
        self.verdict.wrong().map_or(Ok(()), |text| Err(wrong(text)))
    }

    /// # Errors
    /// Something that was sent over a link had not come.
    pub(super) fn check_empty(&self) -> io::Result<()> {
        let empty = self.wires.iter().try_for_each(|(_, watch)| watch.check_empty());
        empty.map_err(wrong)
    }
}

/// Of their own: what is drawn for links shifts nothing else.
fn placing(seed: u64) -> Random {
    random(!seed, Concern::Deployment)
}

/// What a mistake does to the bytes between two nodes.
fn of_wires(sabotage: Sabotage) -> Option<WireSabotage> {
    match sabotage {
        Sabotage::MarkerLate => Some(WireSabotage::MarkerLate),
        Sabotage::MarkerLevel => Some(WireSabotage::MarkerLevel),
        Sabotage::MarkerWaits => Some(WireSabotage::MarkerWaits),
        Sabotage::CreditIgnored => Some(WireSabotage::CreditIgnored),
        Sabotage::FrameLost => Some(WireSabotage::FrameLost),
        Sabotage::SeatsSwapped => Some(WireSabotage::SeatsSwapped),
        Sabotage::StampsLost => Some(WireSabotage::StampsLost),
        Sabotage::WordsEarly => Some(WireSabotage::WordsEarly),
        _ => None,
    }
}

fn wrong(text: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, text)
}

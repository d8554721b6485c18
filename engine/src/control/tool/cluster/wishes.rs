//! What operators wish of a cluster.

use std::str::FromStr;
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::super::answer::{Error, ToolExit, answer};
use super::{ClusterArgs, open, record};
use crate::checkpoint::store::draw;
use crate::cluster::agreement::{AgreedEntries, Agreement};
use crate::cluster::record::{DONE, LEAD, NODES, REFUSED, WISHES, Wish};
use crate::cluster::shares::{NoWeight, Weight};
use crate::cluster::view::ClusterView;

/// The share that an operator gives a node.
#[derive(Clone, Copy, Debug)]
pub struct GivenWeight(Option<Weight>);

impl FromStr for GivenWeight {
    type Err = NoWeight;

    fn from_str(text: &str) -> Result<Self, NoWeight> {
        let given = (text != "default").then(|| text.parse());
        given.transpose().map(Self)
    }
}

/// Has a node end while the others go on, and waits until it has.
pub fn leave(of: &ClusterArgs, node: &str) -> Result<ToolExit, Error> {
    wish(of, &Wish::Leave(node.to_owned()), |entries| {
        !entries.contains_key(&format!("{NODES}{node}"))
    })?;
    answer(format_args!("node `{node}` has left"), ToolExit::Whole)
}

/// Has all nodes end, and waits until they have.
pub fn stop(of: &ClusterArgs) -> Result<ToolExit, Error> {
    wish(of, &Wish::Stop, |entries| !entries.keys().any(|key| key.starts_with(NODES)))?;
    answer("all nodes have ended", ToolExit::Whole)
}

/// Gives a node another share, and waits until it has it.
pub fn weight(of: &ClusterArgs, node: &str, given: GivenWeight) -> Result<ToolExit, Error> {
    let wished = Wish::Weight { node: node.to_owned(), weight: given.0 };
    let done = wish(of, &wished, |_| false)?;
    answer(done, ToolExit::Whole)
}

/// Confirms that the process of a node is dead, and waits until the others go on without it. The
/// lock of its session proves it.
pub fn gone(of: &ClusterArgs, node: &str) -> Result<ToolExit, Error> {
    let (agreement, mut entries) = open(of)?;
    let place = of.cluster.to_string();
    let key = format!("{NODES}{node}");
    let is_known = record(&entries).nodes.iter().any(|one| one.node == node);
    let begun = Instant::now();
    loop {
        match entries.get(&key) {
            // A process that was killed a moment ago is about to be gone.
            Some(alive) if begun.elapsed() > DYING => {
                let process = &alive.value;
                let reason = format!(
                    "process {process} of node `{node}` lives: end it (`kill -9 {process}`), or \
                     have it leave (`potoroo cluster leave {node}`)"
                );
                return Err(Error::WishRefused { place, reason });
            }
            Some(_) => {}
            None if !is_known => {
                let text = format!("no process is node `{node}`, and the last generation had none");
                return answer(text, ToolExit::Whole);
            }
            None => {
                let left = record(&entries).nodes.iter().all(|one| one.node != node);
                // It may have led: another one that lives is about to.
                if left || !entries.keys().any(|key| key.starts_with(NODES)) {
                    return answer(format_args!("node `{node}` is gone"), ToolExit::Whole);
                }
                if !entries.contains_key(LEAD) && begun.elapsed() > SEEN_WITHIN {
                    return Err(Error::NoLead(place));
                }
            }
        }
        sleep(LOOK);
        entries = agreement.list()?;
    }
}

/// What all nodes do, as the lead answers; nothing if it does not in time.
pub fn view(agreement: &dyn Agreement) -> Result<Option<ClusterView>, Error> {
    let key = express(agreement, &Wish::View)?;
    let begun = Instant::now();
    while begun.elapsed() < ANSWERED_WITHIN {
        let entries = agreement.list()?;
        let answer = entries.get(&key).and_then(|entry| entry.value.strip_prefix(DONE));
        if let Some(text) = answer {
            return Ok(serde_json::from_str(text).ok());
        }
        sleep(LOOK_AGAIN);
    }
    Ok(None)
}

/// Gives all nodes the weights with which they would be equally busy, and waits until they have
/// them.
pub fn rebalance(of: &ClusterArgs) -> Result<ToolExit, Error> {
    let done = wish(of, &Wish::Rebalance, |_| false)?;
    answer(done, ToolExit::Whole)
}

/// Writes a wish down, which goes with this process. Returns its key.
fn express(agreement: &dyn Agreement, wish: &Wish) -> Result<String, Error> {
    let key = format!("{WISHES}{:016x}", draw());
    let value = serde_json::to_string(wish).expect("names are JSON");
    agreement.claim(&key, &value)?;
    Ok(key)
}

/// How long a lead may take to answer what is asked for people.
const ANSWERED_WITHIN: Duration = Duration::from_secs(1);

/// Time between two looks for that.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// How long a process that was killed may take to be gone.
const DYING: Duration = Duration::from_secs(1);

/// How long no node may lead.
const SEEN_WITHIN: Duration = Duration::from_secs(10);

/// A wish goes with its session.
const RENEWAL: Duration = Duration::from_secs(10);

/// Time between two looks.
const LOOK: Duration = Duration::from_millis(50);

/// Tells the lead, and waits until it is `done` or the lead answers so. Returns its answer.
fn wish(
    of: &ClusterArgs,
    wish: &Wish,
    done: impl Fn(&AgreedEntries) -> bool,
) -> Result<String, Error> {
    let (agreement, entries) = open(of)?;
    let place = of.cluster.to_string();
    if !entries.contains_key(LEAD) {
        return Err(Error::NoLead(place));
    }
    let key = express(&*agreement, wish)?;
    let begun = Instant::now();
    let mut renewed = begun;
    loop {
        if renewed.elapsed() > RENEWAL {
            agreement.renew()?;
            renewed = Instant::now();
        }
        let entries = agreement.list()?;
        if done(&entries) {
            return Ok(String::new());
        }
        let value = entries.get(&key).map_or("", |entry| entry.value.as_str());
        if let Some(text) = value.strip_prefix(DONE) {
            return Ok(text.to_owned());
        }
        if let Some(reason) = value.strip_prefix(REFUSED) {
            return Err(Error::WishRefused { place, reason: reason.to_owned() });
        }
        if !entries.contains_key(LEAD) && begun.elapsed() > SEEN_WITHIN {
            return Err(Error::NoLead(place));
        }
        sleep(LOOK);
    }
}

//! What operators wish of a cluster.

use std::str::FromStr;
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::super::answer::{Error, ToolExit, answer};
use super::{ClusterArgs, open, record};
use crate::checkpoint::store::draw;
use crate::cluster::agreement::{AgreedEntries, Agreement, Disagreement};
use crate::cluster::lease::outlived;
use crate::cluster::record::{DONE, LEAD, NODES, NamedProcess, REFUSED, WISHES, Wish};
use crate::cluster::shares::{NoWeight, Weight};
use crate::cluster::view::ClusterView;
use crate::control::config::ClusterPlace;

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
    let key = format!("{NODES}{node}");
    let (_, entries) = open(of)?;
    if !entries.contains_key(&key) {
        let reason = format!("there is no node `{node}`: `potoroo cluster status` shows them");
        return Err(Error::WishRefused { place: of.cluster.to_string(), reason });
    }
    wish(of, &Wish::Leave(node.to_owned()), |entries| !entries.contains_key(&key))?;
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
/// lock of its session proves it on one machine; on several its lease has to end.
pub fn gone(of: &ClusterArgs, node: &str) -> Result<ToolExit, Error> {
    let (agreement, mut entries) = open(of)?;
    let mut waiting = Waiting::new(&of.cluster);
    let key = format!("{NODES}{node}");
    let is_known = record(&entries).nodes.iter().any(|one| one.node == node);
    let (begun, mut ended) = (Instant::now(), None);
    loop {
        let has_it = record(&entries).nodes.iter().any(|one| one.node == node);
        match entries.get(&key) {
            // A process that was killed a moment ago is about to be gone.
            Some(alive) => waiting.bear_life(node, &alive.value, begun.elapsed())?,
            None if !is_known => {
                let text = format!("no process is node `{node}`, and the last generation had none");
                return answer(text, ToolExit::Whole);
            }
            // It may have led: another one that lives is about to.
            None if !has_it || !entries.keys().any(|key| key.starts_with(NODES)) => {
                return answer(format_args!("node `{node}` is gone"), ToolExit::Whole);
            }
            None => {
                let since: &mut Instant = ended.get_or_insert_with(Instant::now);
                waiting.bear_lead(node, since.elapsed())?;
            }
        }
        sleep(LOOK);
        entries = waiting.list(&*agreement)?.unwrap_or(entries);
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

/// How long the others may take to go on without a node.
const GOES_ON_WITHIN: Duration = Duration::from_secs(60);

/// How long no node may lead, and how long nothing may be readable.
const SEEN_WITHIN: Duration = Duration::from_secs(10);

/// A wish goes with its session.
const RENEWAL: Duration = Duration::from_secs(10);

/// Time between two looks.
const LOOK: Duration = Duration::from_millis(50);

/// What a tool that waits bears, and since when.
struct Waiting<'a> {
    place: &'a ClusterPlace,
    /// No node leads.
    leaderless: Option<Instant>,
    /// Nothing can be read.
    failing: Option<Instant>,
    /// How long each may last.
    most: Duration,
}

impl<'a> Waiting<'a> {
    fn new(place: &'a ClusterPlace) -> Self {
        Self { place, leaderless: None, failing: None, most: SEEN_WITHIN }
    }

    /// What is agreed; nothing if it cannot be read now.
    ///
    /// # Errors
    /// It cannot be read for long, or no node leads for long.
    fn list(&mut self, agreement: &dyn Agreement) -> Result<Option<AgreedEntries>, Error> {
        let Some(entries) = self.bear(agreement.list())? else { return Ok(None) };
        if entries.contains_key(LEAD) {
            self.leaderless = None;
        } else if self.leaderless.get_or_insert_with(Instant::now).elapsed() > self.most {
            return Err(Error::NoLead(self.place.to_string()));
        }
        Ok(Some(entries))
    }

    /// Bears an error that may pass.
    ///
    /// # Errors
    /// It has lasted for long, or what the tool wishes is gone with its session.
    fn bear<T>(&mut self, result: Result<T, Disagreement>) -> Result<Option<T>, Error> {
        match result {
            Ok(done) => {
                self.failing = None;
                Ok(Some(done))
            }
            Err(Disagreement::Over) => Err(Disagreement::Over.into()),
            Err(error) => {
                let since = *self.failing.get_or_insert_with(Instant::now);
                if since.elapsed() > self.most { Err(error.into()) } else { Ok(None) }
            }
        }
    }

    /// Bears that the process of `node`, by the `value` of its key, is not known to be dead.
    ///
    /// # Errors
    /// It lives.
    fn bear_life(&self, node: &str, value: &str, waited: Duration) -> Result<(), Error> {
        let process = NamedProcess::read(value);
        let lease = Duration::from_millis(process.as_ref().map_or(0, |process| process.lease_ms));
        let is_here = self.place.folder().is_some();
        if waited <= if is_here { DYING } else { outlived(lease) } {
            return Ok(());
        }
        let shown = process.as_ref().map_or("the process".to_owned(), NamedProcess::to_string);
        let leave = format!("have it leave (`potoroo cluster leave {node}`)");
        let reason = match process.filter(|_| is_here) {
            Some(NamedProcess { process, .. }) => {
                format!("{shown}, node `{node}`, lives: end it (`kill -9 {process}`), or {leave}")
            }
            None => {
                format!("the lease of {shown}, node `{node}`, still stands: end it, or {leave}")
            }
        };
        Err(Error::WishRefused { place: self.place.to_string(), reason })
    }

    /// Bears that the others have not gone on without `node`, though its process is dead.
    ///
    /// # Errors
    /// They take too long.
    fn bear_lead(&self, node: &str, waited: Duration) -> Result<(), Error> {
        if waited <= GOES_ON_WITHIN {
            return Ok(());
        }
        let reason = format!(
            "the process of node `{node}` is dead, and the others have not gone on without it for \
             {GOES_ON_WITHIN:?}: see the log of the node that leads, and `potoroo cluster status`"
        );
        Err(Error::WishRefused { place: self.place.to_string(), reason })
    }
}

/// Tells the lead, and waits until it is `done` or the lead answers so. Returns its answer.
fn wish(
    of: &ClusterArgs,
    wish: &Wish,
    done: impl Fn(&AgreedEntries) -> bool,
) -> Result<String, Error> {
    let (agreement, entries) = open(of)?;
    let place = of.cluster.to_string();
    // Where a node is alive, one is about to lead: the lead may just have left.
    if !entries.keys().any(|key| key == LEAD || key.starts_with(NODES)) {
        return Err(Error::NoLead(place));
    }
    let key = express(&*agreement, wish)?;
    let (mut waiting, mut renewed) = (Waiting::new(&of.cluster), Instant::now());
    loop {
        if renewed.elapsed() > RENEWAL && waiting.bear(agreement.renew())?.is_some() {
            renewed = Instant::now();
        }
        if let Some(entries) = waiting.list(&*agreement)? {
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
        }
        sleep(LOOK);
    }
}

#[cfg(test)]
mod tests {
    use std::{env, fs, process, thread};

    use super::*;
    use crate::cluster::agreement::{Agreed, Changed, EntryChange, Expected, FolderAgreement};

    fn place(text: &str) -> ClusterPlace {
        text.parse().expect("it is one")
    }

    /// A lead has just gone, and another node is about to lead.
    #[test]
    fn a_wish_waits_for_a_lead_as_long_as_a_node_is_alive() {
        let folder = env::temp_dir().join(format!("potoroo-wishes-{}", process::id()));
        let of = ClusterArgs {
            cluster: place(folder.to_str().expect("it is text")),
            tls_ca: None,
            tls_cert: None,
            tls_key: None,
            json: false,
        };
        let node = FolderAgreement::open(&folder, None).expect("it is made");
        let claim = |key: &str| assert_eq!(node.claim(key, "7").expect("it is done"), None);
        claim("of no node");
        let rebalance = || wish(&of, &Wish::Rebalance, |_| false);
        assert!(matches!(rebalance(), Err(Error::NoLead(_))), "no node is alive");
        claim(&format!("{NODES}a"));
        let done = thread::scope(|scope| {
            let tool = scope.spawn(rebalance);
            let (key, wished) = loop {
                let entries = node.list().expect("it is read");
                if let Some(wished) = entries.into_iter().find(|(key, _)| key.starts_with(WISHES)) {
                    break wished;
                }
                assert!(!tool.is_finished(), "it has not waited");
                thread::yield_now();
            };
            claim(LEAD);
            let new = Some(Agreed { value: format!("{DONE}they share"), ..wished.clone() });
            let expected = Expected::Entry(&wished);
            let change = EntryChange { key: &key, expected, new, held: None };
            assert!(matches!(node.change(&change), Ok(Changed::Done)), "the lead answers");
            tool.join().expect("it does not panic")
        });
        assert_eq!(done.expect("it is fulfilled"), "they share");
        fs::remove_dir_all(folder).expect("it is there");
    }

    #[test]
    fn an_error_that_passes_is_borne() {
        let folder = place("/nonexistent");
        let mut waiting = Waiting::new(&folder);
        let failed = || -> Result<(), Disagreement> {
            Err(Disagreement::Unreachable { endpoints: String::new(), cause: String::new() })
        };
        assert!(matches!(waiting.bear(failed()), Ok(None)));
        // As if the time were over since.
        waiting.most = Duration::ZERO;
        assert!(waiting.bear(failed()).is_err());
        assert!(matches!(waiting.bear(Ok(7)), Ok(Some(7))));
        assert!(waiting.failing.is_none(), "the time begins anew");
        assert!(waiting.bear::<()>(Err(Disagreement::Over)).is_err(), "its wish is gone");
    }

    #[test]
    fn who_is_on_another_machine_is_not_to_be_killed_by_its_number() {
        let value = NamedProcess { process: 7, host: "far".to_owned(), lease_ms: 2000 }.write();
        let lives = |at: &ClusterPlace, waited| {
            let borne = Waiting::new(at).bear_life("a", &value, Duration::from_millis(waited));
            borne.err().map(|error| error.to_string())
        };
        let folder = place("/nonexistent");
        assert_eq!(lives(&folder, 999), None);
        assert!(lives(&folder, 1001).expect("it lives").contains("`kill -9 7`"));
        #[cfg(feature = "etcd")]
        {
            let etcd = place("etcd://127.0.0.1:2379/x");
            assert_eq!(lives(&etcd, 2500), None, "its lease may still stand");
            let stands = lives(&etcd, 60_000).expect("it lives");
            assert!(
                stands.contains("process 7 on host `far`") && !stands.contains("kill"),
                "{stands}"
            );
        }
    }
}

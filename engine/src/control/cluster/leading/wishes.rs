//! What operators wish, and what the lead does for it.

use std::sync::Arc;

use super::super::super::process::Process;
use super::Lead;
use super::seating::weight_of;
use crate::cluster::agreement::{Agreed, AgreedEntries, Disagreement, EntryChange, Expected};
use crate::cluster::lease::ListedEntries;
use crate::cluster::nodes::RemoteNode;
use crate::cluster::rebalance::{NodeLoad, Rebalance, rebalance};
use crate::cluster::record::{
    DONE, GivenWeights, LEAD, Leading, NODES, REFUSED, WEIGHTS, WISHES, Wish, weights_of,
};
use crate::cluster::shares::Weight;
use crate::cluster::wire::{NodeHello, ToNode};
use crate::system;

/// What becomes of a wish.
enum Answer {
    /// It stays: others see when it is done, and when this node is lost, the next lead sees it.
    Later,
    /// The generation that begins next fulfils it.
    NextGeneration,
    Done(String),
    /// It cannot be: cause and remedy.
    Refused(String),
}

impl Lead {
    /// Looks for what operators wish, and whether this node still leads. What fails is tried again
    /// after a pause, and logged once.
    pub(super) fn try_wishes(&mut self, process: &Process) {
        let listed = self.member.session.listed();
        let leads = listed.leading() == Leading::Own;
        self.is_deposed = !leads && self.member.session.stood_at(&listed);
        if self.wishes_again.is_some_and(|from| system::now() < from) {
            return;
        }
        let looked = self.look_for_wishes(process, &listed);
        let again = looked.is_err().then(|| system::now() + self.member.session.pause());
        if let (Err(error), None) = (looked, std::mem::replace(&mut self.wishes_again, again)) {
            tracing::warn!("what operators wish waits: {error}");
        }
    }

    fn look_for_wishes(
        &mut self,
        process: &Process,
        listed: &ListedEntries,
    ) -> Result<(), Disagreement> {
        if self.seen == Some(listed.number) {
            return Ok(());
        }
        self.fulfil_wishes(process, &listed.entries)?;
        // What failed is tried again.
        self.seen = Some(listed.number);
        Ok(())
    }

    fn fulfil_wishes(
        &mut self,
        process: &Process,
        entries: &AgreedEntries,
    ) -> Result<(), Disagreement> {
        self.wishes.retain(|key| entries.contains_key(key));
        self.waiting.retain(|key| entries.contains_key(key));
        for (key, entry) in entries.iter().filter(|(key, _)| key.starts_with(WISHES)) {
            let is_answered = [REFUSED, DONE].iter().any(|word| entry.value.starts_with(word));
            if is_answered || self.wishes.contains(key) {
                continue;
            }
            match self.answer(process, entries, &entry.value)? {
                // It is asked again: the node may be lost, or come again.
                Answer::Later => continue,
                Answer::NextGeneration => drop(self.waiting.insert(key.clone())),
                Answer::Done(text) => self.reply(key, entry, format!("{DONE}{text}"))?,
                Answer::Refused(reason) => self.reply(key, entry, format!("{REFUSED}{reason}"))?,
            }
            self.wishes.insert(key.clone());
        }
        Ok(())
    }

    fn reply(&self, key: &str, entry: &Agreed, value: String) -> Result<(), Disagreement> {
        let new = Some(Agreed { value, session: entry.session });
        let expected = Expected::Entry(entry);
        let change = EntryChange { key, expected, new, held: Some(LEAD) };
        self.member.agreement.change(&change).map(drop)
    }

    fn answer(
        &mut self,
        process: &Process,
        entries: &AgreedEntries,
        wish: &str,
    ) -> Result<Answer, Disagreement> {
        Ok(match serde_json::from_str(wish) {
            Ok(Wish::Stop) => {
                self.stopping = true;
                process.request.stop_all();
                Answer::Later
            }
            Ok(Wish::Leave(node)) => match self.let_leave(entries, &node) {
                Ok(()) => Answer::Later,
                Err(reason) => Answer::Refused(reason),
            },
            Ok(Wish::Weight { node, weight }) => self.set_weight(&node, weight)?,
            Ok(Wish::Rebalance) => self.rebalance(entries)?,
            Ok(Wish::View) => {
                let view = self.view(process);
                Answer::Done(serde_json::to_string(&view).expect("names and numbers are JSON"))
            }
            Err(error) => Answer::Refused(format!("it cannot be understood: {error}")),
        })
    }

    /// # Errors
    /// The node cannot leave: cause and remedy.
    fn let_leave(&mut self, entries: &AgreedEntries, node: &str) -> Result<(), String> {
        if node == self.member.name() {
            let alone = "no other node would go on: use `potoroo cluster stop`";
            return if self.leave() { Ok(()) } else { Err(alone.to_owned()) };
        }
        let is_it = |one: &Arc<RemoteNode>| one.hello.node == node;
        if let Some(at) = self.joining.iter().position(is_it) {
            // It has nothing to hand over yet.
            self.joining.remove(at).send(&ToNode::End);
        } else if self.nodes.iter().any(is_it) {
            self.note_leaving(node);
        } else if !entries.contains_key(&format!("{NODES}{node}")) {
            return Err(no_node(node));
        }
        // One that lives and takes no part has just left, or comes again.
        Ok(())
    }

    fn set_weight(&mut self, node: &str, weight: Option<Weight>) -> Result<Answer, Disagreement> {
        if self.joining.iter().any(|one| one.hello.node == node) {
            let reason = format!("node `{node}` is joining: ask again when it is a member");
            return Ok(Answer::Refused(reason));
        }
        let Some(hello) = self.hellos().find(|hello| hello.node == node) else {
            return Ok(Answer::Refused(no_node(node)));
        };
        // Another wish may have changed them at this same look.
        let mut given = weights_of(&self.member.agreement.list()?);
        let (before, after) = (weight_of(&given, hello), weight.unwrap_or(hello.weight));
        let is_zero = |hello: &NodeHello| weight_of(&given, hello).is_zero();
        if after.is_zero() && self.hellos().all(|hello| hello.node == node || is_zero(hello)) {
            let reason = "no node would own partitions: give another one more than 0 first";
            return Ok(Answer::Refused(reason.to_owned()));
        }
        match weight {
            Some(weight) => given.insert(node.to_owned(), weight),
            None => given.remove(node),
        };
        self.write_weights(&given)?;
        if before == after {
            return Ok(Answer::Done(format!("node `{node}` has the weight {after} already")));
        }
        self.add_cause(format!("node {node} got the weight {after}"));
        Ok(Answer::NextGeneration)
    }

    /// Gives all nodes the weights with which their cores would be equally busy.
    fn rebalance(&mut self, entries: &AgreedEntries) -> Result<Answer, Disagreement> {
        let mut given = weights_of(entries);
        let measured = |hello: &NodeHello| {
            let (weight, cores) = (weight_of(&given, hello), hello.state_cores.len());
            Some(NodeLoad { weight, cores, busy: self.reports.busy(&hello.node)? })
        };
        let Some(nodes) = self.hellos().map(measured).collect::<Option<Vec<_>>>() else {
            let reason = "the load of some node is known for less than 3 s, or it tells nothing: \
                          ask again, and see `potoroo cluster status`";
            return Ok(Answer::Refused(reason.to_owned()));
        };
        let weights = match rebalance(&nodes) {
            Rebalance::Idle(busy) => {
                return Ok(Answer::Done(format!(
                    "nothing to do: the busiest node has work for {:.0} % of its time",
                    busy * 100.0
                )));
            }
            Rebalance::Balanced(times) => {
                return Ok(Answer::Done(format!(
                    "nothing to do: the busiest node has {times:.2} times the load of the mean"
                )));
            }
            Rebalance::Weights(weights) => weights,
        };
        let names: Vec<String> = self.hellos().map(|hello| hello.node.clone()).collect();
        given.extend(names.iter().cloned().zip(weights.iter().copied()));
        self.write_weights(&given)?;
        for (node, weight) in names.iter().zip(weights) {
            self.add_cause(format!("load gave node {node} the weight {weight}"));
        }
        Ok(Answer::NextGeneration)
    }

    /// All at once: none is given to some nodes only.
    fn write_weights(&self, given: &GivenWeights) -> Result<(), Disagreement> {
        let text = serde_json::to_string(given).expect("names and numbers are JSON");
        self.member.set_as_lead(WEIGHTS, text)
    }

    /// Answers the wishes for which a generation was to begin: it has.
    pub(super) fn fulfil(&mut self) -> Result<(), Disagreement> {
        let waiting = std::mem::take(&mut self.waiting);
        if waiting.is_empty() {
            return Ok(());
        }
        let entries = self.member.agreement.list()?;
        for (key, entry) in waiting.iter().filter_map(|key| Some((key, entries.get(key)?))) {
            let text = format!("{DONE}generation {} has begun with it", self.generation);
            self.reply(key, entry, text)?;
        }
        Ok(())
    }
}

fn no_node(node: &str) -> String {
    format!("there is no node `{node}`: `potoroo cluster status` shows them")
}

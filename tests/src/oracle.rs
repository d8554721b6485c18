//! The oracle: what the reference interpreter says should come out, and whether it did.
//!
//! Promises: reports the first difference in words that name the sink, the connection and the
//! items. What no engine of this kind determines (how several connections mix) is not compared.
//! Must never do: use code of the engine to decide what is right.

use std::collections::BTreeMap;
use std::fmt::{self, Debug, Display, Formatter};

use potoroo_sdk::prelude::*;

use crate::items::Shown;
use crate::rows::table_text;
use crate::simulator::{Outcome, Script};
use crate::topology::{Determined, SinkPromise};

/// What a run should have left behind, or has.
#[derive(Clone, Debug, Default)]
pub struct Results {
    /// Items of each sink by name, in order; replies under `reply`.
    pub sinks: BTreeMap<String, Vec<Shown>>,
    /// Rows of each table, in order of text; none where tables cannot be seen.
    pub tables: Option<BTreeMap<String, Vec<String>>>,
    /// Source, reason and bytes of each refused input, in order of all three. The bytes are left
    /// out where they depend on how the input came in pieces.
    pub refused: Vec<(String, String, Vec<u8>)>,
    /// Replies whose connection was gone.
    pub replies_lost: u64,
}

/// What the reference makes of `scripts`.
///
/// # Panics
/// The application has mistakes.
pub fn expect(
    describe: &dyn Fn() -> Application,
    scripts: &[Script],
    sinks: &[SinkPromise],
) -> Results {
    let plan = describe().plan().expect("the application is sound");
    let tables = plan.tables.into_iter().map(|table| table.name);
    let mut reference = Reference::new(describe()).expect("the application is sound");
    for script in scripts {
        let source = format!("s{}", script.source);
        reference.feed(&source, &script.bytes[..script.bytes_sent()]);
        reference.end(&source);
    }
    let shown = |sink: &SinkPromise| {
        let items = Shown::parse_all(&reference.output(&sink.name));
        (sink.name.clone(), items.expect("the reference writes whole lines"))
    };
    let refused = reference.refused().into_iter();
    let refused = refused.map(|refused| (refused.source, refused.reason, refused.bytes));
    Results {
        sinks: sinks.iter().map(shown).collect(),
        tables: Some(tables.map(|name| (name.clone(), rows(&reference, &name))).collect()),
        refused: sorted_letters(refused),
        replies_lost: 0,
    }
}

fn rows(reference: &Reference, table: &str) -> Vec<String> {
    let mut rows = Vec::new();
    reference.table(table, |key, state| rows.push(table_text(key, state)));
    rows.sort();
    rows
}

/// What a simulated run has left behind.
///
/// # Errors
/// An output is no sequence of whole items, or a client got the reply of another.
pub fn observe(outcome: &Outcome, scripts: &[Script]) -> Result<Results, String> {
    let mut sinks = BTreeMap::new();
    for (name, bytes) in &outcome.sinks {
        let items = Shown::parse_all(bytes).map_err(|wrong| format!("sink `{name}`: {wrong}"))?;
        sinks.insert(name.clone(), items);
    }
    let mut replies = Vec::new();
    for (client, bytes) in outcome.replies.iter().enumerate() {
        replies.extend(observe_replies(client, bytes, &scripts[client])?);
    }
    sinks.insert("reply".to_owned(), replies);
    let letters = outcome
        .letters
        .iter()
        .map(|letter| (format!("s{}", letter.cause.source.0), letter.reason, letter.bytes.clone()));
    Ok(Results {
        sinks,
        tables: Some(outcome.tables.clone()),
        refused: sorted_letters(letters),
        replies_lost: outcome.counts.iter().map(|counts| counts.replies_lost).sum(),
    })
}

/// The replies of one client; the last one may be cut off together with its connection.
fn observe_replies(client: usize, bytes: &[u8], script: &Script) -> Result<Vec<Shown>, String> {
    let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    if whole < bytes.len() && script.cut.is_none() && script.deaf_after.is_none() {
        return Err(format!("client {client}: its last reply is cut off"));
    }
    let replies = Shown::parse_all(&bytes[..whole])?;
    match replies.iter().find(|reply| reply.origin as usize != client) {
        Some(reply) => Err(format!("client {client} got a reply of another: {reply:?}")),
        None => Ok(replies),
    }
}

fn sorted_letters(
    letters: impl Iterator<Item = (String, Reason, Vec<u8>)>,
) -> Vec<(String, String, Vec<u8>)> {
    let known = |(source, reason, bytes): (String, Reason, Vec<u8>)| {
        let reason = reason.detail().to_owned();
        let bytes = if reason.contains("above the limit") { Vec::new() } else { bytes };
        (source, reason, bytes)
    };
    let mut letters: Vec<_> = letters.map(known).collect();
    letters.sort();
    letters
}

/// Compares a run with what it should have been.
///
/// # Errors
/// The first difference.
pub fn judge(expected: &Results, seen: &Results, sinks: &[SinkPromise]) -> Result<(), String> {
    for sink in sinks {
        let none = Vec::new();
        let expected_items = expected.sinks.get(&sink.name).unwrap_or(&none);
        let seen_items = seen.sinks.get(&sink.name).unwrap_or(&none);
        let lost = if sink.name == "reply" { seen.replies_lost } else { 0 };
        judge_sink(expected_items, seen_items, sink.determined, lost)
            .map_err(|wrong| format!("sink `{}`, {:?}: {wrong}", sink.name, sink.determined))?;
    }
    if let (Some(expected), Some(seen)) = (&expected.tables, &seen.tables) {
        judge_tables(expected, seen)?;
    }
    match first_difference(&expected.refused, &seen.refused) {
        None => Ok(()),
        Some(difference) => Err(format!("dead letters: {difference}")),
    }
}

/// Every item that is seen was expected, in its place, and those that are missing are the `lost`.
fn judge_sink(
    expected: &[Shown],
    seen: &[Shown],
    determined: Determined,
    lost: u64,
) -> Result<(), String> {
    let difference = differing_items(expected, seen);
    if difference.surplus.is_some() || difference.missing != lost {
        let (expected, seen) = (expected.len(), seen.len());
        return Err(format!("{seen} items and {lost} lost of {expected}: {difference}"));
    }
    let Determined::Order(grain) = determined else { return Ok(()) };
    let group = |item: &Shown| (item.origin, item.branch, grain.group(item.key));
    let (expected, seen) = (grouped(expected, group), grouped(seen, group));
    for (key, seen) in &seen {
        let expected = &expected[key];
        if !is_subsequence(expected, seen) {
            let difference = first_difference(expected, seen).unwrap_or_default();
            return Err(format!("order of origin, branch, group {key:?}: {difference}"));
        }
    }
    Ok(())
}

/// How two collections differ, whatever their order.
#[derive(Debug, Default)]
struct Difference {
    missing: u64,
    first_missing: Option<Shown>,
    surplus: Option<Shown>,
}

impl Display for Difference {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if let Some(item) = self.surplus {
            write!(f, "{item:?} came too often or should not have come; ")?;
        }
        match self.first_missing {
            Some(item) => write!(f, "{} are missing, such as {item:?}", self.missing),
            None => write!(f, "none is missing"),
        }
    }
}

fn differing_items(expected: &[Shown], seen: &[Shown]) -> Difference {
    let mut counts: BTreeMap<Shown, i64> = BTreeMap::new();
    expected.iter().for_each(|item| *counts.entry(*item).or_default() += 1);
    seen.iter().for_each(|item| *counts.entry(*item).or_default() -= 1);
    let mut difference = Difference::default();
    for (item, count) in counts {
        if count > 0 {
            difference.missing += count.unsigned_abs();
            difference.first_missing.get_or_insert(item);
        } else if count < 0 {
            difference.surplus.get_or_insert(item);
        }
    }
    difference
}

fn grouped<K: Ord>(items: &[Shown], key: impl Fn(&Shown) -> K) -> BTreeMap<K, Vec<Shown>> {
    let mut groups: BTreeMap<K, Vec<Shown>> = BTreeMap::new();
    items.iter().for_each(|item| groups.entry(key(item)).or_default().push(*item));
    groups
}

fn is_subsequence(whole: &[Shown], part: &[Shown]) -> bool {
    let mut whole = whole.iter();
    part.iter().all(|item| whole.any(|known| known == item))
}

fn judge_tables(
    expected: &BTreeMap<String, Vec<String>>,
    seen: &BTreeMap<String, Vec<String>>,
) -> Result<(), String> {
    for (name, expected) in expected {
        let seen = seen.get(name).ok_or_else(|| format!("table `{name}` is not there"))?;
        if let Some(difference) = first_difference(expected, seen) {
            return Err(format!("table `{name}`: {difference}"));
        }
    }
    Ok(())
}

/// The first place where two lists differ, in words.
fn first_difference<T: Debug + PartialEq>(expected: &[T], seen: &[T]) -> Option<String> {
    let longest = expected.len().max(seen.len());
    let at = (0..longest).find(|at| expected.get(*at) != seen.get(*at))?;
    let (expected, seen) = (expected.get(at), seen.get(at));
    Some(format!("at {at} of {longest}: expected {expected:?}, seen {seen:?}"))
}

//! Sound: whether the numbers in a manifest or HEAD can be those of one. A digest that fits says
//! nothing of that: what is refused here is never added, compared or indexed with.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

use potoroo_sdk::time::EventTime;

use super::epoch::Epoch;
use super::facts::Identity;
use super::manifest::{Manifest, SourcePosition};
use super::store::{Head, Name, NameKind};

impl Manifest {
    /// What is wrong with its numbers, if something is.
    pub(super) fn mistake(&self) -> Option<String> {
        (self.facts.mistake())
            .or_else(|| self.name_mistake())
            .or_else(|| self.part_mistake())
            .or_else(|| self.source_mistake())
            .or_else(|| self.transaction_mistake())
    }

    fn name_mistake(&self) -> Option<String> {
        if self.epoch.is_none() {
            return Some("its epoch is 0".to_owned());
        }
        let previous = self.previous.as_ref()?;
        let is_before = |name: &Name| name.kind == NameKind::Manifest && name.epoch < self.epoch;
        let found = previous.parse().ok().filter(is_before);
        found.is_none().then(|| format!("`{previous}` is no manifest before epoch {}", self.epoch))
    }

    fn part_mistake(&self) -> Option<String> {
        let other = self.parts.iter().find(|part| {
            let kind = NameKind::Part(part.core);
            let is_of = |name: &Name| name.kind == kind && name.epoch == part.epoch;
            !part.name.parse().is_ok_and(|name| is_of(&name))
        });
        if let Some(part) = other {
            let (name, core, epoch) = (&part.name, part.core, part.epoch);
            return Some(format!("`{name}` is no part of core {core} and epoch {epoch}"));
        }
        let rows = sum(self.parts.iter().map(|part| part.rows));
        let both = rows.and_then(|_| sum(self.parts.iter().map(|part| part.bytes)));
        both.is_none().then(|| "its parts have more rows or bytes than there can be".to_owned())
    }

    fn source_mistake(&self) -> Option<String> {
        let stream = |at: &SourcePosition| at.stream.as_ref().map(|stream| stream.name.clone());
        let of = |at: &SourcePosition| (at.name.clone(), stream(at));
        if let Some((source, _)) = twice(self.sources.iter().map(of)) {
            return Some(format!("source `{source}` has two positions"));
        }
        let never = |own: &i64| *own != i64::MIN && !WATERMARKS.contains(own);
        if let Some(at) = self.sources.iter().find(|at| at.watermarks.iter().any(never)) {
            return Some(format!("source `{}` has seen times that no event has", at.name));
        }
        let beyond = self.sources.iter().find(|at| at.position > POSITION_MAX)?;
        Some(format!("source `{}` is at {}, up to {POSITION_MAX}", beyond.name, beyond.position))
    }

    fn transaction_mistake(&self) -> Option<String> {
        if let Some(sink) = twice(self.delivered.iter().map(|one| &one.sink)) {
            return Some(format!("sink `{sink}` has delivered two last transactions"));
        }
        let mut last = BTreeMap::<&str, Epoch>::new();
        let wrong = self.transactions.iter().find(|one| {
            let from = last.insert(&one.sink, one.epoch).unwrap_or(Epoch(1));
            !(from..=self.epoch).contains(&one.epoch) || one.offset.checked_add(one.bytes).is_none()
        });
        if let Some(one) = wrong {
            let (epoch, offset, bytes) = (one.epoch, one.offset, one.bytes);
            let text = format!("{bytes} bytes from {offset} on, of epoch {epoch}");
            return Some(format!("output of sink `{}` cannot be {text}", one.sink));
        }
        let bytes = sum(self.transactions.iter().map(|one| one.bytes));
        bytes.is_none().then(|| "more output waits than there can be".to_owned())
    }
}

/// Own watermarks after an event: less than its time by 36 years at most, and 1 ns.
const WATERMARKS: RangeInclusive<i64> =
    EventTime::EVENT_MIN.nanos() - (1 << 60) - 1..=EventTime::EVENT_MAX.nanos();

/// No source is read further: file systems end here.
const POSITION_MAX: u64 = i64::MAX as u64;

impl Identity {
    /// What is wrong with its numbers, if something is.
    fn mistake(&self) -> Option<String> {
        let (ids, source_ids) = (1 << u16::BITS, 1 << u8::BITS);
        let many = [
            ("tables", self.tables.len(), ids),
            ("sources", self.sources.len(), source_ids),
            ("sinks", self.sinks.len(), ids),
            ("key_bys", self.exchanges.len(), ids),
        ];
        if let Some((what, count, most)) = many.into_iter().find(|(_, count, most)| count > most) {
            return Some(format!("it has {count} {what}, and {most} is the limit"));
        }
        let named = |what: &str, name: &str| format!("two {what} have the name `{name}`");
        let tables = twice(self.tables.iter().map(|one| &one.name));
        let sources = twice(self.sources.iter().map(|one| &one.name));
        let sinks = twice(self.sinks.iter().map(|one| (&one.name, one.reply)));
        tables
            .map(|name| named("tables", name))
            .or_else(|| sources.map(|name| named("sources", name)))
            .or_else(|| sinks.map(|(name, _)| named("sinks", name)))
            .or_else(|| self.origin_mistake())
    }

    fn origin_mistake(&self) -> Option<String> {
        let most = Self::ORIGIN_MAX;
        let origins = || (0..self.sources.len()).map(|source| self.origin(source));
        if self.origins > most + 1 || origins().any(|origin| origin > most) {
            return Some(format!("a source has an origin above {most}"));
        }
        twice(origins()).map(|origin| format!("two sources have the origin {origin}"))
    }
}

impl Head {
    /// What is wrong with its numbers, if something is.
    pub(super) fn mistake(&self) -> Option<String> {
        if self.generation > Self::GENERATION_MAX {
            return Some(format!("its generation is {}", self.generation));
        }
        let manifest = self.manifest.as_ref().map(|name| name.parse::<Name>());
        let fits = match manifest {
            None => self.epoch.is_none(),
            Some(Err(_)) => false,
            Some(Ok(name)) => name.kind == NameKind::Manifest && name.epoch == self.epoch,
        };
        let named = self.manifest.as_deref().unwrap_or("nothing");
        (!fits).then(|| format!("its epoch is {}, and it names {named}", self.epoch))
    }
}

/// `None` if it is too much for a number.
fn sum(mut numbers: impl Iterator<Item = u64>) -> Option<u64> {
    numbers.try_fold(0u64, u64::checked_add)
}

/// The first that occurs twice.
fn twice<T: Ord + Clone>(all: impl Iterator<Item = T>) -> Option<T> {
    let mut seen = BTreeSet::new();
    all.into_iter().find(|one| !seen.insert(one.clone()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::manifest::tests::example;
    use crate::checkpoint::{Delivered, SourceFacts, Transaction, TypeFacts};

    #[track_caller]
    fn refused(change: impl FnOnce(&mut Manifest), expected: &str) {
        let mut manifest = example();
        change(&mut manifest);
        let refused = Manifest::parse("m", &manifest.write()).expect_err("it is forged");
        assert_eq!(refused.damage.to_string(), expected);
    }

    fn source(name: &str, origin: Option<u16>) -> SourceFacts {
        let event = TypeFacts { name: "Quote".into(), shape: 1 };
        SourceFacts { name: name.into(), event, origin }
    }

    #[test]
    fn numbers_of_a_manifest_that_cannot_be_are_refused_though_its_digest_fits() {
        refused(|it| it.epoch = Epoch::NONE, "its epoch is 0");
        refused(|it| it.previous = Some("manifest-3-17-00000000000000aa".into()), {
            "`manifest-3-17-00000000000000aa` is no manifest before epoch 17"
        });
        refused(|it| it.previous = Some("../secret".into()), {
            "`../secret` is no manifest before epoch 17"
        });
        refused(|it| it.parts[0].core = 1, {
            "`part-3-16-0-00000000000000ab` is no part of core 1 and epoch 16"
        });
        let many = "its parts have more rows or bytes than there can be";
        refused(|it| it.parts[0].rows = u64::MAX, many);
        refused(|it| it.parts[1].bytes = u64::MAX, many);
        refused(|it| it.sources[1].position += 1, {
            "source `orders` is at 9223372036854775808, up to 9223372036854775807"
        });
        refused(|it| it.sources.push(it.sources[0].clone()), "source `quotes` has two positions");
        for never in [i64::MIN + 1, *WATERMARKS.start() - 1, *WATERMARKS.end() + 1, i64::MAX] {
            let text = "source `quotes` has seen times that no event has";
            refused(|it| it.sources[0].watermarks.push(never), text);
        }
        refused(|it| it.delivered.push(Delivered { transaction: 1, ..it.delivered[0].clone() }), {
            "sink `fills` has delivered two last transactions"
        });
    }

    #[test]
    fn output_that_cannot_be_is_refused() {
        let output = |epoch, offset| Transaction {
            epoch: Epoch(epoch),
            offset,
            ..example().transactions[0].clone()
        };
        let text = "output of sink `rejections` cannot be 50 bytes from 0 on, of epoch";
        for epoch in [0, 16, 18] {
            refused(|it| it.transactions.push(output(epoch, 0)), &format!("{text} {epoch}"));
        }
        refused(|it| it.transactions[0].offset = u64::MAX, {
            "output of sink `rejections` cannot be 50 bytes from 18446744073709551615 on, of epoch \
             17"
        });
        let large = Transaction { bytes: u64::MAX, ..output(17, 0) };
        refused(|it| it.transactions.push(large), "more output waits than there can be");
    }

    #[test]
    fn an_identity_that_cannot_be_is_refused() {
        refused(|it| it.facts.tables.push(it.facts.tables[0].clone()), {
            "two tables have the name `markets`"
        });
        let sources = |names: [&'static str; 2], origins: [Option<u16>; 2]| {
            move |it: &mut Manifest| {
                it.facts.sources = (0..2).map(|at| source(names[at], origins[at])).collect();
            }
        };
        let names = ["quotes", "orders"];
        refused(sources(["quotes", "quotes"], [None; 2]), "two sources have the name `quotes`");
        refused(sources(names, [None, Some(511)]), "a source has an origin above 510");
        refused(sources(names, [None, Some(u16::MAX)]), "a source has an origin above 510");
        refused(|it| it.facts.origins = 512, "a source has an origin above 510");
        refused(sources(names, [None, Some(0)]), "two sources have the origin 0");
        refused(
            |it| it.facts.sources = (0..257).map(|at| source(&at.to_string(), None)).collect(),
            "it has 257 sources, and 256 is the limit",
        );
    }

    #[test]
    fn a_head_that_cannot_be_is_refused() {
        let manifest = Some("manifest-3-17-00000000000000ab".to_owned());
        let head = Head { generation: 3, epoch: Epoch(17), manifest, ..Head::default() };
        Head::parse(&head.write()).expect("it can be");
        let refused = |head: &Head, expected: &str| {
            let refused = Head::parse(&head.write()).expect_err("it is forged");
            assert_eq!(refused.damage.to_string(), expected);
        };
        let other = Head { epoch: Epoch(16), ..head.clone() };
        refused(&other, "its epoch is 16, and it names manifest-3-17-00000000000000ab");
        refused(&Head { manifest: None, ..head.clone() }, "its epoch is 17, and it names nothing");
        let last = Head { generation: u64::from(u32::MAX), ..head };
        refused(&last, "its generation is 4294967295");
    }
}

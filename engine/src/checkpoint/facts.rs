//! Facts: what a checkpoint and the application that reads it must agree on.

use potoroo_sdk::plan::{Plan, TablePlan};
use potoroo_sdk::table::TableShape;
use serde::{Deserialize, Serialize};

use super::hex;

/// What an application is, as far as what it stored depends on it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Identity {
    /// Its name.
    pub application: String,
    /// Hash of its structure, as of [`Plan::fingerprint`](potoroo_sdk::plan::Plan::fingerprint):
    /// what the numbers of exchanges in stored frames mean depends on it.
    #[serde(with = "hex")]
    pub fingerprint: u64,
    /// Number of partitions of the keys.
    pub partitions: u32,
    /// Its tables, by [`TableId`](potoroo_sdk::host::TableId).
    pub tables: Vec<TableFacts>,
}

/// A table and what its rows are made of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TableFacts {
    /// Its name.
    pub name: String,
    /// The type of its keys.
    pub key: TypeFacts,
    /// The type of its states.
    pub state: TypeFacts,
    /// Former shapes of its states that the application can read. Not stored.
    #[serde(skip)]
    pub older: Older,
}

/// Shapes that can be read besides. All are equal: facts do not differ by what a reader can read.
#[derive(Clone, Debug, Default)]
pub struct Older(pub Vec<u64>);

impl PartialEq for Older {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Older {}

/// A type and the hash of its shape: of the names and types of all its fields.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TypeFacts {
    /// Its name, for messages.
    pub name: String,
    /// Hash of its shape.
    #[serde(with = "hex")]
    pub shape: u64,
}

/// What was stored is of no use to the application that asks for it: one line per difference.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{object} cannot be used by application `{application}`:{}\n\
     start the application that wrote it, or give another --state",
    .differences.iter().map(|line| format!("\n  - {line}")).collect::<String>()
)]
pub struct IdentityMismatch {
    /// The manifest or part.
    pub object: String,
    /// Who asks.
    pub application: String,
    /// What differs: its name, what was and what is.
    pub differences: Vec<String>,
}

impl Identity {
    /// The facts of an application whose keys are spread over `partitions`.
    pub fn of(plan: &Plan, partitions: u32) -> Self {
        let table = |table: &TablePlan| {
            let TableShape { key, key_shape, state, state_shape } = table.rows.shape();
            TableFacts {
                name: table.name.clone(),
                key: TypeFacts { name: key.to_owned(), shape: key_shape },
                state: TypeFacts { name: state.to_owned(), shape: state_shape },
                older: Older(table.rows.older_shapes()),
            }
        };
        Self {
            application: plan.name.clone(),
            fingerprint: plan.fingerprint,
            partitions,
            tables: plan.tables.iter().map(table).collect(),
        }
    }

    /// Whether what `object` says of its writer, `stored`, fits the application that this is.
    ///
    /// # Errors
    /// It differs: all differences by name.
    pub fn accept(&self, object: &str, stored: &Self) -> Result<(), IdentityMismatch> {
        let differences = self.differences(stored);
        if differences.is_empty() {
            return Ok(());
        }
        let (object, application) = (object.to_owned(), self.application.clone());
        Err(IdentityMismatch { object, application, differences })
    }

    /// As [`accept`](Self::accept), of the table `name` only. Returns its number where it was
    /// stored.
    ///
    /// # Errors
    /// The table differs, was not there, or belongs to another application.
    pub fn accept_table(
        &self,
        object: &str,
        stored: &Self,
        name: &str,
    ) -> Result<usize, IdentityMismatch> {
        let only = |facts: &Self| {
            let tables = facts.tables.iter().filter(|table| table.name == name);
            Self { tables: tables.cloned().collect(), ..facts.clone() }
        };
        let was = Self { fingerprint: self.fingerprint, ..only(stored) };
        only(self).accept(object, &was)?;
        let at = stored.tables.iter().position(|table| table.name == name);
        Ok(at.expect("a table that was not there is refused"))
    }

    fn differences(&self, stored: &Self) -> Vec<String> {
        if self.application != stored.application {
            return vec![format!("it belongs to application `{}`", stored.application)];
        }
        let mut lines = self.table_differences(stored);
        if self.partitions != stored.partitions {
            let (was, is) = (stored.partitions, self.partitions);
            lines.push(format!("partitions were {was} and are {is}: say --partitions {was}"));
        }
        if lines.is_empty() && self.fingerprint != stored.fingerprint {
            let (was, is) = (stored.fingerprint, self.fingerprint);
            lines.push(format!(
                "the structure of its streams, or an event type, has changed \
                 (was {was:016x}, is {is:016x})"
            ));
        }
        lines
    }

    fn table_differences(&self, stored: &Self) -> Vec<String> {
        let named = |tables: &[TableFacts], name: &str| {
            tables.iter().find(|table| table.name == name).cloned()
        };
        let mut lines = Vec::new();
        for was in &stored.tables {
            match named(&self.tables, &was.name) {
                None => lines.push(format!("table `{}` was there and is gone", was.name)),
                Some(is) => lines.extend(is.differences(was)),
            }
        }
        for is in &self.tables {
            if named(&stored.tables, &is.name).is_none() {
                lines.push(format!("table `{}` was not there and is new", is.name));
            }
        }
        lines
    }
}

impl TableFacts {
    fn differences(&self, stored: &Self) -> Vec<String> {
        let of = |what: &str, was: &TypeFacts, is: &TypeFacts, remedy: &str| {
            let differ = was.shape != is.shape;
            let name = &self.name;
            differ.then(|| format!("table `{name}`: its {what} was {was} and is {is}{remedy}"))
        };
        let key = of("key", &stored.key, &self.key, "");
        let state = match self.older.0.contains(&stored.state.shape) {
            true => None,
            false => of("state", &stored.state, &self.state, MIGRATE),
        };
        key.into_iter().chain(state).collect()
    }
}

const MIGRATE: &str = "; `Table::migrating` converts it";

impl std::fmt::Display for TypeFacts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "`{}` (shape {:016x})", self.name, self.shape)
    }
}

#[cfg(test)]
pub(super) fn example() -> Identity {
    let of = |name: &str, shape| TypeFacts { name: name.into(), shape };
    let table = |name: &str, state: TypeFacts| TableFacts {
        name: name.into(),
        key: of("Symbol", 0x1111),
        state,
        older: Older::default(),
    };
    Identity {
        application: "market-spread".into(),
        fingerprint: 0xfeed_0000_0000_beef,
        partitions: 1024,
        tables: vec![table("markets", of("Market", 0x2222)), table("counts", of("u64", 0x3333))],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(change: impl FnOnce(&mut Identity), expected: &[&str]) {
        let mut now = example();
        change(&mut now);
        let differences = match now.accept("manifest-1-1-0", &example()) {
            Ok(()) => Vec::new(),
            Err(refused) => refused.differences,
        };
        assert_eq!(differences, expected);
    }

    #[test]
    fn each_difference_is_named_with_what_was_and_what_is() {
        check(|_| (), &[]);
        check(
            |now| now.application = "word-count".into(),
            &["it belongs to application `market-spread`"],
        );
        check(
            |now| now.partitions = 64,
            &["partitions were 1024 and are 64: say --partitions 1024"],
        );
        check(
            |now| {
                now.fingerprint = 1;
                now.tables[0].state = TypeFacts { name: "Market".into(), shape: 0x4444 };
                now.tables[1].key.shape = 0x5555;
            },
            &[
                "table `markets`: its state was `Market` (shape 0000000000002222) and is \
                 `Market` (shape 0000000000004444); `Table::migrating` converts it",
                "table `counts`: its key was `Symbol` (shape 0000000000001111) and is `Symbol` \
                 (shape 0000000000005555)",
            ],
        );
        check(
            |now| now.tables[1].name = "totals".into(),
            &["table `counts` was there and is gone", "table `totals` was not there and is new"],
        );
        check(
            |now| now.fingerprint = 1,
            &["the structure of its streams, or an event type, has changed (was \
               feed00000000beef, is 0000000000000001)"],
        );
    }

    #[test]
    fn a_state_that_can_be_converted_is_no_difference() {
        check(
            |now| {
                now.tables[0].state.shape = 0x4444;
                now.tables[0].older = Older(vec![0x2222]);
            },
            &[],
        );
    }

    #[test]
    fn of_one_table_nothing_else_is_compared() {
        let mut now = example();
        (now.fingerprint, now.tables[0].key.shape) = (1, 0x5555);
        now.tables.swap(0, 1);
        assert_eq!(now.accept_table("m", &example(), "counts"), Ok(1), "where it was stored");
        let refused = now.accept_table("m", &example(), "markets").expect_err("its key differs");
        assert!(refused.to_string().contains("table `markets`: its key was"), "{refused}");
        now.application = "word-count".into();
        assert!(now.accept_table("m", &example(), "counts").is_err());
    }

    #[test]
    fn a_type_that_only_changed_its_name_is_the_same() {
        check(|now| now.tables[0].state.name = "Spread".into(), &[]);
    }

    #[test]
    fn the_message_says_who_asks_and_what_to_do() {
        let now = Identity { partitions: 8, ..example() };
        let refused = now.accept("manifest-1-1-0", &example()).expect_err("they differ");
        assert_eq!(
            refused.to_string(),
            "manifest-1-1-0 cannot be used by application `market-spread`:\n  - partitions were \
             1024 and are 8: say --partitions 1024\nstart the application that wrote it, or give \
             another --state"
        );
    }
}

//! Random applications: chains of stateless, stateful and keyed stages with filters, one-to-many
//! operators, forks, merges, several sources, sinks and shared tables.
//!
//! Every draw follows from the seed, so the description can be asked for on every core.
//!
//! Promises: each application keeps what it can be judged by: [`Topology::sinks`] says for every
//! sink what is determined of its output. Handlers whose result depends on an order are used only
//! where the order is determined. Must never do: know where the application runs.

mod build;
mod handlers;

use potoroo_sdk::prelude::*;

use crate::items::{Item, Slim};

/// One stage of a chain, as in the list of topologies that every engine of this kind is tested
/// with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// An operator without state.
    Stateless,
    /// An operator with state of the key that the stream has; with one state if it has none.
    Stateful,
    /// A `key_by`, then an operator without state.
    KeyStateless,
    /// A `key_by`, then an operator with state.
    KeyStateful,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 4] =
        [Self::Stateless, Self::Stateful, Self::KeyStateless, Self::KeyStateful];

    /// All sequences of `length` stages.
    pub fn sequences(length: u32) -> Vec<Vec<Self>> {
        let digits = |number: usize| (0..length).map(move |at| number >> (2 * at) & 3);
        (0..4_usize.pow(length)).map(|n| digits(n).map(|d| Self::ALL[d]).collect()).collect()
    }
}

/// What keys are made of: each is finer than the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Grain {
    /// Everything is one group.
    Whole,
    /// Groups of keys.
    Coarse,
    /// The key of the item.
    Fine,
}

impl Grain {
    /// The group of an item with this `key`.
    pub fn group(self, key: u32) -> u32 {
        match self {
            Self::Whole => 0,
            Self::Coarse => key % COARSE_GROUPS,
            Self::Fine => key,
        }
    }
}

/// Few enough that groups meet, enough that they spread.
const COARSE_GROUPS: u32 = 5;

/// What is determined of the output of a sink.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Determined {
    /// Which items come, not their order.
    Items,
    /// The sequence for each origin, branch and group of keys.
    Order(Grain),
}

/// A sink of a topology.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SinkPromise {
    /// Its name; `reply` for replies.
    pub name: String,
    /// What can be compared.
    pub determined: Determined,
}

/// A random application.
#[derive(Clone, Debug)]
pub struct Topology {
    /// Decides everything that the other fields leave open.
    pub seed: u64,
    /// The stages of the main chain.
    pub kinds: Vec<Kind>,
    /// Sources.
    pub sources: u8,
    /// There is one connection in all, so that its order may show in states.
    pub one_connection: bool,
    /// Forks, merges, side sinks, replies and shared tables too.
    pub fancy: bool,
}

impl Topology {
    /// The application.
    pub fn application(&self) -> Application {
        self.build().0
    }

    /// Its sinks.
    pub fn sinks(&self) -> Vec<SinkPromise> {
        self.build().1
    }

    /// Whether its events are [`Slim`], which have no note.
    pub fn is_slim(&self) -> bool {
        self.seed % 2 == 1
    }

    fn build(&self) -> (Application, Vec<SinkPromise>) {
        match self.is_slim() {
            false => build::build::<Item>(self),
            true => build::build::<Slim>(self),
        }
    }
}

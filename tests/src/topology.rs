//! Random applications: chains of stateless, stateful and keyed stages with filters, one-to-many
//! operators, forks, parted streams, merges, several sources, sinks and shared tables.
//!
//! Every draw follows from the seed, so the description can be asked for on every core.
//!
//! Promises: each application keeps what it can be judged by: [`Topology::sinks`] says for every
//! sink what is determined of its output. Handlers whose result depends on an order are used only
//! where the order is determined. Must never do: know where the application runs.

// In reading order; the blank lines keep it.
mod promise;
mod shape;

mod build;
mod handlers;

use potoroo_sdk::prelude::*;

pub use promise::{Determined, Grain, SinkPromise};
pub use shape::{Kind, Topology};

use crate::items::{Item, Slim};

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

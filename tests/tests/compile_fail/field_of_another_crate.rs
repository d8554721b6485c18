//! A type of another crate, in an event that is seen through a view, and in a state.

use potoroo::prelude::*;

/// Stands for another crate.
mod decimal {
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
    pub struct Decimal(i128);
}

use decimal::Decimal;

#[event]
struct Order {
    price: Decimal,
    note: String,
}

#[state]
struct Book {
    prices: std::collections::BTreeMap<u64, Option<Decimal>>,
}

fn main() {}

//! Some types mean nothing on another machine, or change from run to run.

use potoroo::prelude::*;
use std::collections::{BTreeMap, HashMap};

#[event]
struct Order {
    count: usize,
    legs: HashMap<u64, u64>,
    fills: Vec<BTreeMap<u64, u64>>,
    shared: Option<std::rc::Rc<u64>>,
    name: &'static str,
    wait: std::time::Duration,
    action: Box<dyn Fn()>,
}

#[state]
struct Book {
    legs: HashMap<u64, u64>,
}

#[key]
struct Level {
    price: f64,
}

fn main() {}

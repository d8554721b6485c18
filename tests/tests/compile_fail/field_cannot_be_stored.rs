//! Some types mean nothing on another machine, or change from run to run.

use potoroo::prelude::*;

#[event]
struct Order {
    count: usize,
    legs: std::collections::HashMap<u64, u64>,
    shared: std::rc::Rc<u64>,
}

fn main() {}

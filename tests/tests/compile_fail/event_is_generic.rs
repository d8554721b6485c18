//! The name and layout of an event are its own.

use potoroo::prelude::*;

#[event]
struct Pair<T> {
    first: T,
    second: T,
}

fn main() {}

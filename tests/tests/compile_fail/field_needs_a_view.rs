//! A field whose type is seen through a view, in a type that has none.

use potoroo::prelude::*;

#[value]
struct Name(String);

#[event]
struct Order {
    name: Name,
}

fn main() {}

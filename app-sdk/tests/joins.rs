//! `first`, `join`, `join_left` and `as_of` against naive ones, on random inputs.

mod support;

#[path = "joins/input.rs"]
mod input;

#[path = "joins/as_of.rs"]
mod as_of;
#[path = "joins/batched.rs"]
mod batched;
#[path = "joins/first.rs"]
mod first;
#[path = "joins/intervals.rs"]
mod intervals;
#[path = "joins/limits.rs"]
mod limits;
#[path = "joins/mistakes.rs"]
mod mistakes;

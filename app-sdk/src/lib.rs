//! What a Potoroo application is: events, keys, tables, streams, codecs and the
//! reference interpreter that defines what an application means.
//!
//! Promises: `no_std`, so that no thread, socket, file or clock can get in; no `unsafe`.
//! Must never contain: anything that names where or on how many machines an application runs.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
extern crate self as potoroo_sdk;

pub mod value;
pub mod text;
pub mod key;
pub mod codec;
pub mod random;

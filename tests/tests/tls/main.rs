//! Nodes that encrypt what they send each other: the connection of a link on a core, greetings,
//! real processes on loopback, and etcd with certificates.

#[path = "../support/mod.rs"]
mod support;

mod bare;
mod expired;
mod greeting;
mod keys;
mod nodes;
mod port;
mod refused;
mod secure_etcd;
mod spying;

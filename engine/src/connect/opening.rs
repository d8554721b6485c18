//! What edges are opened with, before anything of them is changed.

use std::net::SocketAddr;

use potoroo_sdk::plan::Plan;

use super::claims::Claims;
use super::pipe::{PipeIn, PipeOut};

/// The embedding program's ends of channel sources and sinks, by name.
#[derive(Default)]
pub struct Channels {
    /// Where events for a source go in.
    pub sources: Vec<(String, PipeIn)>,
    /// Where the output of a sink comes out.
    pub sinks: Vec<(String, PipeOut)>,
}

/// What is known while one edge is opened.
pub struct Opening<'a> {
    /// The application.
    pub plan: &'a Plan,
    /// Name of the source or sink.
    pub name: &'a str,
    /// What it is in messages: ``sink `NAME` ``, or the dead letters.
    pub what: &'a str,
    /// Checkpoints are taken.
    pub checkpoints: bool,
    /// The files that are used.
    pub claims: &'a mut Claims,
    /// The ends of the embedding program.
    pub channels: &'a mut Channels,
    /// Where sources listen: name and address.
    pub listening: &'a mut Vec<(String, SocketAddr)>,
}

//! What `--check` prints: the plan, the guarantee of each path and the memory bill.

use std::fmt::Write;

use potoroo_sdk::plan::{End, Path, Plan};

use super::bill::Bill;
use super::config::{Config, idle_name};
use crate::connect::address::{SinkAddress, SourceAddress};
use crate::connect::file::is_regular;

/// The whole text.
pub fn describe(plan: &Plan, config: &Config) -> String {
    let mut text = format!("application {}\n\nsources\n", plan.name);
    for source in &plan.sources {
        let address = &config.sources[&source.name];
        let _ = writeln!(text, "  {} ({}) from {address}", source.name, source.event);
    }
    text.push_str("\nexchanges\n");
    for exchange in &plan.exchanges {
        let _ = writeln!(text, "  level {}: {}", exchange.level, exchange.label);
    }
    text.push_str("\ntables\n");
    for table in &plan.tables {
        let bytes = table.rows.row_bytes();
        // Of slots that changed: those of the present epoch, and of a quarter from before.
        let lists = if config.state.is_some() { ", up to 5 of lists of changes" } else { "" };
        let name = &table.name;
        let _ = writeln!(text, "  {name}: {bytes} bytes per row, about 20 of index{lists}");
    }
    text.push_str("\nsinks\n");
    for sink in &plan.sinks {
        let to = match &sink.name {
            Some(name) => config.sinks[name].to_string(),
            None => "the connection that asked".to_string(),
        };
        let _ = writeln!(text, "  {} to {to}", sink.label());
    }
    text.push_str("\nguarantees\n");
    for line in guarantees(plan, config) {
        let _ = writeln!(text, "  {line}");
    }
    let _ = writeln!(
        text,
        "\ncores\n  {:?}, {} partitions on {:?}, idle: {}",
        config.cores,
        config.partitions,
        config.state_cores.as_ref().unwrap_or(&config.cores),
        idle_name(config.idle),
    );
    let _ = writeln!(text, "\nmemory\n{}", Bill::new(plan, config));
    text
}

/// The guarantee of each path, in one line each.
pub fn guarantees(plan: &Plan, config: &Config) -> Vec<String> {
    let line = |path: &Path| {
        let address = &config.sources[&plan.sources[path.source.0 as usize].name];
        let kept = config.state.is_some();
        let (source, why_source) = source_guarantee(address, kept);
        let (sink, why_sink) = match path.end {
            End::Table(_) if kept => ("kept", "in the last checkpoint, see --state"),
            End::Table(_) => ("kept in memory", "state ends with the process without --state"),
            End::Sink(id) => match &plan.sinks[id.0 as usize].name {
                Some(name) => sink_guarantee(&config.sinks[name], kept),
                None => reply_guarantee(address),
            },
        };
        format!("{}: {source} in ({why_source}), {sink} out ({why_sink})", plan.path_label(*path))
    };
    plan.paths.iter().map(line).collect()
}

fn source_guarantee(address: &SourceAddress, kept: bool) -> (&'static str, &'static str) {
    match address {
        SourceAddress::File { path } if !is_regular(path) => {
            ("at most once", "a pipe or device cannot be read again")
        }
        SourceAddress::File { .. } | SourceAddress::Generator(_) if kept => {
            ("exactly once", "read again from where the last checkpoint stands")
        }
        SourceAddress::Connector { .. } if kept => {
            ("exactly once", "acknowledged by checkpoints, sent again behind the last one")
        }
        SourceAddress::Connector { .. } => {
            ("at most once", "acknowledged when it is taken, since without --state nothing lasts")
        }
        SourceAddress::Tcp { .. } => ("at most once", "plain TCP cannot be read again"),
        SourceAddress::File { .. } => ("every event of a run", "a restart reads the file again"),
        SourceAddress::Generator(_) => ("every event of a run", "the seed makes the same events"),
        SourceAddress::Channel => ("at most once", "the program does not send again"),
    }
}

/// Replies to what comes from `address`: only connections can be answered.
fn reply_guarantee(address: &SourceAddress) -> (&'static str, &'static str) {
    match address {
        SourceAddress::Tcp { .. } => {
            ("at most once", "a reply whose connection is gone is counted as lost")
        }
        SourceAddress::Generator(_) => {
            ("none", "made-up events have no connection: replies are counted and dropped")
        }
        SourceAddress::File { .. } | SourceAddress::Connector { .. } | SourceAddress::Channel => {
            ("none", "there is no connection to answer: replies are counted as lost; give tcp:")
        }
    }
}

fn sink_guarantee(address: &SinkAddress, kept: bool) -> (&'static str, &'static str) {
    match address {
        SinkAddress::File { path, .. } if kept && is_regular(path) => {
            ("exactly once", "visible when the checkpoint that holds it is safe")
        }
        SinkAddress::Connector { .. } => {
            ("exactly once", "brought when its checkpoint is safe, until the client has it")
        }
        SinkAddress::Tcp { sequence: true, .. } if kept => {
            ("at least once", "repeats behind a crash have the ids that they had before")
        }
        SinkAddress::Tcp { .. } | SinkAddress::Stdout | SinkAddress::File { .. } if kept => {
            ("at least once", "over a crash: what left behind the last checkpoint is repeated")
        }
        SinkAddress::Tcp { .. } => {
            ("at most once", "what a broken connection had taken may be lost")
        }
        SinkAddress::File { .. } => ("once per run", "written and synced before the end"),
        SinkAddress::Stdout => ("once per run", "written before the end"),
        SinkAddress::Null => ("none", "counted and dropped"),
        SinkAddress::Channel => ("once per run", "waits for the program to take it"),
    }
}

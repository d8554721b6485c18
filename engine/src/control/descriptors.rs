//! Descriptors: how many the process may open, what needs them, and how many connections fit beside
//! that.
//!
//! Promises: connections never take the descriptors that output, checkpoints and the admin port
//! need, so a crowd of strangers cannot end the application.

use potoroo_sdk::plan::Plan;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::admin;
use super::config::Config;
use super::error::Error;
use crate::cluster::knocking::WAITING_MAX;
use crate::connect::demand::Demand;
use crate::connect::permits::Places;
use crate::connect::potoroo::serve::{CLIENTS_MAX, STRANGERS_MAX};

/// Raises the limit of open files as far as this process may. For a process that is ours alone:
/// programs that wait with `select` cannot use high numbers, and the engine starts no program.
pub(super) fn raise_limit() {
    let limit = getrlimit(Resource::Nofile);
    if limit.current.is_some() && limit.current != limit.maximum {
        // Refused, the limit stays as it is, and connections are fewer.
        let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
    }
}

/// Divides the descriptors that this process may still open. Looked at before any core starts: an
/// executor that runs out of descriptors panics.
///
/// # Errors
/// There are too few even without any connection.
pub(super) fn share(plan: &Plan, config: &Config) -> Result<Places, Error> {
    let places = share_of(getrlimit(Resource::Nofile).current, open_now(), plan, config)?;
    if let Some(text) = places.notice(config) {
        tracing::warn!("{text}");
    }
    Ok(places)
}

/// How many this process may still open; `None` where that is not limited.
pub(super) fn left() -> Option<usize> {
    let limit = usize::try_from(getrlimit(Resource::Nofile).current?).unwrap_or(usize::MAX);
    Some(limit.saturating_sub(open_now()))
}

/// Descriptors that are open already.
fn open_now() -> usize {
    std::fs::read_dir("/proc/self/fd").map_or(STANDARD_DESCRIPTORS, Iterator::count)
}

fn share_of(
    limit: Option<u64>,
    open: usize,
    plan: &Plan,
    config: &Config,
) -> Result<Places, Error> {
    let wanted = Places::wanted(config);
    let Some(limit) = limit else { return Ok(wanted) };
    let (least, reserved) = reserve(open, plan, config);
    if limit < least as u64 {
        return Err(Error::Descriptors { limit, needed: least as u64 });
    }
    // A limit between both is run with: connections are few then, and opening may have to wait.
    let left = usize::try_from(limit).unwrap_or(usize::MAX).saturating_sub(reserved);
    Ok(wanted.within(left, listeners(config)))
}

/// Descriptors without which the engine cannot start, and those that it may open at most besides
/// connections.
fn reserve(open: usize, plan: &Plan, config: &Config) -> (usize, usize) {
    let edges = plan.sources.len() + plan.sinks.len();
    let least = open + edges + config.cores.len() * CORE_DESCRIPTORS + OTHER_DESCRIPTORS;
    let admin = config.admin.map_or(0, |_| admin::CONNECTIONS_MAX);
    let stored = config.state.as_ref().map_or(0, |_| {
        let sinks = plan.sinks.len() * SINK_DESCRIPTORS;
        STATE_DESCRIPTORS + sinks + config.cores.len() * PART_DESCRIPTORS
    });
    let clustered = config.cluster.as_ref().map_or(0, |_| {
        let links = config.cores.len().saturating_mul(config.other_cores());
        links.saturating_add(CLUSTER_DESCRIPTORS + 2 * config.nodes_max)
    });
    (least, (least + admin + stored).saturating_add(clustered))
}

/// Sources that accept connections, counted once, and sources with clients.
fn listeners(config: &Config) -> (usize, usize) {
    let demands = config.sources.values().map(|at| at.connector().demand(config.inlet_bytes));
    let demands: Vec<Demand> = demands.collect();
    let connections = usize::from(demands.iter().any(|demand| demand.connections));
    (connections, demands.iter().filter(|demand| demand.clients).count())
}

impl Places {
    fn wanted(config: &Config) -> Self {
        let connections = config.connections_max;
        Self { connections, strangers: STRANGERS_MAX, clients: CLIENTS_MAX }
    }

    /// As many as `left` descriptors allow, in the same proportions, but one of each.
    fn within(self, left: usize, (tcp, clients): (usize, usize)) -> Self {
        let all = tcp * self.connections + clients * (self.strangers + self.clients);
        if all <= left {
            return self;
        }
        let part = |places: usize| {
            let part = places as u128 * left as u128 / all as u128;
            (part as usize).max(1)
        };
        Self {
            connections: if tcp > 0 { part(self.connections) } else { self.connections },
            strangers: part(self.strangers),
            clients: part(self.clients),
        }
    }

    /// What is said where fewer connections fit than were asked for.
    fn notice(self, config: &Config) -> Option<String> {
        let wanted = Self::wanted(config);
        let (tcp, clients) = listeners(config);
        let line = |is: usize, was: usize, what: &str, others: &str| {
            (is < was).then(|| format!("{is} {what} at once instead of {was} ({others})"))
        };
        let connections = || {
            let what = "connections (--connections-max)";
            line(self.connections, wanted.connections, what, "others wait until some are closed")
        };
        let of_clients =
            || line(self.clients, wanted.clients, "clients of each source", "others are refused");
        let connections = (tcp > 0).then(connections).flatten();
        let of_clients = (clients > 0).then(of_clients).flatten();
        let lines: Vec<_> = connections.into_iter().chain(of_clients).collect();
        (!lines.is_empty()).then(|| {
            format!(
                "the limit of open files allows {}: raise it with `ulimit -n` or LimitNOFILE=",
                lines.join(" and ")
            )
        })
    }
}

/// Standard input, output and error.
const STANDARD_DESCRIPTORS: usize = 3;

/// Descriptors of one core: its executor's and its poller's.
const CORE_DESCRIPTORS: usize = 6;

/// Descriptors for what runs once: the admin port with its event loop, signals, dead letters, and
/// what is open for a moment while something starts.
const OTHER_DESCRIPTORS: usize = 12;

/// Descriptors of a sink whose output is kept: the scratch file that is written, one on its way to
/// the storage thread and eight that are not committed, the file and the output that is shown in
/// it, its folder, and a connection with the output that goes over it.
const SINK_DESCRIPTORS: usize = 16;

/// Descriptors of the place of checkpoints: its folder or connections, the lock, HEAD, a manifest
/// and what an operator looks at.
const STATE_DESCRIPTORS: usize = 16;

/// Descriptors of a node besides its links and two for each other node: its session, what is
/// agreed, its ports, and connections whose first bytes have not come.
const CLUSTER_DESCRIPTORS: usize = 8 + 4 * WAITING_MAX;

/// Descriptors of one core for a part that is stored, and one that is read.
const PART_DESCRIPTORS: usize = 2;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connect::address::SourceAddress;

    const WANTED: Places = Places { connections: 1024, strangers: 256, clients: 128 };

    #[test]
    fn connections_get_what_is_left() {
        let check = |left, listeners, connections, strangers, clients| {
            let expected = Places { connections, strangers, clients };
            assert_eq!(WANTED.within(left, listeners), expected, "{left} {listeners:?}");
        };
        check(2000, (1, 2), 1024, 256, 128);
        check(1024, (1, 0), 1024, 256, 128);
        check(896, (1, 2), 512, 128, 64);
        check(192, (0, 1), 1024, 128, 64);
        check(0, (1, 1), 1, 1, 1);
        check(usize::MAX, (1, 255), 1024, 256, 128);
    }

    #[test]
    fn connections_wait_and_clients_are_refused() {
        let source = |text: &str| text.parse::<SourceAddress>().expect("a source");
        let config = Config::default().source("a", source("tcp://127.0.0.1:1"));
        let few = Places { connections: 7, strangers: 3, clients: 2 };
        let text = few.notice(&config).expect("they are fewer");
        assert!(text.contains("of 1024 (others wait") && !text.contains("clients"), "{text}");
        let config = Config::default().source("a", source("potoroo://127.0.0.1:1"));
        let text = few.notice(&config).expect("they are fewer");
        assert!(text.contains("of 128 (others are refused") && !text.contains("wait"), "{text}");
        assert_eq!(Places::wanted(&config).notice(&config), None);
    }
}

//! On what cores run, and what is worth printing about it at the start.

use crate::poller::PollerKind;

/// On what the cores of a host run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ground {
    /// Why cores run on plain threads instead of executors, and what would change that; `None` for
    /// executors.
    pub plain_because: Option<String>,
    /// How the poller of each core asks the kernel, in order of cores.
    pub pollers: Vec<PollerKind>,
    /// The real-time priority of the cores, if they had to be put below the threads around them.
    pub lowered_to: Option<i32>,
}

impl Ground {
    /// Notices for the start, one line each: what is so, what it costs, the remedy.
    pub fn notices(&self) -> Vec<String> {
        let plain = self.plain_because.as_ref().map(|because| match self.asks_epoll() {
            true => format!(
                "cores run on plain threads and ask epoll, which costs each turn a system call \
                 (about 0.2 µs): {because}"
            ),
            false => format!("cores run on plain threads, which costs nothing: {because}"),
        });
        let lowered = self.lowered_to.map(|priority| {
            format!(
                "cores run at real-time priority {priority}, one below the threads that share \
                 their CPUs: a busy core would never let those run; leave a CPU without a core \
                 (--cores) to keep its priority"
            )
        });
        let some = (self.plain_because.is_none() && self.asks_epoll()).then(|| {
            let pollers = self.pollers.iter().enumerate();
            let asks = pollers.filter(|(_, kind)| **kind == PollerKind::Epoll);
            let cores = asks.map(|(core, _)| core.to_string()).collect::<Vec<_>>().join(", ");
            format!(
                "of the cores these ask epoll, which costs each turn a system call (about 0.2 µs): \
                 {cores}; io_uring was granted at first and refused then: raise the limits of open \
                 files (`ulimit -n`) and locked memory (`ulimit -l`)"
            )
        });
        plain.into_iter().chain(some).chain(lowered).collect()
    }

    /// Whether some core asks epoll.
    fn asks_epoll(&self) -> bool {
        self.pollers.contains(&PollerKind::Epoll)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ground(plain_because: Option<&str>, poller: PollerKind, lowered_to: Option<i32>) -> Ground {
        let plain_because = plain_because.map(str::to_owned);
        Ground { plain_because, pollers: vec![poller], lowered_to }
    }

    #[test]
    fn what_costs_something_is_reported_with_the_remedy() {
        assert!(ground(None, PollerKind::Uring, None).notices().is_empty());
        let notices = ground(Some("not permitted"), PollerKind::Epoll, Some(1)).notices();
        assert!(notices[0].contains("0.2 µs") && notices[0].contains("not permitted"));
        assert!(notices[1].contains("real-time priority 1") && notices[1].contains("--cores"));
        let notices = ground(Some("no /sys"), PollerKind::Uring, None).notices();
        assert!(notices[0].contains("costs nothing"), "{notices:?}");
    }

    #[test]
    fn a_core_that_asks_epoll_beside_executors_is_reported() {
        let pollers = vec![PollerKind::Uring, PollerKind::Epoll];
        let notices = Ground { plain_because: None, pollers, lowered_to: None }.notices();
        assert!(notices.len() == 1 && notices[0].contains("0.2 µs): 1;"), "{notices:?}");
    }
}

//! Nodes that could not begin: each try of one has all others begin anew.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// By name: the last try, and how long no further one is taken after it.
#[derive(Debug, Default)]
pub(super) struct UnfitNodes(BTreeMap<String, (Instant, Duration, String)>);

/// Pauses between two tries.
const PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));

impl UnfitNodes {
    /// `node` could not begin, for this `reason`.
    pub(super) fn add(&mut self, node: &str, reason: &str, now: Instant) {
        let before = self.0.get(node);
        let pause = before.map_or(PAUSES.0, |(_, pause, _)| (2 * *pause).min(PAUSES.1));
        self.0.insert(node.to_owned(), (now, pause, reason.to_owned()));
    }

    /// Why `node` is not taken yet.
    pub(super) fn refusal(&self, node: &str, now: Instant) -> Option<String> {
        let (at, pause, reason) = self.0.get(node)?;
        let left = (*at + *pause).checked_duration_since(now)?;
        Some(format!(
            "it could not begin a moment ago ({reason}), and each try has all nodes begin anew: \
             mend that, and start it again in {} s",
            left.as_secs() + 1
        ))
    }

    /// `node` has begun.
    pub(super) fn remove(&mut self, node: &str) {
        self.0.remove(node);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_that_fails_is_taken_more_rarely_each_time() {
        let (mut unfit, mut now) = (UnfitNodes::default(), Instant::now());
        assert_eq!(unfit.refusal("b", now), None);
        for seconds in [1, 2, 4, 8, 16, 30, 30] {
            unfit.add("b", "no memory", now);
            let refusal = unfit.refusal("b", now).expect("it failed just now");
            assert!(refusal.contains("no memory"), "{refusal}");
            assert_eq!(unfit.refusal("c", now), None);
            now += Duration::from_secs(seconds);
            assert!(unfit.refusal("b", now).is_some());
            now += Duration::from_millis(1);
            assert_eq!(unfit.refusal("b", now), None);
        }
        unfit.remove("b");
        unfit.add("b", "no memory", now);
        assert_eq!(unfit.refusal("b", now + PAUSES.0 + Duration::from_millis(1)), None);
    }
}

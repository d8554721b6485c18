//! Refusals of the lead: a process that is no node may listen where a lead did that is gone.

use std::time::{Duration, Instant};

use crate::cluster::agreement::Agreed;

/// Since when one lead has refused this node, each time.
#[derive(Default)]
pub(super) struct Refusals(Option<(Agreed, Instant)>);

impl Refusals {
    /// `lead`, as the agreement has it, refuses this node. Returns for how long it has.
    pub(super) fn note(&mut self, lead: Option<&Agreed>, now: Instant) -> Duration {
        let Some(lead) = lead else { return Duration::ZERO };
        match &self.0 {
            Some((same, since)) if same == lead => now.saturating_duration_since(*since),
            _ => {
                self.0 = Some((lead.clone(), now));
                Duration::ZERO
            }
        }
    }

    /// It does not.
    pub(super) fn forget(&mut self) {
        self.0 = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_of_one_lead_count_without_a_break() {
        let lead = |session| Agreed { value: "10.0.0.1:7100".to_owned(), session: Some(session) };
        let (mut refusals, start) = (Refusals::default(), Instant::now());
        let after = |refusals: &mut Refusals, seconds, lead: &Agreed| {
            refusals.note(Some(lead), start + Duration::from_secs(seconds)).as_secs()
        };
        assert_eq!(after(&mut refusals, 60, &lead(1)), 0, "the lead before is gone for long");
        assert_eq!(after(&mut refusals, 66, &lead(1)), 6);
        assert_eq!(after(&mut refusals, 67, &lead(2)), 0, "another one has the same address");
        assert_eq!(after(&mut refusals, 70, &lead(2)), 3);
        refusals.forget();
        assert_eq!(after(&mut refusals, 80, &lead(2)), 0, "it did not answer meanwhile");
    }
}

//! A case: everything that decides what happens in the runs of a test, and how a failing case is
//! reduced.

use std::fmt;
use std::str::FromStr;

use super::troubles::{Sabotage, Troubles};

/// Numbers in the text of a case; the name of a sabotage may follow.
const NUMBERS: usize = 14;

/// Everything that decides what happens in the runs of a test. As text it can be given to a test
/// again.
#[derive(Clone, Debug)]
pub struct Case {
    /// The seed.
    pub seed: u64,
    /// Events of the input.
    pub events: usize,
    /// What goes wrong.
    pub troubles: Troubles,
}

impl Case {
    /// The smallest case to which this failing one can be reduced so that it `fails` still: first
    /// fewer faults, then fewer events. Tries a few dozen cases.
    #[must_use]
    pub fn reduce(self, fails: impl Fn(&Self) -> bool) -> Self {
        let mut case = self;
        while let Some(smaller) = case.smaller().into_iter().find(&fails) {
            case = smaller;
        }
        case
    }

    /// Each with one thing less than this one.
    fn smaller(&self) -> Vec<Self> {
        let Self { events, troubles, .. } = self;
        let with = |change: fn(&mut Troubles)| {
            let mut troubles = troubles.clone();
            change(&mut troubles);
            Self { troubles, ..self.clone() }
        };
        let mut all = Vec::new();
        if troubles.store_fails > 0.0 {
            all.push(with(|troubles| troubles.store_fails = 0.0));
        }
        if troubles.abort > 0.0 {
            all.push(with(|troubles| troubles.abort = 0.0));
        }
        if troubles.power_cuts > 0.0 {
            all.push(with(|troubles| troubles.power_cuts = 0.0));
        }
        if troubles.disk_full > 0.0 {
            all.push(with(|troubles| troubles.disk_full = 0.0));
        }
        if troubles.vanish > 0.0 {
            all.push(with(|troubles| troubles.vanish = 0.0));
        }
        if troubles.rollbacks > 0.0 {
            all.push(with(|troubles| troubles.rollbacks = 0.0));
        }
        if troubles.changes > 0.0 {
            all.push(with(|troubles| troubles.changes = 0.0));
        }
        if troubles.losses > 0.0 {
            all.push(with(|troubles| troubles.losses = 0.0));
        }
        if troubles.stuck > 0.0 {
            all.push(with(|troubles| troubles.stuck = 0.0));
        }
        if troubles.kills > 0 {
            all.push(with(|troubles| troubles.kills /= 2));
            all.push(with(|troubles| troubles.kills -= 1));
        }
        if troubles.kill_steps_max > 1 {
            all.push(with(|troubles| troubles.kill_steps_max /= 2));
        }
        let fewer = [events / 2, events - events / 4, events.saturating_sub(1)];
        let fewer = fewer.into_iter().filter(|fewer| (1..*events).contains(fewer));
        all.extend(fewer.map(|events| Self { events, ..self.clone() }));
        all
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seed, events, troubles } = self;
        let Troubles { kills, kill_steps_max, begin, abort, store_fails, .. } = troubles;
        let Troubles { power_cuts, disk_full, vanish, rollbacks, changes, losses, stuck, .. } =
            troubles;
        write!(f, "{seed} {events} {kills} {kill_steps_max} {begin} {abort} {store_fails} ")?;
        write!(f, "{power_cuts} {disk_full} {vanish} {rollbacks} {changes} {losses} {stuck}")?;
        troubles.sabotage.map_or(Ok(()), |sabotage| write!(f, " {sabotage:?}"))
    }
}

impl FromStr for Case {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut words = text.split_whitespace();
        let sabotage = words.clone().nth(NUMBERS);
        let named = |name| Sabotage::ALL.into_iter().find(|one| format!("{one:?}") == name);
        let named = |name| named(name).ok_or_else(|| format!("`{text}`: `{name}` is no sabotage"));
        let mut word = || words.next().ok_or_else(|| format!("`{text}` has too few numbers"));
        let wrong = |error: &dyn fmt::Display| format!("`{text}`: {error}");
        let whole = |word: &str| word.parse().map_err(|error| wrong(&error));
        let share = |word: &str| word.parse().map_err(|error| wrong(&error));
        Ok(Self {
            seed: whole(word()?)?,
            events: whole(word()?)? as usize,
            troubles: Troubles {
                kills: whole(word()?)?,
                kill_steps_max: whole(word()?)?,
                begin: share(word()?)?,
                abort: share(word()?)?,
                store_fails: share(word()?)?,
                power_cuts: share(word()?)?,
                disk_full: share(word()?)?,
                vanish: share(word()?)?,
                rollbacks: share(word()?)?,
                changes: share(word()?)?,
                losses: share(word()?)?,
                stuck: share(word()?)?,
                sabotage: sabotage.map(named).transpose()?,
            },
        })
    }
}

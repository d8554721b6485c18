//! How long ago something was, for people.

use std::time::{SystemTime, UNIX_EPOCH};

/// Seconds since 1970 by this host's clock.
pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs())
}

/// `then` as seen from `now`, in the largest whole unit. Clocks of hosts differ, and are set back.
pub fn age(then: u64, now: u64) -> String {
    let Some(seconds) = now.checked_sub(then) else {
        return format!("{} s ahead of this clock", then - now);
    };
    match seconds {
        0..120 => format!("{seconds} s ago"),
        120..7_200 => format!("{} min ago", seconds / 60),
        7_200..172_800 => format!("{} h ago", seconds / 3_600),
        _ => format!("{} days ago", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_have_one_unit() {
        for (then, expected) in [
            (1_000_000, "0 s ago"),
            (1_000_000 - 119, "119 s ago"),
            (1_000_000 - 7_199, "119 min ago"),
            (1_000_000 - 172_799, "47 h ago"),
            (1_000_000 - 172_800, "2 days ago"),
            (1_000_005, "5 s ahead of this clock"),
        ] {
            assert_eq!(age(then, 1_000_000), expected);
        }
    }
}

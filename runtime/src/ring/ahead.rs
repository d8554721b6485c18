//! How far ahead of its tail a producer takes lines from the consumer's cache.
//!
//! Owns the choice, which the name of the processor's maker decides once per process. Both values
//! are right on every processor and differ in speed only, so tests run with both everywhere.
//!
//! Stores become visible in order, so a line that is still elsewhere delays all stores after it,
//! and a frame's many stores leave room in the store queue for few lines at a time. On AMD's
//! processors a run of single stores lets all their transfers overlap: streams are 2 to 3 times as
//! fast. Intel's fetch lines for streams of stores by themselves, further ahead than such a run
//! gets, which then only delays them: streams are 1.7 times as fast without it. (Hints for
//! prefetching gained nothing on the one and an eighth on the other.)

use std::sync::LazyLock;

/// Bytes of a cache line.
pub(super) const LINE_BYTES: u64 = 64;

/// How many lines ahead of its tail a producer takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ahead {
    /// The line after the next frame, if that has up to one, and the one after it.
    Near,
    /// As many lines as a store queue holds. A fifth more gains nothing, the double loses all.
    Far,
}

impl Ahead {
    /// Both values.
    pub const ALL: [Self; 2] = [Self::Near, Self::Far];

    /// The faster one on this processor.
    pub fn of_processor() -> Self {
        static CHOSEN: LazyLock<Ahead> = LazyLock::new(|| Ahead::of_maker(&maker()));
        *CHOSEN
    }

    /// The bytes that are taken.
    pub(super) const fn bytes(self) -> u64 {
        match self {
            Self::Near => 2 * LINE_BYTES,
            Self::Far => 64 * LINE_BYTES,
        }
    }

    fn of_maker(name: &[u8; 12]) -> Self {
        if name == b"GenuineIntel" { Self::Near } else { Self::Far }
    }
}

/// The name of the processor's maker, as the processor spells it.
#[cfg(target_arch = "x86_64")]
fn maker() -> [u8; 12] {
    let leaf = std::arch::x86_64::__cpuid(0);
    let mut name = [0; 12];
    for (part, word) in name.chunks_exact_mut(4).zip([leaf.ebx, leaf.edx, leaf.ecx]) {
        part.copy_from_slice(&word.to_le_bytes());
    }
    name
}

#[cfg(not(target_arch = "x86_64"))]
fn maker() -> [u8; 12] {
    [0; 12]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_maker_has_its_value() {
        assert_eq!(Ahead::of_maker(b"GenuineIntel"), Ahead::Near);
        for other in [b"AuthenticAMD", b"HygonGenuine", b"CentaurHauls", &[0; 12]] {
            assert_eq!(Ahead::of_maker(other), Ahead::Far);
        }
        assert!(Ahead::ALL.contains(&Ahead::of_processor()));
    }
}

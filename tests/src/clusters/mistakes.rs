//! Mistakes that are made on purpose, in what stands here beside the engine: what must never be is
//! to be noticed.

/// A mistake that is possible in a protocol of this kind, made on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mistake {
    /// A lease counts from the answer, and not from before the question.
    LeaseFromAnswer,
    /// A node does not look whether its lease has ended.
    LeaseIgnored,
    /// The agreement ends sessions before it said that it would.
    LeaseCut,
    /// HEAD is overwritten, whatever it is.
    HeadOverwritten,
    /// A swap of HEAD of which it is unclear whether it was done counts as done.
    UnclearIsDone,
    /// Who claims a key has it, also if another one has.
    ClaimOverwrites,
    /// A node that comes back believes that HEAD is as it last saw it.
    OwnHeadBelieved,
    /// A node is ready for a generation before it has begun.
    ReadyAtOnce,
    /// The clocks of machines run apart by more than leases have room for.
    ClocksFarApart,
    /// A session that is over is renewed.
    OverRenewed,
}

impl Mistake {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::LeaseFromAnswer,
        Self::LeaseIgnored,
        Self::LeaseCut,
        Self::HeadOverwritten,
        Self::UnclearIsDone,
        Self::ClaimOverwrites,
        Self::OwnHeadBelieved,
        Self::ReadyAtOnce,
        Self::ClocksFarApart,
        Self::OverRenewed,
    ];
}

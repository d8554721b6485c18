//! The four attributes.

/// Which attribute stands on the type.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum AttributeKind {
    Event,
    Value,
    Key,
    State,
}

impl AttributeKind {
    /// The attribute's name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Event => "event",
            Self::Value => "value",
            Self::Key => "key",
            Self::State => "state",
        }
    }
}

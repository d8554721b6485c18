//! Why a text is no address.

use std::fmt;

/// Why a text is no address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// There is no `SCHEME:` in front.
    #[error("`{text}` has no scheme: a {edge} is one of {schemes}")]
    NoScheme {
        /// The address.
        text: String,
        /// What the address is for.
        edge: Edge,
        /// The schemes that there are.
        schemes: String,
    },
    /// No scheme of that name, or not in this direction.
    #[error("`{text}`: no {edge} has the scheme `{scheme}`: take one of {schemes}{hint}")]
    UnknownScheme {
        /// The address.
        text: String,
        /// Its scheme.
        scheme: String,
        /// What the address is for.
        edge: Edge,
        /// The schemes that there are.
        schemes: String,
        /// Whether the other direction has it.
        hint: &'static str,
    },
    /// The part behind the scheme is missing or unusable.
    #[error("`{text}`: {cause}: write {remedy}")]
    Malformed {
        /// The address.
        text: String,
        /// What is wrong.
        cause: &'static str,
        /// What to write instead.
        remedy: &'static str,
    },
    /// An option that this scheme does not have.
    #[error("`{text}`: unknown option `{option}`: {known}")]
    UnknownOption {
        /// The address.
        text: String,
        /// The option.
        option: String,
        /// The options that there are.
        known: String,
    },
    /// An option whose value cannot be used.
    #[error("`{text}`: option `{option}` cannot be `{value}`: it takes {expected}")]
    BadOption {
        /// The address.
        text: String,
        /// The option.
        option: &'static str,
        /// Its value.
        value: String,
        /// What it takes.
        expected: &'static str,
    },
}

/// The direction of an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Edge {
    /// Events enter.
    Source,
    /// Events leave.
    Sink,
}

impl fmt::Display for Edge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Source => "source",
            Self::Sink => "sink",
        })
    }
}

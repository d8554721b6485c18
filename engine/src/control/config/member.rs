//! Where a cluster agrees, and what a node of it is called.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use crate::cluster::shares::NoWeight;

/// Where the nodes of a cluster agree: a folder of this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterPlace(PathBuf);

/// The name of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeName(String);

/// Why a text is no place of a cluster, or no name of a node.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoMember {
    /// It names nothing.
    #[error("it is empty: give a folder")]
    Empty,
    /// Nodes agree nowhere else.
    #[error("nodes of a cluster agree in a folder of this machine, not in `{scheme}://`: give one")]
    Scheme {
        /// What is in front.
        scheme: String,
    },
    /// It is no weight.
    #[error(transparent)]
    Weight(#[from] NoWeight),
    /// Names stand in keys, files and tables.
    #[error("a node has 1 to {NAME_BYTES_MAX} letters, digits, dots, dashes or underscores")]
    Name,
}

/// Bytes of a node's name at most: as long as a host's.
pub const NAME_BYTES_MAX: usize = 63;

impl ClusterPlace {
    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.0
    }
}

impl NodeName {
    /// The name of this host, or `node` if that cannot be one.
    pub fn of_host() -> Self {
        let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        name.trim().parse().unwrap_or_else(|_| Self("node".to_owned()))
    }

    /// It.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ClusterPlace {
    type Err = NoMember;

    fn from_str(text: &str) -> Result<Self, NoMember> {
        match text.split_once("://") {
            _ if text.is_empty() => Err(NoMember::Empty),
            Some((scheme, _)) => Err(NoMember::Scheme { scheme: scheme.to_owned() }),
            None => Ok(Self(text.into())),
        }
    }
}

impl FromStr for NodeName {
    type Err = NoMember;

    fn from_str(text: &str) -> Result<Self, NoMember> {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
        match (1..=NAME_BYTES_MAX).contains(&text.len()) && text.bytes().all(fits) {
            true => Ok(Self(text.to_owned())),
            false => Err(NoMember::Name),
        }
    }
}

impl fmt::Display for ClusterPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.display().fmt(f)
    }
}

impl fmt::Display for NodeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_a_folder() {
        let place: ClusterPlace = "/tmp/c".parse().expect("it is one");
        assert_eq!(place.folder(), Path::new("/tmp/c"));
        let refused = "etcd://h:2379/x".parse::<ClusterPlace>().expect_err("it is none");
        assert!(refused.to_string().contains("`etcd://`"), "{refused}");
        assert_eq!("".parse::<ClusterPlace>(), Err(NoMember::Empty));
    }

    #[test]
    fn a_name_is_short_and_plain() {
        let long = "x".repeat(64);
        for odd in ["", "a/b", "a b", "ä", "a\n", long.as_str()] {
            assert_eq!(odd.parse::<NodeName>(), Err(NoMember::Name), "{odd}");
        }
        assert_eq!(
            "a-1.b_C".parse::<NodeName>().map(|name| name.to_string()),
            Ok("a-1.b_C".into())
        );
        assert!(!NodeName::of_host().as_str().is_empty());
    }
}

//! Where a cluster agrees, and what a node of it is called.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use crate::cluster::agreement::{Agreement, Disagreement, FolderAgreement};
#[cfg(feature = "etcd")]
use crate::cluster::agreement::{EtcdAddress, EtcdAgreement, Login};
use crate::cluster::shares::NoWeight;
use crate::cluster::tls_files::GivenFiles;

/// Where the nodes of a cluster agree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClusterPlace {
    /// A folder of this machine.
    Folder(PathBuf),
    /// Keys in etcd.
    #[cfg(feature = "etcd")]
    Etcd(EtcdAddress),
}

/// The name of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeName(String);

/// Why a text is no place of a cluster, or no name of a node.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoMember {
    /// It names nothing.
    #[error("it is empty: give a folder, or etcd://HOST:PORT/NAME")]
    Empty,
    /// Nodes agree nowhere else.
    #[error(
        "nodes of a cluster do not agree in `{scheme}://`: give a folder of this machine, or \
         etcd://HOST:PORT/NAME or etcds://HOST:PORT/NAME"
    )]
    Scheme {
        /// What is in front.
        scheme: String,
    },
    /// It is no weight.
    #[error(transparent)]
    Weight(#[from] NoWeight),
    /// The program cannot speak to etcd.
    #[error(
        "this program was built without etcd: build it with the feature `etcd` of the package \
         `potoroo` (in your Cargo.toml: `potoroo = {{ …, features = [\"etcd\"] }}`; for examples: \
         `cargo build --features etcd`), or give a folder of this machine"
    )]
    NotBuilt,
    /// It cannot be understood.
    #[error("{cause}: write etcd://HOST:PORT[,HOST:PORT]/NAME")]
    Malformed {
        /// What is wrong. It repeats nothing that could be a secret.
        cause: String,
    },
    /// Names stand in keys, files and tables.
    #[error("a node has 1 to {NAME_BYTES_MAX} letters, digits, dots, dashes or underscores")]
    Name,
}

/// Bytes of a node's name at most: as long as a host's.
pub const NAME_BYTES_MAX: usize = 63;

impl ClusterPlace {
    /// The folder, unless they agree elsewhere.
    pub fn folder(&self) -> Option<&Path> {
        match self {
            Self::Folder(path) => Some(path),
            #[cfg(feature = "etcd")]
            Self::Etcd(_) => None,
        }
    }

    /// Whether the way there is encrypted.
    pub fn is_encrypted(&self) -> bool {
        match self {
            Self::Folder(_) => false,
            #[cfg(feature = "etcd")]
            Self::Etcd(address) => address.is_encrypted(),
        }
    }

    /// Begins a session there, which has to be renewed within each `lease`; without one it is that
    /// of a tool. An encrypted way there needs `files`.
    ///
    /// # Errors
    /// It cannot be used.
    pub fn agree(
        &self,
        lease: Option<Duration>,
        files: &GivenFiles,
    ) -> Result<Arc<dyn Agreement>, Disagreement> {
        Ok(match self {
            Self::Folder(path) => {
                let _ = files;
                Arc::new(FolderAgreement::open(path, lease)?)
            }
            #[cfg(feature = "etcd")]
            Self::Etcd(address) => Arc::new(EtcdAgreement::open(address, lease, login(), files)?),
        })
    }

    #[cfg(feature = "etcd")]
    fn etcd(rest: &str, encrypted: bool) -> Result<Self, NoMember> {
        let address = EtcdAddress::parse(rest, encrypted);
        address.map(Self::Etcd).map_err(|cause| NoMember::Malformed { cause })
    }

    #[cfg(not(feature = "etcd"))]
    fn etcd(_: &str, _: bool) -> Result<Self, NoMember> {
        Err(NoMember::NotBuilt)
    }
}

/// Who this process is in etcd, if that wants to know.
#[cfg(feature = "etcd")]
fn login() -> Option<Login> {
    let user = std::env::var("POTOROO_ETCD_USER").ok()?;
    let password = std::env::var("POTOROO_ETCD_PASSWORD").unwrap_or_default();
    Some(Login { user, password })
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
            Some(("etcd", rest)) => Self::etcd(rest, false),
            Some(("etcds", rest)) => Self::etcd(rest, true),
            Some((scheme, _)) => Err(NoMember::Scheme { scheme: scheme.to_owned() }),
            None => Ok(Self::Folder(text.into())),
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
        match self {
            Self::Folder(path) => path.display().fmt(f),
            #[cfg(feature = "etcd")]
            Self::Etcd(address) => address.fmt(f),
        }
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
        assert_eq!(place.folder(), Some(Path::new("/tmp/c")));
        let refused = "zk://h:2181/x".parse::<ClusterPlace>().expect_err("it is none");
        assert!(refused.to_string().contains("`zk://`"), "{refused}");
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

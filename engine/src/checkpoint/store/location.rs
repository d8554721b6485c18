//! Place: where checkpoints lie, as `--state` names it. Owns the grammar; opens what it names when
//! it is asked to.
//!
//! ```text
//!   DIR                                           a folder
//!   s3://BUCKET/PREFIX?endpoint=URL&region=NAME   a store that speaks the protocol of S3
//! ```

use std::ffi::OsStr;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

#[cfg(feature = "s3")]
use super::s3::{Address, S3};
use super::{Error, Folder, FolderView, Store, StoreReader};

/// Where checkpoints lie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Location {
    /// A folder of the file system.
    Folder(PathBuf),
    /// A bucket.
    #[cfg(feature = "s3")]
    S3(Box<Address>),
}

/// Why a text names no place.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoLocation {
    /// It names nothing.
    #[error("it is empty: give a folder, or s3://BUCKET/PREFIX")]
    Empty,
    /// No storage has this scheme.
    #[error("no storage has the scheme `{scheme}`: give a folder, or s3://BUCKET/PREFIX")]
    Scheme {
        /// The scheme.
        scheme: String,
    },
    /// The program cannot speak to S3.
    #[error(
        "this program was built without S3: build it with the feature `s3` of the package \
         `potoroo` (in your Cargo.toml: `potoroo = {{ …, features = [\"s3\"] }}`; for examples: \
         `cargo build --features s3`), or give a folder"
    )]
    NotBuilt,
    /// It cannot be understood.
    #[error("{cause}: write s3://BUCKET/PREFIX?endpoint=URL&region=NAME")]
    Malformed {
        /// What is wrong. It repeats nothing that could be a secret.
        cause: String,
    },
}

impl Location {
    /// The place that `text` names. A folder need not be text.
    ///
    /// # Errors
    /// It names none.
    pub fn parse(text: &OsStr) -> Result<Self, NoLocation> {
        let folder = || Ok(Self::Folder(PathBuf::from(text)));
        match text.to_str().and_then(|text| text.split_once("://")) {
            _ if text.is_empty() => Err(NoLocation::Empty),
            Some(("s3", rest)) => Self::s3(rest),
            Some((scheme, _)) if is_scheme(scheme) => {
                Err(NoLocation::Scheme { scheme: scheme.to_owned() })
            }
            _ => folder(),
        }
    }

    /// The folder, unless it lies elsewhere.
    pub fn folder(&self) -> Option<&Path> {
        match self {
            Self::Folder(path) => Some(path),
            #[cfg(feature = "s3")]
            Self::S3(_) => None,
        }
    }

    /// Opens it to read and write.
    ///
    /// # Errors
    /// It cannot be used, or another process uses it.
    pub fn open(&self) -> Result<Arc<dyn Store>, Error> {
        Ok(match self {
            Self::Folder(path) => Arc::new(Folder::open(path)?),
            #[cfg(feature = "s3")]
            Self::S3(address) => Arc::new(S3::open(address, &variable)?),
        })
    }

    /// Opens it to read and write, together with other processes that open it so.
    ///
    /// # Errors
    /// It cannot be used, or another process has it alone.
    pub fn open_shared(&self) -> Result<Arc<dyn Store>, Error> {
        Ok(match self {
            Self::Folder(path) => Arc::new(Folder::open_shared(path)?),
            #[cfg(feature = "s3")]
            Self::S3(address) => Arc::new(S3::open(address, &variable)?),
        })
    }

    /// Opens it to read, also while another process uses it.
    ///
    /// # Errors
    /// It is not there, or cannot be read.
    pub fn view(&self) -> Result<Box<dyn StoreReader>, Error> {
        Ok(match self {
            Self::Folder(path) => Box::new(FolderView::open(path)?),
            #[cfg(feature = "s3")]
            Self::S3(address) => Box::new(S3::view(address, &variable)?),
        })
    }

    /// Bytes of memory that the part of each core takes while it is stored.
    pub fn upload_bytes(&self) -> usize {
        match self {
            Self::Folder(_) => 0,
            #[cfg(feature = "s3")]
            Self::S3(_) => super::s3::REQUEST_BYTES,
        }
    }

    #[cfg(feature = "s3")]
    fn s3(rest: &str) -> Result<Self, NoLocation> {
        let address = Address::parse(rest).map_err(|cause| NoLocation::Malformed { cause })?;
        Ok(Self::S3(Box::new(address)))
    }

    #[cfg(not(feature = "s3"))]
    fn s3(_: &str) -> Result<Self, NoLocation> {
        Err(NoLocation::NotBuilt)
    }
}

#[cfg(feature = "s3")]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

fn is_scheme(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
}

impl FromStr for Location {
    type Err = NoLocation;

    fn from_str(text: &str) -> Result<Self, NoLocation> {
        Self::parse(OsStr::new(text))
    }
}

impl From<PathBuf> for Location {
    fn from(path: PathBuf) -> Self {
        Self::Folder(path)
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(path) => path.display().fmt(f),
            #[cfg(feature = "s3")]
            Self::S3(address) => address.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_no_scheme_is_a_folder() {
        for text in ["state", "/var/lib/state", "./s3:/x", "s3:", "a b://c", "://x"] {
            assert_eq!(text.parse(), Ok(Location::Folder(text.into())), "{text}");
        }
    }

    #[test]
    fn what_is_no_place_says_what_to_give() {
        let message = |text: &str| text.parse::<Location>().expect_err("it is none").to_string();
        assert!(message("").contains("give a folder"));
        assert!(message("gs://bucket/x").contains("no storage has the scheme `gs`"));
    }
}

//! The files that a node has for TLS, as they are given.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Files of a node, in PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// Its certificate, and those between it and the authority.
    pub certificate: PathBuf,
    /// The key of that.
    pub key: PathBuf,
    /// The authorities that issue the certificates of all nodes.
    pub authority: PathBuf,
}

impl TlsFiles {
    /// What to do about a key that each user of the machine can read, and about files that each
    /// can write.
    pub fn exposed(&self) -> Vec<String> {
        let warning = |flag: &str, path: &Path, all: u32| {
            let (mode, shown) = (path.metadata().ok()?.permissions().mode(), path.display());
            let can = match mode & all {
                0 => return None,
                granted if granted & WRITE != 0 => "write",
                _ => "read",
            };
            let remedy = if all & READ != 0 { "o=" } else { "o-w" };
            Some(format!(
                "{flag} {shown}: each user of this machine can {can} it: `chmod {remedy} {shown}`"
            ))
        };
        let all = [
            warning("--tls-key", &self.key, READ | WRITE),
            warning("--tls-cert", &self.certificate, WRITE),
            warning("--tls-ca", &self.authority, WRITE),
        ];
        all.into_iter().flatten().collect()
    }
}

/// What a mode grants to each user.
const READ: u32 = 0o004;

const WRITE: u32 = 0o002;

/// Those files of them that were given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GivenFiles {
    /// As of [`TlsFiles`].
    pub certificate: Option<PathBuf>,
    /// As of [`TlsFiles`].
    pub key: Option<PathBuf>,
    /// As of [`TlsFiles`].
    pub authority: Option<PathBuf>,
}

impl GivenFiles {
    /// All of them; `None` if none is given.
    ///
    /// # Errors
    /// Some are given: the names of those that are missing.
    pub fn all(&self) -> Result<Option<TlsFiles>, String> {
        let missing = |given: &Option<PathBuf>, flag| given.is_none().then_some(flag);
        let missing: Vec<&str> = [
            missing(&self.certificate, "--tls-cert"),
            missing(&self.key, "--tls-key"),
            missing(&self.authority, "--tls-ca"),
        ]
        .into_iter()
        .flatten()
        .collect();
        match self.clone() {
            Self { certificate: Some(certificate), key: Some(key), authority: Some(authority) } => {
                Ok(Some(TlsFiles { certificate, key, authority }))
            }
            _ if missing.len() == 3 => Ok(None),
            _ => Err(missing.join(" and ")),
        }
    }
}

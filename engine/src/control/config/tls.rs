//! Whether the nodes of a cluster encrypt what they send each other.

use super::error::Error;
use super::settings::Config;
use crate::cluster::channel::ENCRYPTED_LINK_BYTES;
use crate::cluster::encryption::Encryption;
use crate::cluster::tls_files::GivenFiles;

impl Config {
    /// The files for TLS that are given.
    pub(in crate::control) fn tls_files(&self) -> GivenFiles {
        let (certificate, key) = (self.tls_cert.clone(), self.tls_key.clone());
        GivenFiles { certificate, key, authority: self.tls_ca.clone() }
    }

    /// Whether nodes encrypt what they send each other.
    pub(in crate::control) fn is_encrypted(&self) -> bool {
        self.tls_cert.is_some()
    }

    /// What each link holds besides its lanes.
    pub(in crate::control) fn link_buffer_bytes(&self) -> usize {
        if self.is_encrypted() { ENCRYPTED_LINK_BYTES } else { 0 }
    }

    /// How this node speaks with the others: its files are read.
    ///
    /// # Errors
    /// One of them cannot be used, or is missing.
    pub(in crate::control) fn encryption(&self) -> Result<Encryption, Error> {
        let given = self.tls_files().all();
        let given = given.map_err(|missing| Error::TlsFileMissing { missing })?;
        let (Some(files), Some(node)) = (given, &self.node) else {
            return Ok(Encryption::InTheClear);
        };
        Encryption::load(&files, node.as_str()).map_err(|cause| Error::Tls { cause })
    }

    /// What is wrong with the settings of TLS, and with their files.
    pub(super) fn check_tls(&self) -> Option<Error> {
        let Some(place) = &self.cluster else {
            let given = self.tls_files() != GivenFiles::default();
            return given.then_some(Error::TlsWithoutCluster);
        };
        match self.encryption() {
            Err(error) => Some(error),
            Ok(_) if self.is_encrypted() && self.links_in_the_clear => Some(Error::TlsInTheClear),
            Ok(_) if place.is_encrypted() && !self.is_encrypted() => {
                Some(Error::TlsFileMissing { missing: "--tls-cert, --tls-key and --tls-ca".into() })
            }
            Ok(_) => {
                let files = self.tls_files().all().ok().flatten();
                let exposed = files.map(|files| files.exposed()).unwrap_or_default();
                exposed.iter().for_each(|text| tracing::warn!("{text}"));
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::config::NodeName;

    fn config(files: [Option<&str>; 3]) -> Config {
        let [tls_cert, tls_key, tls_ca] = files.map(|file| file.map(Into::into));
        let cluster = "/tmp/c".parse().ok();
        let node = Some(NodeName::of_host());
        Config { cluster, node, tls_cert, tls_key, tls_ca, ..Config::default() }
    }

    fn refused(config: &Config) -> String {
        config.check_tls().expect("it cannot be used").to_string()
    }

    #[test]
    fn all_files_are_given_or_none() {
        assert!(config([None; 3]).check_tls().is_none());
        let text = refused(&config([Some("a.pem"), None, None]));
        assert!(text.starts_with("--tls-key and --tls-ca: missing"), "{text}");
        let text = refused(&config([None, Some("a.key"), Some("ca.pem")]));
        assert!(text.starts_with("--tls-cert: missing"), "{text}");
        // Without a cluster there is no node to talk with: clients are not encrypted by them.
        let alone = |files| Config { cluster: None, ..config(files) };
        assert!(alone([None; 3]).check_tls().is_none());
        let text = refused(&alone([None, None, Some("ca.pem")]));
        assert!(text.contains("without --cluster"), "{text}");
    }

    #[cfg(feature = "tls")]
    #[test]
    fn files_that_are_not_there_are_named() {
        let text = refused(&config([Some("/no/a.pem"), Some("/no/a.key"), Some("/no/ca.pem")]));
        assert!(text.starts_with("--tls-cert /no/a.pem: "), "{text}");
    }
}

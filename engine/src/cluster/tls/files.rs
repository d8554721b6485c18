//! What is read from files of certificates and keys, and what can be wrong with them.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use rustls::RootCertStore;
use rustls::crypto::ring;
use rustls::pki_types::pem::{Error as PemError, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;

use super::words;
use crate::connect::remedy;

/// The flag of the certificate.
pub const CERT: &str = "--tls-cert";

/// The flag of its key.
pub const KEY: &str = "--tls-key";

/// The flag of the authorities.
pub const CA: &str = "--tls-ca";

/// Bytes of such a file at most: a chain of certificates has some kilobytes.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// The bytes of a file that `flag` names.
///
/// # Errors
/// It cannot be read.
pub fn bytes(flag: &str, path: &Path) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let read = File::open(path)
        .and_then(|file| file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map(drop));
    let shown = path.display();
    read.map_err(|error| format!("{flag} {shown}: {error}; {}", remedy::read(&error)))?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(format!(
            "{flag} {shown}: it is too long for a certificate or key: give {WHAT}"
        ));
    }
    Ok(bytes)
}

const WHAT: &str = "a file in PEM, whose sections begin with `-----BEGIN`";

/// The certificates of a file.
///
/// # Errors
/// It has none, or cannot be read.
pub fn certificates(flag: &str, path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let bytes = bytes(flag, path)?;
    let found: Result<Vec<_>, PemError> = CertificateDer::pem_slice_iter(&bytes).collect();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        Ok(_) => Err(format!("{flag} {}: it has no certificate: give {WHAT}", path.display())),
        Err(error) => Err(format!("{flag} {}: {error}: give {WHAT}", path.display())),
    }
}

/// The key in the bytes of the file at `path`.
///
/// # Errors
/// They have none.
pub fn key_in(bytes: &[u8], path: &Path) -> Result<PrivateKeyDer<'static>, String> {
    let shown = path.display();
    PrivateKeyDer::from_pem_slice(bytes).map_err(|error| match error {
        PemError::NoItemsFound => {
            format!("{KEY} {shown}: it has no private key without a password: give {WHAT}")
        }
        error => format!("{KEY} {shown}: {error}: give {WHAT}"),
    })
}

/// Checks that a key is that of the first certificate.
///
/// # Errors
/// It is not, or cannot be used.
pub fn of_one_pair(
    (certificate, chain): (&Path, &[CertificateDer<'static>]),
    (path, key): (&Path, &PrivateKeyDer<'static>),
) -> Result<(), String> {
    let pair = CertifiedKey::from_der(chain.to_vec(), key.clone_key(), &ring::default_provider());
    pair.map(drop)
        .map_err(|error| format!("{KEY} {}: {}", path.display(), words::key(&error, certificate)))
}

/// The authorities of a file.
///
/// # Errors
/// It has none, or cannot be read.
pub fn roots(flag: &str, path: &Path) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(flag, path)? {
        roots.add(certificate).map_err(|error| {
            format!("{flag} {}: a certificate of it is of no authority: {error}", path.display())
        })?;
    }
    Ok(roots)
}

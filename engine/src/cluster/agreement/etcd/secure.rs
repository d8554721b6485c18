//! The encrypted way to etcd: whom to believe, and what to show.

use std::sync::Arc;

use rustls::crypto::ring;
use ureq::tls::{Certificate, ClientCert, PrivateKey, RootCerts, TlsConfig};

use crate::cluster::tls::files::{CA, CERT, KEY, bytes, certificates, key_in, of_one_pair, roots};
use crate::cluster::tls_files::GivenFiles;

/// What the client needs: the authorities, and a certificate if one is given.
///
/// # Errors
/// A file is missing, or cannot be used.
pub(super) fn config(files: &GivenFiles) -> Result<TlsConfig, String> {
    let Some(authority) = &files.authority else {
        return Err(format!("etcds:// needs {CA} FILE: the certificate of etcd is checked by it"));
    };
    // That each of them is of an authority is not checked later.
    roots(CA, authority)?;
    let authorities: Vec<Certificate<'static>> = owned(certificates(CA, authority)?);
    let shown = match (&files.certificate, &files.key) {
        (Some(certificate), Some(path)) => {
            let (chain, read) = (certificates(CERT, certificate)?, bytes(KEY, path)?);
            // The client panics when they differ.
            of_one_pair((certificate, &chain), (path, &key_in(&read, path)?))?;
            let key = PrivateKey::from_pem(&read)
                .map_err(|error| format!("{KEY} {}: {error}", path.display()))?;
            Some(ClientCert::new_with_certs(&owned(chain), key))
        }
        (None, None) => None,
        _ => return Err(format!("{CERT} and {KEY} belong together: give both, or none")),
    };
    Ok(TlsConfig::builder()
        .root_certs(RootCerts::new_with_certs(&authorities))
        .client_cert(shown)
        .unversioned_rustls_crypto_provider(Arc::new(ring::default_provider()))
        .build())
}

fn owned(chain: Vec<rustls::pki_types::CertificateDer<'static>>) -> Vec<Certificate<'static>> {
    chain.iter().map(|one| Certificate::from_der(one).to_owned()).collect()
}

//! Peers that speak TLS and are no nodes: they check and promise nothing of their own.

use std::sync::Arc;

use potoroo::cluster::tls_files::TlsFiles;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection};

fn certificates(path: &std::path::Path) -> Vec<CertificateDer<'static>> {
    let found = CertificateDer::pem_file_iter(path).expect("it is there");
    found.map(|one| one.expect("it is one")).collect()
}

fn key(files: &TlsFiles) -> PrivateKeyDer<'static> {
    PrivateKeyDer::from_pem_file(&files.key).expect("it is there")
}

fn roots(files: &TlsFiles) -> RootCertStore {
    let mut roots = RootCertStore::empty();
    for one in certificates(&files.authority) {
        roots.add(one).expect("it is one");
    }
    roots
}

/// A client with these files, which means `node`.
pub fn client(files: &TlsFiles, node: &str) -> ClientConnection {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("there are some")
        .with_root_certificates(roots(files))
        .with_client_auth_cert(certificates(&files.certificate), key(files))
        .expect("they fit");
    let name = ServerName::try_from(node.to_owned()).expect("it is a name");
    ClientConnection::new(Arc::new(config), name).expect("it is sound")
}

/// A server with these files, which wants a certificate of its client.
pub fn server(files: &TlsFiles) -> ServerConnection {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let clients = Arc::new(roots(files));
    let clients = WebPkiClientVerifier::builder_with_provider(clients, provider.clone()).build();
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("there are some")
        .with_client_cert_verifier(clients.expect("it is sound"))
        .with_single_cert(certificates(&files.certificate), key(files))
        .expect("they fit");
    ServerConnection::new(Arc::new(config)).expect("it is sound")
}

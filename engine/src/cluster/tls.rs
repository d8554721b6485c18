//! TLS 1.3 between nodes, with certificates on both sides.
//!
//! ```text
//!   files      what is read, and what can be wrong with it
//!   stream     a connection that is greeted, and then its reader and its writer
//!   incoming   bytes that are not decrypted yet
//!   port       the connection of a link, on a core
//!   names      names of nodes in certificates
//!   words      what errors mean, for people
//! ```
//!
//! A certificate has to be issued by an authority of `--tls-ca`, for the name of its node: a DNS
//! name among its alternative names, or a wildcard for it. Files are read once, at the start: other
//! files of the same names count from the next start on. Connections are not resumed, so each
//! handshake checks the certificates of its time; a connection outlives them.

// In reading order; the blank lines keep it.
pub mod files;

mod stream;

mod incoming;

mod port;

mod names;

pub mod words;

pub use port::TlsPort;
pub use stream::{TlsReader, TlsStream, TlsWriter};

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rustls::client::danger::ServerCertVerifier;
use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::version::TLS13;
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection};

use super::refusal::refusal;
use super::timed::TimedStream;
use super::tls_files::TlsFiles;
use files::{CA, CERT, KEY};
use names::server_name;

/// What a node has for TLS. A clone is the same.
#[derive(Clone, Debug)]
pub struct NodeTls {
    client: Arc<ClientConfig>,
    server: Arc<ServerConfig>,
    own: Arc<OwnCertificate>,
}

/// How long before its end a certificate is about to expire.
const EXPIRY_NEAR: Duration = Duration::from_secs(14 * 24 * 60 * 60);

impl NodeTls {
    /// Reads the files of `node`, and checks all that other nodes will check.
    ///
    /// # Errors
    /// One cannot be used: which, why and the remedy.
    pub fn load(files: &TlsFiles, node: &str) -> Result<Self, String> {
        let name = server_name(node)?;
        let chain = files::certificates(CERT, &files.certificate)?;
        let key = files::key_in(&files::bytes(KEY, &files.key)?, &files.key)?;
        let roots = files::roots(CA, &files.authority)?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifiers = Verifiers::new(roots, &provider)?;
        let (of_clients, of_servers) = (verifiers.of_clients.clone(), verifiers.of_servers.clone());
        let file = files.certificate.clone();
        let own = OwnCertificate { file, chain: chain.clone(), name, verifiers };
        own.check(UnixTime::now())?;
        files::of_one_pair((&files.certificate, &chain), (&files.key, &key))?;
        let pair = "they are a pair";
        let versions = "ring has the suites of TLS 1.3";
        let mut server = ServerConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(&[&TLS13])
            .expect(versions)
            .with_client_cert_verifier(of_clients)
            .with_single_cert(chain.clone(), key.clone_key())
            .expect(pair);
        let mut client = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&TLS13])
            .expect(versions)
            .with_webpki_verifier(of_servers)
            .with_client_auth_cert(chain, key)
            .expect(pair);
        server.send_tls13_tickets = 0;
        client.resumption = Resumption::disabled();
        // The name of a node is in its certificate, which is encrypted.
        client.enable_sni = false;
        Ok(Self { client: Arc::new(client), server: Arc::new(server), own: Arc::new(own) })
    }

    /// Whether the own certificate is valid now.
    ///
    /// # Errors
    /// It has expired: which, and the remedy.
    pub fn check_own(&self) -> Result<(), String> {
        self.own.check(UnixTime::now())
    }

    /// What to do about an own certificate that expires within [`EXPIRY_NEAR`].
    pub fn expiry(&self) -> Option<String> {
        let now = Duration::from_secs(UnixTime::now().as_secs());
        self.own.check(UnixTime::since_unix_epoch(now + EXPIRY_NEAR)).err()?;
        Some(match self.own.check(UnixTime::now()) {
            Ok(()) => format!(
                "{CERT} {}: it expires within {} days: issue a new one, and start this node again \
                 before that",
                self.own.file.display(),
                EXPIRY_NEAR.as_secs() / (24 * 60 * 60),
            ),
            Err(reason) => format!("{reason} before the next change of nodes, which ends it"),
        })
    }

    /// Makes a connection that was just made one with `node`.
    ///
    /// # Errors
    /// It breaks, or the peer is another one or refuses this node.
    pub fn dial(&self, stream: TimedStream, node: &str) -> io::Result<TlsStream> {
        let name = server_name(node).map_err(refusal)?;
        let session = ClientConnection::new(self.client.clone(), name).map_err(io::Error::other)?;
        TlsStream::dialled(stream, session)
    }

    /// Makes a connection that was accepted one with a node.
    ///
    /// # Errors
    /// It breaks, or the peer is no node or refuses this one.
    pub fn accept(&self, stream: TimedStream) -> io::Result<TlsStream> {
        let session = ServerConnection::new(self.server.clone()).map_err(io::Error::other)?;
        TlsStream::accepted(stream, session)
    }
}

/// The own certificate, and what other nodes decide on it with.
#[derive(Debug)]
struct OwnCertificate {
    file: PathBuf,
    chain: Vec<CertificateDer<'static>>,
    name: ServerName<'static>,
    verifiers: Verifiers,
}

impl OwnCertificate {
    /// Whether other nodes accept it at a time.
    ///
    /// # Errors
    /// They do not: which, why and the remedy.
    fn check(&self, at: UnixTime) -> Result<(), String> {
        self.verifiers
            .check(&self.chain, &self.name, at)
            .map_err(|error| format!("{CERT} {}: {}", self.file.display(), words::own(&error)))
    }
}

/// What decides on the certificates of others, by the roles that they have in a handshake.
#[derive(Debug)]
struct Verifiers {
    of_servers: Arc<WebPkiServerVerifier>,
    of_clients: Arc<dyn ClientCertVerifier>,
}

impl Verifiers {
    fn new(roots: RootCertStore, provider: &Arc<CryptoProvider>) -> Result<Self, String> {
        let (roots, provider) = (Arc::new(roots), || provider.clone());
        let servers = WebPkiServerVerifier::builder_with_provider(roots.clone(), provider());
        let clients = WebPkiClientVerifier::builder_with_provider(roots, provider());
        let unusable = |error| format!("{CA}: {error}");
        let of_servers = servers.build().map_err(unusable)?;
        let of_clients = clients.build().map_err(unusable)?;
        Ok(Self { of_servers, of_clients })
    }

    /// Decides on the own certificate as each other node will.
    ///
    /// # Errors
    /// They will refuse it.
    fn check(
        &self,
        chain: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        at: UnixTime,
    ) -> Result<(), rustls::Error> {
        let (own, between) = chain.split_first().expect("a file without one is refused");
        self.of_servers.verify_server_cert(own, between, name, &[], at)?;
        self.of_clients.verify_client_cert(own, between, at).map(drop)
    }
}

//! Encrypted connections, as between two nodes that have shown each other certificates.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::sync::OnceLock;
use std::{env, fs, process, thread};

use anyhow::{Result, anyhow, bail};
use potoroo::cluster::channel::Channel;
use potoroo::cluster::encryption::{Accepted, Encryption};
use potoroo::cluster::tls::TlsPort;
use potoroo::cluster::tls_files::TlsFiles;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};

use super::ends::Wire;

impl Wire for TlsPort {
    fn connect() -> Result<(Self, Self)> {
        let [left, right] = nodes()?;
        let listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
        let address = listener.local_addr()?;
        let accepting = thread::spawn(move || match right.accept(listener.accept()?.0)? {
            Accepted::Alike(channel) => port(channel),
            Accepted::InTheClear(_) => bail!("it is not encrypted"),
        });
        let left = port(left.dial(address, NAMES[1])?)?;
        let right = accepting.join().map_err(|_| anyhow!("the handshake has failed"))??;
        Ok((left, right))
    }
}

fn port(channel: Channel) -> Result<TlsPort> {
    match channel {
        Channel::Tls(stream) => Ok(stream.into_port()?),
        Channel::Clear(_) => bail!("it is not encrypted"),
    }
}

const NAMES: [&str; 2] = ["left", "right"];

/// Both nodes, with certificates of this process.
fn nodes() -> Result<[Encryption; 2]> {
    static NODES: OnceLock<std::result::Result<[Encryption; 2], String>> = OnceLock::new();
    let nodes = NODES.get_or_init(|| make().map_err(|error| format!("{error:#}")));
    nodes.clone().map_err(|error| anyhow!("no certificates can be made: {error}"))
}

fn make() -> Result<[Encryption; 2]> {
    let folder = env::temp_dir().join(format!("potoroo-bench-{}", process::id()));
    fs::create_dir_all(&folder)?;
    let made = issue(&folder);
    fs::remove_dir_all(&folder)?;
    made
}

fn issue(folder: &Path) -> Result<[Encryption; 2]> {
    let mut own = CertificateParams::new(Vec::new())?;
    own.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate()?;
    let authority = folder.join("ca.pem");
    fs::write(&authority, own.self_signed(&key)?.pem())?;
    let issuer = Issuer::new(own, key);
    let node = |name: &str| -> Result<Encryption> {
        let key = KeyPair::generate()?;
        let shown = CertificateParams::new(vec![name.to_owned()])?.signed_by(&key, &issuer)?;
        let files = TlsFiles {
            certificate: folder.join(format!("{name}.pem")),
            key: folder.join(format!("{name}.key")),
            authority: authority.clone(),
        };
        fs::write(&files.certificate, shown.pem())?;
        fs::write(&files.key, key.serialize_pem())?;
        Encryption::load(&files, name).map_err(anyhow::Error::msg)
    };
    Ok([node(NAMES[0])?, node(NAMES[1])?])
}

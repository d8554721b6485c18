//! Authorities, and the certificates that they issue, as files of one test.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::{Duration, UNIX_EPOCH};

use potoroo::cluster::encryption::Encryption;
use potoroo::cluster::tls_files::TlsFiles;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, date_time_ymd,
};

use super::Scratch;

/// What issues certificates.
pub struct Authority {
    folder: PathBuf,
    issuer: Issuer<'static, KeyPair>,
}

/// When a certificate is valid.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Valid {
    Now,
    Before,
    Later,
    /// From long ago until this time from now.
    For(Duration),
}

impl Authority {
    /// Another authority than any other, whose file has this name.
    pub fn new(scratch: &Scratch, name: &str) -> Self {
        let folder = PathBuf::from(scratch.path(name));
        fs::create_dir_all(&folder).expect("the folder is ours");
        let mut params = CertificateParams::new(Vec::new()).expect("no name is wrong");
        params.distinguished_name.push(DnType::CommonName, format!("potoroo {name}"));
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let key = KeyPair::generate().expect("there is randomness");
        let own = params.self_signed(&key).expect("it is sound");
        fs::write(folder.join("ca.pem"), own.pem()).expect("the folder is ours");
        Self { folder, issuer: Issuer::new(params, key) }
    }

    /// Issues a certificate for `names`, whose files are called `file`.
    pub fn issue_as(&self, file: &str, names: &[&str], valid: Valid) -> TlsFiles {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).expect("they are names");
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        (params.not_before, params.not_after) = match valid {
            Valid::Now => (date_time_ymd(2020, 1, 1), date_time_ymd(4000, 1, 1)),
            Valid::Before => (date_time_ymd(2020, 1, 1), date_time_ymd(2021, 1, 1)),
            Valid::Later => (date_time_ymd(3999, 1, 1), date_time_ymd(4000, 1, 1)),
            Valid::For(left) => {
                let now = UNIX_EPOCH.elapsed().expect("the clock of this machine is set");
                (date_time_ymd(2020, 1, 1), date_time_ymd(1970, 1, 1) + now + left)
            }
        };
        let key = KeyPair::generate().expect("there is randomness");
        let certificate = params.signed_by(&key, &self.issuer).expect("it is sound");
        let files = self.files(file);
        fs::write(&files.certificate, certificate.pem()).expect("the folder is ours");
        fs::write(&files.key, key.serialize_pem()).expect("the folder is ours");
        let private = fs::Permissions::from_mode(0o600);
        fs::set_permissions(&files.key, private).expect("the file is ours");
        files
    }

    /// Issues a certificate for a node.
    pub fn issue(&self, node: &str) -> TlsFiles {
        self.issue_as(node, &[node], Valid::Now)
    }

    /// What that node speaks with.
    pub fn node(&self, node: &str) -> Encryption {
        Encryption::load(&self.issue(node), node).expect("the files are sound")
    }

    /// The paths of files that were issued as `file`.
    pub fn files(&self, file: &str) -> TlsFiles {
        TlsFiles {
            certificate: self.folder.join(format!("{file}.pem")),
            key: self.folder.join(format!("{file}.key")),
            authority: self.folder.join("ca.pem"),
        }
    }

    /// The flags for files that were issued as `file`.
    pub fn flags(&self, file: &str) -> String {
        flags(&self.files(file))
    }
}

/// The flags for `files`.
pub fn flags(files: &TlsFiles) -> String {
    let TlsFiles { certificate, key, authority } = files;
    format!(
        "--tls-cert {} --tls-key {} --tls-ca {}",
        certificate.display(),
        key.display(),
        authority.display()
    )
}

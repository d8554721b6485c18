//! What errors of TLS mean, for people.

use std::path::Path;

use rustls::{AlertDescription, CertificateError, Error};

/// What is wrong with the own certificate.
pub(super) fn own(error: &Error) -> String {
    match error {
        Error::InvalidCertificate(cause) => certificate(cause),
        error => error.to_string(),
    }
}

/// What is wrong with the own key.
pub(super) fn key(error: &Error, of: &Path) -> String {
    match error {
        Error::InconsistentKeys(_) => {
            format!("it is not the key of --tls-cert {}: give the files of one pair", of.display())
        }
        error => format!("it cannot be used: {error}"),
    }
}

/// Why a peer cannot be talked with.
pub(super) fn of_peer(error: &Error) -> String {
    match error {
        Error::InvalidCertificate(cause) => format!("its certificate {}", certificate(cause)),
        Error::NoCertificatesPresented => "it shows no certificate".to_owned(),
        Error::AlertReceived(alert) => format!("it refuses this node: {}", refused(*alert)),
        Error::InvalidMessage(_) => {
            format!("it does not speak TLS ({error}): give all nodes {FLAGS}")
        }
        error => format!("TLS failed: {error}"),
    }
}

/// Why an etcd cannot be talked with.
#[cfg(feature = "etcd")]
pub fn of_etcd(error: &Error) -> String {
    use CertificateError::{BadSignature, NotValidForName, NotValidForNameContext, UnknownIssuer};
    match error {
        Error::InvalidCertificate(UnknownIssuer | BadSignature) => {
            "its certificate was not issued by an authority of --tls-ca: give a file that has its \
             authority, too"
                .to_owned()
        }
        Error::InvalidCertificate(NotValidForName | NotValidForNameContext { .. }) => format!(
            "{error}: write a host or address in --cluster that its certificate has, or issue one \
             that has it"
        ),
        Error::InvalidCertificate(_) => format!("{error}: issue a new certificate for it"),
        Error::AlertReceived(alert) => format!(
            "it refuses this process ({alert:?}): give --tls-cert and --tls-key, issued by an \
             authority that it knows"
        ),
        Error::InvalidMessage(_) => {
            format!("it does not speak TLS ({error}): write etcd://, or give it a certificate")
        }
        error => format!("TLS failed: {error}"),
    }
}

const FLAGS: &str = "--tls-cert, --tls-key and --tls-ca";

fn certificate(cause: &CertificateError) -> String {
    use CertificateError::{
        BadSignature, Expired, ExpiredContext, InvalidPurpose, InvalidPurposeContext,
        NotValidForName, NotValidForNameContext, NotValidYet, NotValidYetContext, UnknownIssuer,
    };
    match cause {
        Expired | ExpiredContext { .. } => {
            "has expired, or the clock of this machine is wrong: issue a new one, and start the \
             node again"
                .to_owned()
        }
        NotValidYet | NotValidYetContext { .. } => {
            "is not valid yet, or the clock of this machine is wrong: correct the clock".to_owned()
        }
        // An authority of the same name, with another key, is another one.
        UnknownIssuer | BadSignature => {
            "was not issued by an authority of --tls-ca: issue it by one of those, or give all \
             nodes a file that has its authority, too"
                .to_owned()
        }
        NotValidForNameContext { expected, presented } => format!(
            "is for {}, and not for node `{}`: issue one with that DNS name \
             (subjectAltName=DNS:…), or give the node its name with --node",
            names(presented),
            expected.to_str(),
        ),
        NotValidForName => "is not for that node: issue one with its name".to_owned(),
        InvalidPurpose | InvalidPurposeContext { .. } => {
            "is not for both ends of a connection: issue one whose extendedKeyUsage has \
             serverAuth and clientAuth, or none"
                .to_owned()
        }
        cause => format!("cannot be used: {cause}"),
    }
}

/// The names of a certificate, each of which comes as `DnsName("a")`.
fn names(presented: &[String]) -> String {
    let name = |text: &String| format!("`{}`", text.split('"').nth(1).unwrap_or(text));
    let names: Vec<String> = presented.iter().map(name).collect();
    if names.is_empty() { "no name".to_owned() } else { names.join(", ") }
}

fn refused(alert: AlertDescription) -> String {
    let its = "the certificate of this node";
    match alert {
        AlertDescription::UnknownCA | AlertDescription::DecryptError => {
            format!("{its} was issued by no authority that it knows: give all nodes one --tls-ca")
        }
        AlertDescription::CertificateExpired => {
            format!("{its} has expired, or a clock is wrong: issue a new one")
        }
        AlertDescription::BadCertificate
        | AlertDescription::CertificateUnknown
        | AlertDescription::UnsupportedCertificate => {
            format!("{its} is not one that it accepts ({alert:?}): its log says why")
        }
        AlertDescription::CertificateRequired => format!("it wants a certificate: give {FLAGS}"),
        AlertDescription::ProtocolVersion => {
            format!("it does not speak TLS 1.3: give all nodes {FLAGS}, or none of them")
        }
        alert => format!("{alert:?}"),
    }
}

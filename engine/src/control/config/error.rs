//! What can be wrong with a configuration, each with its cause and its remedy.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use crate::checkpoint::store::NoLocation;
use crate::connect::address;
use crate::connect::registry::without_tokens;
use crate::connect::remedy;

use super::member::NoMember;
use super::skip::NoSkip;

/// One thing that is wrong with a configuration.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The configuration file cannot be read.
    #[error(
        "cannot read the configuration file `{}` (`--config`): {cause}; {}",
        shown(path),
        remedy::read(cause)
    )]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        cause: io::Error,
    },
    /// The configuration file is no TOML, or has an unknown key or a value of another type.
    #[error("the configuration file `{}` is wrong: {cause}", shown(path))]
    File {
        /// The file.
        path: PathBuf,
        /// Where and what, with the keys that there are; nothing of what stands there, which may be
        /// a token.
        cause: String,
    },
    /// A value in the configuration file cannot be used.
    #[error("the configuration file `{}` is wrong: {cause}", shown(path))]
    FileValue {
        /// The file.
        path: PathBuf,
        /// Which value, and why.
        cause: Box<Error>,
    },
    /// An address cannot be used.
    #[error("{what}: {cause}")]
    Address {
        /// Whose address it is.
        what: String,
        /// Why.
        cause: address::Error,
    },
    /// The place of checkpoints cannot be used.
    #[error("`state`: {cause}")]
    State {
        /// Why.
        cause: NoLocation,
    },
    /// An event to skip cannot be understood.
    #[error("`skip`: {cause}")]
    Skip {
        /// What is wrong with it.
        cause: NoSkip,
    },
    /// An event to skip is of a source that cannot be read again, and in no checkpoint.
    #[error(
        "`--skip {skip}`: source `{source_name}` cannot be read again, so the event that ended the \
         process is gone with it, unless a checkpoint holds it (`--state`, and then \
         CONNECTION:POSITION as the report of the panic has it): leave the flag out"
    )]
    SkipGone {
        /// The flag.
        skip: String,
        /// The source.
        source_name: String,
    },
    /// An event to skip is given another kind of position than its source has.
    #[error(
        "`--skip {skip}`: an event of a `potoroo:` source has STREAM:POSITION, of a file or \
         generator only a position: copy the flag from the report of the panic"
    )]
    SkipKind {
        /// The flag.
        skip: String,
    },
    /// An address that only an embedding program can serve.
    #[error(
        "{what} has the address `channel:`, which only a program that embeds the engine can \
         serve: give it another one"
    )]
    ChannelOutside {
        /// Whose address it is.
        what: String,
    },
    /// One name has two addresses on the command line.
    #[error("`--{edge} {name}=…` is given twice: give each name one address")]
    Repeated {
        /// Source or sink.
        edge: address::Edge,
        /// The name.
        name: String,
    },
    /// A list of CPUs cannot be understood.
    #[error("`{text}` is no list of CPUs: write numbers and ranges like `0,2-3`")]
    CpuList {
        /// The list.
        text: String,
    },
    /// There is no core at all.
    #[error("`cores` is empty: name at least one CPU, allowed are {allowed}")]
    NoCores {
        /// CPUs that this process may use.
        allowed: String,
    },
    /// CPUs do not exist, or the process may not use them.
    #[error(
        "`cores` names CPU {cpus}, which does not exist or is not allowed here: \
         allowed are {allowed} (see `taskset -p` and the cpuset of the container)"
    )]
    CpusNotAllowed {
        /// The CPUs, as ranges.
        cpus: String,
        /// CPUs that this process may use.
        allowed: String,
    },
    /// Cores that shall own state do not exist.
    #[error(
        "`state_cores` names CPU {cpus}, which is not among `cores` ({cores}): \
         add it to `cores`, or take one of these"
    )]
    NotCores {
        /// The CPUs, as ranges.
        cpus: String,
        /// The CPUs of `cores`.
        cores: String,
    },
    /// No core would own the state.
    #[error("`state_cores` is empty: name at least one of `cores` ({cores}), or leave it out")]
    NoStateCores {
        /// The CPUs of `cores`.
        cores: String,
    },
    /// A strategy of that name does not exist.
    #[error("`idle` cannot be `{text}`: it is `spin`, `adaptive` or `park`")]
    Idle {
        /// What was given.
        text: String,
    },
    /// A form of report of that name does not exist.
    #[error("`report` cannot be `{text}`: it is `text` or `json`")]
    Report {
        /// What was given.
        text: String,
    },
    /// A number is outside its limits.
    #[error("`{name}` cannot be {value}: it is {range}")]
    Range {
        /// The limit's name.
        name: &'static str,
        /// What was given.
        value: u64,
        /// What it may be.
        range: String,
    },
    /// The admin port would be open to the network.
    #[error(
        "the admin address {address} is not on loopback: take 127.0.0.1:{} or [::1]:{}, and reach \
         it from elsewhere through a tunnel", address.port(), address.port()
    )]
    AdminNotLoopback {
        /// The address.
        address: SocketAddr,
    },
    /// The text is no socket address.
    #[error("`{key}` cannot be `{text}`: it is a loopback address and port like `127.0.0.1:9090`")]
    Socket {
        /// The key.
        key: &'static str,
        /// What was given.
        text: String,
    },
    /// The text is no place of a cluster, or no name of a node.
    #[error("`{key}`: {cause}")]
    Member {
        /// The key.
        key: &'static str,
        /// What is wrong with it.
        cause: NoMember,
    },
    /// Nodes have nothing that they could go on from.
    #[error(
        "`--cluster {place}` needs `--state`: a folder that all nodes see under this path, or \
         s3://BUCKET/PREFIX"
    )]
    ClusterWithoutState {
        /// Where the nodes agree.
        place: String,
    },
    /// Etcd would grant a longer one than it is asked for.
    #[error(
        "`--lease-ms {ms}` is too short for etcd, which grants 2 seconds at least by its defaults: \
         give {least} or more"
    )]
    LeaseTooShort {
        /// What was given.
        ms: u64,
        /// The least.
        least: u64,
    },
    /// Who reads or changes what nodes send each other has the whole application.
    #[error(
        "the other processes of the cluster would reach this one at {address}, which is not on \
         loopback, and what they send is not encrypted: give all of them `--tls-cert`, `--tls-key` \
         and `--tls-ca`, or `--links-in-the-clear` if no stranger can read or send on that \
         network, or give `--listen` an address like `127.0.0.1:{}`",
        address.port()
    )]
    ListenNotLoopback {
        /// The address.
        address: SocketAddr,
    },
    /// Some of the files of TLS are given, and others are not.
    #[error(
        "{missing}: missing; TLS needs a certificate of this node, its key, and the authority \
         of the certificates of all nodes (--tls-cert, --tls-key, --tls-ca)"
    )]
    TlsFileMissing {
        /// The flags.
        missing: String,
    },
    /// A file of TLS cannot be used.
    #[error("{cause}")]
    Tls {
        /// Which, why and the remedy.
        cause: String,
    },
    /// There is nothing to encrypt.
    #[error(
        "--tls-cert, --tls-key and --tls-ca encrypt what nodes of a cluster send each other, and \
         do nothing without --cluster: leave them out, or give it"
    )]
    TlsWithoutCluster,
    /// Nodes cannot do both.
    #[error(
        "`--links-in-the-clear` and `--tls-cert` exclude each other: leave out the first one to \
         have the nodes encrypt what they send"
    )]
    TlsInTheClear,
    /// Others cannot connect with any address of a machine.
    #[error(
        "the other processes of the cluster cannot reach this one at {address}, which stands for \
         all addresses of the machine: name one of them with `--advertise ADDR:{}`",
        address.port()
    )]
    NoAdvertise {
        /// The address.
        address: SocketAddr,
    },
    /// A source or sink has no address.
    #[error("{edge} `{name}` has no address: add `{remedy}`")]
    NoAddress {
        /// Source or sink.
        edge: address::Edge,
        /// Its name.
        name: String,
        /// What to add to the command line.
        remedy: String,
    },
    /// An address is given to something that the application does not have.
    #[error("the application has no {edge} `{}`: {known}", without_tokens(name))]
    Unknown {
        /// Source or sink.
        edge: address::Edge,
        /// The name.
        name: String,
        /// What it has instead.
        known: String,
    },
}

/// A path without secrets: an address with a token may stand where a path should.
fn shown(path: &Path) -> String {
    without_tokens(&path.display().to_string())
}

/// All that is wrong with a configuration, found before anything runs.
#[derive(Debug)]
pub struct Errors {
    pub(super) application: String,
    pub(super) list: Vec<Error>,
}

impl Errors {
    /// The errors: addresses first, then limits.
    pub fn list(&self) -> &[Error] {
        &self.list
    }
}

impl fmt::Display for Errors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "application `{}` cannot run as configured:", self.application)?;
        self.list.iter().try_for_each(|error| write!(f, "\n  - {error}"))
    }
}

impl std::error::Error for Errors {}

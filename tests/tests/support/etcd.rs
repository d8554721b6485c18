//! A real etcd, where one is installed. Each is of one test, keeps its keys in the folder of that
//! test, and ends with the test.

use std::fs::File;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use potoroo::cluster::agreement::{EtcdAddress, EtcdAgreement, Login};
use potoroo::cluster::tls_files::{GivenFiles, TlsFiles};

use super::{LIMIT, Scratch, free_port};

/// How long one answer may take: before it is ready, it may take a request and not answer it.
const PATIENCE: Duration = Duration::from_secs(5);

/// A server that can be ended and started again with the keys that it had.
pub struct Etcd {
    folder: String,
    pub address: SocketAddr,
    peers: u16,
    /// What it shows clients, and wants of theirs.
    tls: Option<TlsFiles>,
    /// Flags that it gets beside.
    flags: Vec<String>,
    child: Option<Child>,
}

impl Etcd {
    /// Starts a server; `None`, with the reason, where none is installed.
    pub fn start(scratch: &Scratch) -> Option<Self> {
        Self::start_with(scratch, &[])
    }

    /// The same, with these flags, too.
    pub fn start_with(scratch: &Scratch, flags: &[&str]) -> Option<Self> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()));
        Self::begin(scratch, address, None, flags)
    }

    /// Starts a server at `address`.
    pub fn start_at(scratch: &Scratch, address: SocketAddr) -> Option<Self> {
        Self::begin(scratch, address, None, &[])
    }

    /// Starts a server that wants certificates of its clients, and has those `files`.
    pub fn start_secure(scratch: &Scratch, files: TlsFiles) -> Option<Self> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()));
        Self::begin(scratch, address, Some(files), &[])
    }

    fn begin(
        scratch: &Scratch,
        address: SocketAddr,
        tls: Option<TlsFiles>,
        flags: &[&str],
    ) -> Option<Self> {
        if Command::new("etcd").arg("--version").output().is_err() {
            eprintln!("skipped: etcd is not installed (Debian: apt-get install etcd-server)");
            return None;
        }
        let (folder, peers) = (scratch.path("etcd"), free_port());
        let flags = flags.iter().map(|flag| (*flag).to_owned()).collect();
        let mut etcd = Self { folder, address, peers, tls, flags, child: None };
        etcd.resume();
        Some(etcd)
    }

    /// Starts it again, and waits until it answers.
    pub fn resume(&mut self) {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        let (here, peers) = (format!("{scheme}://{}", self.address), self.peers);
        let peers = format!("http://127.0.0.1:{peers}");
        let cluster = format!("one={peers}");
        let mut command = Command::new("etcd");
        command.args(["--name", "one", "--data-dir", &self.folder]);
        command.args(["--listen-client-urls", &here, "--advertise-client-urls", &here]);
        command.args(["--listen-peer-urls", &peers, "--initial-advertise-peer-urls", &peers]);
        command.args(["--initial-cluster", &cluster, "--log-level", "error"]).args(&self.flags);
        if let Some(TlsFiles { certificate, key, authority }) = &self.tls {
            command.arg("--client-cert-auth").arg("--cert-file").arg(certificate);
            command.arg("--key-file").arg(key).arg("--trusted-ca-file").arg(authority);
        }
        let log = File::create(Path::new(&self.folder).with_extension("log"));
        command.stdin(Stdio::null()).stdout(Stdio::null());
        command.stderr(log.expect("the folder is ours"));
        self.child = Some(command.spawn().expect("it was asked for its version before"));
        let deadline = Instant::now() + LIMIT;
        while !self.answers() {
            assert!(Instant::now() < deadline, "etcd does not answer within {LIMIT:?}");
            thread::park_timeout(Duration::from_millis(20));
        }
    }

    fn answers(&self) -> bool {
        if let Some(TlsFiles { certificate, key, authority }) = self.tls.clone() {
            let (certificate, key) = (Some(certificate), Some(key));
            let files = GivenFiles { certificate, key, authority: Some(authority) };
            let address = EtcdAddress::parse(&format!("{}/ready", self.address), true);
            let address = address.expect("it is one");
            return EtcdAgreement::open(&address, Some(PATIENCE), None, &files).is_ok();
        }
        let answer = self.post_within(PATIENCE, "/v3/kv/range", "{\"key\":\"eA==\"}");
        answer.is_some_and(|answer| answer.contains("header"))
    }

    /// Ends it as a crash does.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Has etcd want users: `root`, `node` with the right to all keys of clusters, and `other`.
    /// The password of each is `pw-` with its name.
    pub fn enable_users(&self) {
        let post = |path: &str, body: &str| {
            let answer = self.post(path, body).expect("it answers");
            assert!(answer.starts_with("HTTP/1.0 200"), "{path}: {answer}");
        };
        for user in ["root", "node", "other"] {
            post(
                "/v3/auth/user/add",
                &format!("{{\"name\":\"{user}\",\"password\":\"pw-{user}\"}}"),
            );
        }
        post("/v3/auth/role/add", "{\"name\":\"root\"}");
        post("/v3/auth/role/add", "{\"name\":\"nodes\"}");
        // All keys under /potoroo/.
        let range = "\"key\":\"L3BvdG9yb28v\",\"range_end\":\"L3BvdG9yb28w\"";
        let right =
            format!("{{\"name\":\"nodes\",\"perm\":{{\"permType\":\"READWRITE\",{range}}}}}");
        post("/v3/auth/role/grant", &right);
        post("/v3/auth/user/grant", "{\"user\":\"root\",\"role\":\"root\"}");
        post("/v3/auth/user/grant", "{\"user\":\"node\",\"role\":\"nodes\"}");
        post("/v3/auth/enable", "{}");
    }

    /// What the gateway answers, if it answers.
    pub fn post(&self, path: &str, body: &str) -> Option<String> {
        self.post_within(LIMIT, path, body)
    }

    fn post_within(&self, limit: Duration, path: &str, body: &str) -> Option<String> {
        self.send(limit, &format!("POST {path} HTTP/1.0"), body)
    }

    /// What the gateway answers to who has this token.
    pub fn post_as(&self, token: &str, path: &str, body: &str) -> Option<String> {
        self.send(LIMIT, &format!("POST {path} HTTP/1.0\r\nAuthorization: {token}"), body)
    }

    fn send(&self, limit: Duration, head: &str, body: &str) -> Option<String> {
        let mut stream = TcpStream::connect_timeout(&self.address, limit).ok()?;
        stream.set_read_timeout(Some(limit)).ok()?;
        let head = format!("{head}\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        stream.write_all(head.as_bytes()).ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        Some(answer)
    }

    /// The flag value for a cluster in it.
    pub fn place(&self, name: &str) -> String {
        let scheme = if self.tls.is_some() { "etcds" } else { "etcd" };
        format!("{scheme}://{}/{name}", self.address)
    }
}

impl Drop for Etcd {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A session in the etcd at one of `servers`.
pub fn session(
    servers: &str,
    name: &str,
    lease: Duration,
    login: Option<Login>,
) -> Result<EtcdAgreement, String> {
    let address = EtcdAddress::parse(&format!("{servers}/{name}"), false).expect("it is one");
    let files = GivenFiles::default();
    EtcdAgreement::open(&address, Some(lease), login, &files).map_err(|error| error.to_string())
}

//! A server that speaks the protocol of S3: moto, a package of Python. Each is of one test, keeps
//! its buckets in memory, and ends with the test, however that ends.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

use potoroo::checkpoint::store::{Address, Location, S3};

use super::LIMIT;

/// A key that no log may have in it, any more than the secret.
pub const KEY: &str = "AKIDPOTOROOTEST";
/// The secret of [`KEY`].
pub const SECRET: &str = "s3cr3tOfTheTest";

/// The bucket that a server has.
pub const BUCKET: &str = "checkpoints";

/// Ends when its standard input does: also when the test is killed.
const SERVE: &str = "
import os, sys, threading
threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
from moto.server import main
main(['-H', '127.0.0.1', '-p', '0'])
";

/// A running server.
pub struct Moto {
    child: Child,
    pub address: SocketAddr,
}

impl Moto {
    /// Starts a server with a bucket; `None`, with the reason, where it cannot be had.
    pub fn start() -> Option<Self> {
        let moto = Self::without_bucket(&[])?;
        let answer = moto.ask(&format!("PUT /{BUCKET}"));
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        Some(moto)
    }

    /// A server that checks credentials, and knows none.
    pub fn start_strict() -> Option<Self> {
        Self::without_bucket(&[("INITIAL_NO_AUTH_ACTION_COUNT", "0")])
    }

    fn without_bucket(variables: &[(&str, &str)]) -> Option<Self> {
        let mut command = Command::new(python()?);
        command.args(["-c", SERVE]).envs(variables.iter().copied());
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("it was asked for moto before");
        let mut log = BufReader::new(child.stderr.take().expect("it is piped")).lines();
        let running = log.by_ref().map_while(Result::ok).find_map(|line| {
            let (_, address) = line.split_once("Running on http://")?;
            address.trim().parse().ok()
        });
        // It goes on writing, and would block if its pipe were not read.
        std::thread::spawn(move || log.map_while(Result::ok).for_each(drop));
        Some(Self { child, address: running.expect("it prints where it listens") })
    }

    /// The answer to a request without a body.
    fn ask(&self, request: &str) -> String {
        let mut stream = TcpStream::connect_timeout(&self.address, LIMIT).expect("it listens");
        let head = "HTTP/1.1\r\nHost: moto\r\nContent-Length: 0\r\nConnection: close";
        stream.write_all(format!("{request} {head}\r\n\r\n").as_bytes()).expect("it listens");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("it answers");
        answer
    }
}

impl Drop for Moto {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The flag value for a prefix in the bucket, asked for at `endpoint`.
pub fn place(endpoint: SocketAddr, prefix: &str) -> String {
    format!("s3://{BUCKET}/{prefix}?endpoint=http://{endpoint}&region=eu-central-1")
}

/// The credentials of a test, as an environment has them.
pub fn variables(name: &str) -> Option<String> {
    match name {
        "AWS_ACCESS_KEY_ID" => Some(KEY.to_owned()),
        "AWS_SECRET_ACCESS_KEY" => Some(SECRET.to_owned()),
        _ => None,
    }
}

/// Gives the credentials to a process.
pub fn give_credentials(command: &mut Command) {
    command.env("AWS_ACCESS_KEY_ID", KEY).env("AWS_SECRET_ACCESS_KEY", SECRET);
}

/// The address of a [`place`].
pub fn address(endpoint: SocketAddr, prefix: &str) -> Address {
    match place(endpoint, prefix).parse() {
        Ok(Location::S3(address)) => *address,
        other => panic!("{other:?}"),
    }
}

/// Opens a [`place`].
#[track_caller]
pub fn store(endpoint: SocketAddr, prefix: &str) -> S3 {
    S3::open(&address(endpoint, prefix), &variables).expect("it can be used")
}

/// A Python that has moto.
fn python() -> Option<&'static Path> {
    static PYTHON: OnceLock<Option<PathBuf>> = OnceLock::new();
    PYTHON.get_or_init(find_python).as_deref()
}

fn find_python() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("moto");
    let ours = folder.join("bin/python");
    let installed = [PathBuf::from("python3"), ours.clone()].into_iter().find(|it| has_moto(it));
    if installed.is_some() {
        return installed;
    }
    let succeeds = |command: &mut Command| command.output().is_ok_and(|it| it.status.success());
    let made = succeeds(Command::new("python3").args(["-m", "venv"]).arg(folder));
    let install = ["-m", "pip", "install", "--quiet", "--retries=1"];
    let packages = ["moto[s3]==5.2.1", "flask", "flask-cors"];
    if made && succeeds(Command::new(&ours).args(install).args(packages)) && has_moto(&ours) {
        return Some(ours);
    }
    eprintln!("skipped: python3 with venv and the package moto cannot be had here");
    None
}

fn has_moto(python: &Path) -> bool {
    let asked = Command::new(python).args(["-c", "import moto.server, moto.s3"]).output();
    asked.is_ok_and(|output| output.status.success())
}

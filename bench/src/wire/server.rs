//! Starts and ends the other process of a slice.

use std::env;
use std::io::{BufRead, BufReader, Read};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdout, Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use clap::ValueEnum;

use super::serve::Kind;
use crate::gaps::LoopGap;
use crate::place::Place;

/// A process that listens; it is killed if it still runs when this is dropped.
#[derive(Debug)]
pub struct Server {
    child: Child,
    stdout: BufReader<ChildStdout>,
    address: SocketAddr,
}

impl Server {
    /// Starts this very program again, on the right CPU, and waits for its port.
    ///
    /// # Errors
    /// The process cannot be started or says no port.
    pub fn start(kind: Kind, place: Place) -> Result<Self> {
        let program = env::current_exe().context("the path of this program is unknown")?;
        let kind = kind.to_possible_value().expect("no kind is skipped");
        let mut command = Command::new(program);
        command.args(["serve", kind.get_name(), "--cpu", &place.right.to_string()]);
        if place.fifo {
            command.arg("--fifo");
        }
        // A Ctrl-C is for this process: the slice under way ends as usual.
        command.process_group(0);
        let mut child = command.stdout(Stdio::piped()).spawn().context("no server process")?;
        let stdout = child.stdout.take().context("the server process has no stdout")?;
        let mut stdout = BufReader::new(stdout);
        let port = port(&mut stdout)?;
        Ok(Self { child, stdout, address: SocketAddr::from((Ipv4Addr::LOCALHOST, port)) })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Waits until it has ended by itself, which it does when its connection is closed. Returns the
    /// gaps that it reported.
    ///
    /// # Errors
    /// It ended with an error.
    pub fn finish(mut self) -> Result<Vec<LoopGap>> {
        let gaps = self.stdout.by_ref().lines().map(|line| gap(&line?)).collect();
        let status = self.child.wait().context("the server process cannot be waited for")?;
        ensure!(status.success(), "the server process ended with {status}");
        gaps
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Both fail only when the process has ended already, which is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn port(stdout: &mut impl BufRead) -> Result<u16> {
    let mut line = String::new();
    stdout.read_line(&mut line).context("the server process says nothing")?;
    line.trim().parse().with_context(|| format!("the server process said {line:?}, not a port"))
}

/// Reads start, end and involuntary switches.
fn gap(line: &str) -> Result<LoopGap> {
    let numbers: Vec<u64> = line.split(' ').flat_map(str::parse).collect();
    match numbers[..] {
        [start_ns, end_ns, switches] => Ok(LoopGap { start_ns, end_ns, switches }),
        _ => bail!("the server process said {line:?}, not a gap"),
    }
}

//! Starts and ends the other process of a slice.

use std::env;
use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, ensure};
use clap::ValueEnum;

use super::serve::Kind;
use crate::place::Place;

/// A process that listens; it is killed if it still runs when this is dropped.
#[derive(Debug)]
pub struct Server {
    child: Child,
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
        let port = port(&mut child)?;
        Ok(Self { child, address: SocketAddr::from((Ipv4Addr::LOCALHOST, port)) })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Waits until it has ended by itself, which it does when its connection is closed.
    ///
    /// # Errors
    /// It ended with an error.
    pub fn finish(mut self) -> Result<()> {
        let status = self.child.wait().context("the server process cannot be waited for")?;
        ensure!(status.success(), "the server process ended with {status}");
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Both fail only when the process has ended already, which is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn port(child: &mut Child) -> Result<u16> {
    let stdout = child.stdout.take().context("the server process has no stdout")?;
    let mut line = String::new();
    BufReader::new(stdout).read_line(&mut line).context("the server process says nothing")?;
    line.trim().parse().with_context(|| format!("the server process said {line:?}, not a port"))
}

//! Market Spread itself in its own process: the example of the engine, on one core.

use std::env;
use std::ffi::OsString;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::gaps::LoopGap;
use crate::place::Place;

/// The example's binary, beside this program. Under Cargo it is brought up to date first.
///
/// # Errors
/// It does not build, or there is none.
pub fn program() -> Result<PathBuf> {
    let bench = env::current_exe().context("the path of this program is unknown")?;
    let folder = bench.parent().context("a program lies in a folder")?;
    if let Some(cargo) = env::var_os("CARGO") {
        build(&cargo, folder)?;
    }
    let program = folder.join("examples").join(EXAMPLE);
    ensure!(
        program.exists(),
        "{} is missing: run this with `cargo run --profile latency --package potoroo-bench`",
        program.display()
    );
    Ok(program)
}

fn build(cargo: &OsString, folder: &Path) -> Result<()> {
    let profile = match folder.file_name().and_then(|name| name.to_str()) {
        Some("debug") | None => "dev",
        Some(profile) => profile,
    };
    let target = folder.parent().context("a profile lies in the target folder")?;
    let mut command = Command::new(cargo);
    command.args(["build", "--quiet", "--example", EXAMPLE]);
    // Packages that are selected together share the features of their dependencies: what this
    // program, or the tests of the workspace, were built with is not built a second time.
    match (env::var_os("POTOROO_TEST_WORKSPACE"), profile) {
        (Some(_), _) => command.arg("--workspace"),
        (None, "dev") => command.args(["--package", "potoroo"]),
        (None, _) => command.args(["--package", "potoroo", "--package", "potoroo-bench"]),
    };
    command.args(["--profile", profile, "--target-dir"]).arg(target);
    if let Some(package) = env::var_os("CARGO_MANIFEST_DIR") {
        command.current_dir(package);
    }
    let status = command.status().context("Cargo cannot be run")?;
    ensure!(status.success(), "the example {EXAMPLE} does not build");
    Ok(())
}

/// The running application; it is killed if it still runs when this is dropped.
pub struct Market {
    child: Child,
    /// Kept open: the application must be able to say something.
    stderr: BufReader<ChildStderr>,
    orders: SocketAddr,
    quotes: SocketAddr,
    admin: SocketAddr,
}

impl Market {
    /// Starts it on the right CPU and waits until it listens; each of its two sources takes
    /// `connections` connections.
    ///
    /// # Errors
    /// The process cannot be started, or ends at once.
    pub fn start(program: &Path, place: Place, connections: usize) -> Result<Self> {
        let mut command = Command::new(program);
        command.args(["--reply", "--idle", "spin", "--no-progress", "--report", "json"]);
        // Both end with their connections, and the application with them.
        for source in ["orders", "quotes"] {
            let address = format!("{source}=tcp://127.0.0.1:0?connections={connections}");
            command.args(["--source", &address]);
        }
        command.args(["--admin", "127.0.0.1:0", "--cores", &place.right.to_string()]);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        // A Ctrl-C is for this process: the slice under way ends as usual.
        command.process_group(0);
        let mut child = command.spawn().context("Market Spread cannot be started")?;
        let mut stderr = BufReader::new(child.stderr.take().context("it has no stderr")?);
        let [orders, quotes, admin] = match addresses(&mut stderr) {
            Ok(addresses) => addresses,
            Err(error) => {
                let _ = child.kill();
                let _ = child.wait();
                return Err(error);
            }
        };
        Ok(Self { child, stderr, orders, quotes, admin })
    }

    /// Number of the process.
    pub fn process(&self) -> u32 {
        self.child.id()
    }

    /// Where it takes orders.
    pub fn orders(&self) -> SocketAddr {
        self.orders
    }

    /// Where it takes quotes.
    pub fn quotes(&self) -> SocketAddr {
        self.quotes
    }

    /// What it has counted so far.
    ///
    /// # Errors
    /// The admin port does not answer.
    pub fn counted(&self) -> Result<MarketCounts> {
        MarketCounts::parse(&self.status()?)
    }

    /// The last gaps of its core.
    ///
    /// # Errors
    /// As [`counted`](Self::counted).
    pub fn gaps(&self) -> Result<Vec<LoopGap>> {
        gaps(&self.status()?)
    }

    fn status(&self) -> Result<String> {
        let mut stream = TcpStream::connect(self.admin).context("no admin port")?;
        let request = "GET /status HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
        stream.write_all(request.as_bytes())?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).context("the admin port says nothing")?;
        let (_, body) = answer.split_once("\r\n\r\n").context("the admin port's answer is cut")?;
        Ok(body.to_owned())
    }

    /// Waits until it has ended, which it does when both connections are closed.
    ///
    /// # Errors
    /// It ended with an error, or its summary cannot be read.
    pub fn finish(mut self) -> Result<MarketCounts> {
        let mut stdout = self.child.stdout.take().context("it has no stdout")?;
        let mut summary = String::new();
        stdout.read_to_string(&mut summary)?;
        let status = self.child.wait().context("it cannot be waited for")?;
        let mut said = String::new();
        let _ = self.stderr.read_to_string(&mut said);
        ensure!(status.success(), "Market Spread ended with {status}: {said}");
        MarketCounts::parse(summary.lines().last().unwrap_or_default())
    }
}

impl Drop for Market {
    fn drop(&mut self) {
        // Both fail only when the process has ended already, which is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Reads what it says at its start: where orders, quotes and the admin port are.
fn addresses(stderr: &mut BufReader<ChildStderr>) -> Result<[SocketAddr; 3]> {
    let marks = ["source `orders`", "source `quotes`", "admin port"];
    let mut found = [None; 3];
    let mut said = String::new();
    while found.contains(&None) {
        let mut line = String::new();
        if stderr.read_line(&mut line)? == 0 {
            bail!("Market Spread does not run: {said}");
        }
        for (mark, place) in marks.iter().zip(&mut found) {
            let rest = line.strip_prefix(mark).and_then(|rest| rest.strip_prefix(" listens on "));
            if let Some(address) = rest {
                *place = Some(address.trim().parse().with_context(|| line.clone())?);
            }
        }
        said += &line;
    }
    Ok(found.map(|address| address.expect("the loop ends with the last one")))
}

/// Counts out of a report of the application.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MarketCounts {
    /// Seconds since its start, taken with the counts.
    pub seconds: f64,
    /// Orders taken in.
    pub orders: u64,
    /// Quotes taken in.
    pub quotes: u64,
    /// Frames that it did not understand.
    pub refused: u64,
}

impl MarketCounts {
    fn parse(text: &str) -> Result<Self> {
        let report: Value = serde_json::from_str(text).context("the report is no JSON")?;
        let sources = report["sources"].as_array().context("the report has no sources")?;
        let events = |name: &str| {
            let source = sources.iter().find(|source| source["name"] == name);
            source.and_then(|source| source["events"].as_u64()).context("a source is missing")
        };
        Ok(Self {
            seconds: report["seconds"].as_f64().context("the report has no seconds")?,
            orders: events("orders")?,
            quotes: events("quotes")?,
            refused: sources.iter().filter_map(|source| source["refused"].as_u64()).sum(),
        })
    }
}

/// The recent gaps in a report, of which the first core has all.
fn gaps(text: &str) -> Result<Vec<LoopGap>> {
    let report: Value = serde_json::from_str(text).context("the report is no JSON")?;
    let recent = report["per_core"][0]["gaps"]["recent"].clone();
    let recent: Vec<[u64; 3]> = serde_json::from_value(recent).context("the report has no gaps")?;
    let gap = |[start_ns, end_ns, switches]: [u64; 3]| LoopGap { start_ns, end_ns, switches };
    Ok(recent.into_iter().map(gap).collect())
}

const EXAMPLE: &str = "market_spread";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_found_in_a_report() {
        let sources = r#"{"name":"quotes","events":7,"refused":1},{"name":"orders","events":2}"#;
        let text = format!(r#"{{"seconds":1.5,"sources":[{sources}]}}"#);
        let counted = MarketCounts { seconds: 1.5, orders: 2, quotes: 7, refused: 1 };
        assert_eq!(MarketCounts::parse(&text).unwrap(), counted);
        assert!(MarketCounts::parse("{}").is_err());
        let text = r#"{"per_core":[{"gaps":{"count":9,"recent":[[1,2,3]]}}]}"#;
        assert_eq!(gaps(text).unwrap(), [LoopGap { start_ns: 1, end_ns: 2, switches: 3 }]);
        assert!(gaps("{}").is_err());
    }
}

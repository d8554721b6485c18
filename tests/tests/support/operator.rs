//! What an operator asks of a running application, by the tool.

use std::net::SocketAddr;
use std::process::Command;

use serde_json::Value;

use super::tool;

/// Has the application at `admin` take a checkpoint; returns its epoch.
pub fn checkpoint(admin: SocketAddr) -> u64 {
    let answer = ask(admin, &["now"]).unwrap_or_else(|error| panic!("{error}"));
    answer["epoch"].as_u64().expect("a number")
}

/// What the tool answers, or says on standard error.
pub fn ask(admin: SocketAddr, words: &[&str]) -> Result<Value, String> {
    let mut command = Command::new(tool());
    command.arg("checkpoint").args(words).args(["--admin", &admin.to_string()]);
    let output = command.output().expect("the tool can be run");
    match output.status.success() {
        true => Ok(serde_json::from_slice(&output.stdout).expect("it is JSON")),
        false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
    }
}

/// Has the application at `admin` go back to the checkpoint of `epoch`.
pub fn restore(admin: SocketAddr, epoch: u64) -> Result<Value, String> {
    ask(admin, &["restore", &epoch.to_string()])
}

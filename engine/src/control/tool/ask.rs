//! `potoroo checkpoint now`, `potoroo checkpoint restore` and `potoroo state get`: requests to an
//! application that runs.

use std::net::SocketAddr;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::answer::{Error, ToolExit, answer};
use super::http::{Method, request};
use crate::checkpoint::Epoch;

/// Has the application at `admin` take a checkpoint.
pub fn checkpoint(admin: SocketAddr) -> Result<ToolExit, Error> {
    show(admin, Method::Post, &["checkpoint"])
}

/// Has the application at `admin` go back to the checkpoint of `epoch`.
pub fn restore(admin: SocketAddr, epoch: Epoch) -> Result<ToolExit, Error> {
    show(admin, Method::Post, &["restore", &epoch.to_string()])
}

/// Shows the row of `key` in `table` of the application at `admin`.
pub fn row(admin: SocketAddr, table: &str, key: &str) -> Result<ToolExit, Error> {
    show(admin, Method::Get, &["state", table, key])
}

/// Prints the response to a request for the path with these parts.
fn show(admin: SocketAddr, method: Method, parts: &[&str]) -> Result<ToolExit, Error> {
    let encoded = |part: &&str| format!("/{}", utf8_percent_encode(part, NON_ALPHANUMERIC));
    let path: String = parts.iter().map(encoded).collect();
    let response = request(admin, method, &path);
    let response = response.map_err(|source| Error::Silent { admin, source })?;
    let text = response.body.trim_end();
    match response.status {
        200 => answer(text, ToolExit::Whole),
        _ => Err(Error::Says { admin, reason: text.to_owned() }),
    }
}

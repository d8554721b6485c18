//! `potoroo checkpoint now` and `potoroo state get`: asks an application that runs.

use std::net::SocketAddr;

use ureq::Body;
use ureq::http::{Response, StatusCode, Uri};

use super::{Error, Exit, answer};
use crate::control::admin::MARK;

/// Longest answer: a row.
const ANSWER_BYTES_MAX: u64 = 64 << 20;

/// Has the application at `admin` take a checkpoint.
pub fn checkpoint(admin: SocketAddr) -> Result<Exit, Error> {
    hear(admin, agent().post(address(admin, &["checkpoint"])).header(MARK, "1").send_empty())
}

/// Shows the row of `key` in `table` of the application at `admin`.
pub fn row(admin: SocketAddr, table: &str, key: &str) -> Result<Exit, Error> {
    hear(admin, agent().get(address(admin, &["state", table, key])).header(MARK, "1").call())
}

fn agent() -> ureq::Agent {
    ureq::Agent::config_builder().http_status_as_error(false).proxy(None).build().into()
}

fn address(admin: SocketAddr, path: &[&str]) -> Uri {
    let mut text = format!("http://{admin}");
    for part in path {
        let encoded =
            percent_encoding::utf8_percent_encode(part, percent_encoding::NON_ALPHANUMERIC);
        text.push_str(&format!("/{encoded}"));
    }
    text.parse().expect("an address and encoded parts are a URL")
}

fn hear(admin: SocketAddr, response: Result<Response<Body>, ureq::Error>) -> Result<Exit, Error> {
    let silent = |source| Error::Silent { admin, source: Box::new(source) };
    let mut response = response.map_err(silent)?;
    let body = response.body_mut().with_config().limit(ANSWER_BYTES_MAX);
    let text = body.read_to_string().map_err(silent)?;
    let text = text.trim_end();
    match response.status() {
        StatusCode::OK => answer(text, Exit::Whole),
        _ => Err(Error::Says { admin, reason: text.to_owned() }),
    }
}

//! The admin port: what the application is doing, over HTTP, from a thread of its own.
//!
//! Owns one thread and one listening socket outside the hot cores. It reads, through what the
//! caller gives, and has a checkpoint taken or restored when that is requested; nothing else that a
//! client sends changes anything, and no web page is answered. Listening on loopback alone is kept
//! by [`Config::complete`](super::config::Config::complete).
//!
//! ```text
//! GET  /status            JSON, the schema stands at Status::json
//! GET  /metrics           Prometheus text
//! GET  /cluster           JSON: all nodes, as the lead knew them a moment ago; see ClusterView
//! POST /checkpoint        takes one now: {"epoch":17} when it is committed
//! POST /restore/EPOCH     goes back to a retained one, and says what comes again
//! GET  /state/TABLE/KEY   takes one now, and shows what it has for the key
//! ```
//!
//! The last three need the header [`MARK`].

// In reading order; the blank lines keep it.
mod guard;

mod operator;

pub(super) mod metrics;

mod server;

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use axum::{Router, middleware};
use tokio::runtime::{self, Runtime};
use tokio::sync::oneshot;

use super::report::Status;

/// Shows what the application is doing at the moment of the call. It is called on the admin
/// thread, once per request.
pub type ReadStatus = Arc<dyn Fn() -> Status + Send + Sync>;

pub use guard::MARK;
pub use operator::Operator;
pub use server::CONNECTIONS_MAX;

/// Why the admin port cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address is in use or not allowed.
    #[error("cannot open the admin port {address}: {cause}: {}", remedy(cause))]
    Bind {
        /// The address.
        address: SocketAddr,
        /// What the system says.
        cause: io::Error,
    },
    /// The system gave no thread or no event loop for it.
    #[error(
        "cannot start the thread of the admin port: {cause}: raise the limits on threads \
         (`ulimit -u`) and descriptors (`ulimit -n`), or leave out `--admin`"
    )]
    Thread {
        /// What the system says.
        cause: io::Error,
    },
}

fn remedy(cause: &io::Error) -> String {
    crate::connect::remedy::listen(cause, "give another one with `--admin`, such as 127.0.0.1:9090")
}

/// An open admin port. Dropping it closes the port and ends its thread, requests in flight
/// included.
#[derive(Debug)]
pub struct AdminHandle {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
    /// Looks into checkpoints, and ends after `thread`. It holds their place, which must be free
    /// when this is gone.
    inspector: Option<JoinHandle<()>>,
}

impl AdminHandle {
    /// Where it listens: the port is the real one if port 0 was asked for.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for AdminHandle {
    fn drop(&mut self) {
        // Dropping the sender is the signal.
        drop(self.stop.take());
        for thread in [self.thread.take(), self.inspector.take()].into_iter().flatten() {
            // A panic of that thread was printed already; a drop must not add another one.
            let _ = thread.join();
        }
    }
}

/// Opens the admin port at `address`.
///
/// Call it on a thread that is not pinned: the admin thread inherits the CPUs of its parent.
///
/// # Errors
/// The port cannot be opened, or the thread cannot be started.
pub fn serve(
    address: SocketAddr,
    watch: ReadStatus,
    operator: Option<Operator>,
) -> Result<AdminHandle, Error> {
    let (listener, bound) = bind(address).map_err(|cause| Error::Bind { address, cause })?;
    let failed = |cause| Error::Thread { cause };
    let runtime = runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
    let (stop, stopped) = oneshot::channel();
    let listener = {
        let _entered = runtime.enter();
        tokio::net::TcpListener::from_std(listener).map_err(failed)?
    };
    let opened = operator.map(operator::OperatorService::open).transpose().map_err(failed)?;
    let (service, inspector) = opened.unzip();
    let router = router(watch).merge(operator::router(service)).fallback(unknown);
    let router = router.layer(middleware::from_fn(guard::local));
    let run = move || serve_until(&runtime, listener, router, stopped);
    let mut handle = AdminHandle { address: bound, stop: Some(stop), thread: None, inspector };
    let thread = thread::Builder::new().name("potoroo-admin".to_string()).spawn(run);
    handle.thread = Some(thread.map_err(failed)?);
    Ok(handle)
}

fn bind(address: SocketAddr) -> io::Result<(TcpListener, SocketAddr)> {
    let listener = TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    let bound = listener.local_addr()?;
    Ok((listener, bound))
}

fn serve_until(
    runtime: &Runtime,
    listener: tokio::net::TcpListener,
    router: Router,
    stopped: oneshot::Receiver<()>,
) {
    // The task ends with the runtime: a client that keeps its connection open cannot delay a stop.
    runtime.spawn(server::serve(listener, router));
    // An error only means that the sender was dropped, which is the signal.
    let _ = runtime.block_on(stopped);
}

fn router(watch: ReadStatus) -> Router {
    let router = Router::new().route("/status", get(status)).route("/metrics", get(metrics));
    router.route("/cluster", get(cluster)).with_state(watch)
}

async fn status(State(watch): State<ReadStatus>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json")], watch().json())
}

async fn metrics(State(watch): State<ReadStatus>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], metrics::print(&watch()))
}

async fn cluster(State(watch): State<ReadStatus>) -> impl IntoResponse {
    let json = [(header::CONTENT_TYPE, "application/json")];
    match watch().cluster {
        Some(view) => (
            StatusCode::OK,
            json,
            serde_json::to_string(&view).expect("names and numbers are JSON"),
        ),
        None => {
            let none =
                r#"{"error":"no cluster is known here: the process has none, or no lead yet"}"#;
            (StatusCode::NOT_FOUND, json, none.to_owned())
        }
    }
}

async fn unknown() -> impl IntoResponse {
    let there = "There is GET /status and GET /cluster (JSON), GET /metrics (Prometheus text), \
                 POST /checkpoint, POST /restore/EPOCH and GET /state/TABLE/KEY; the last three \
                 with the header `X-Potoroo: 1`.\n";
    (StatusCode::NOT_FOUND, there)
}

#[cfg(test)]
mod tests;

//! The admin port: what the application is doing, over HTTP, from a thread of its own.
//!
//! Owns one thread and one listening socket outside the hot cores. It reads, through what the
//! caller gives, and has a checkpoint taken when it is asked to; nothing else that a client sends
//! changes anything. Listening on loopback alone is kept by
//! [`Config::complete`](super::config::Config::complete).
//!
//! ```text
//! GET  /status            JSON, the schema stands at Status::json
//! GET  /metrics           Prometheus text
//! POST /checkpoint        takes one now: {"epoch":17} when it is committed
//! GET  /state/TABLE/KEY   takes one now, and tells what it has for the key
//! ```

mod metrics;
mod operator;

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use tokio::runtime::{self, Runtime};
use tokio::sync::oneshot;

use super::report::Status;

/// Tells what the application is doing at the moment of the call. It is called on the admin
/// thread, once per request.
pub type Watch = Arc<dyn Fn() -> Status + Send + Sync>;

pub use operator::Operator;

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

fn remedy(cause: &io::Error) -> &'static str {
    match cause.kind() {
        io::ErrorKind::AddrInUse => {
            "another process has that port, stop it or take another one with `--admin`"
        }
        io::ErrorKind::PermissionDenied => "ports below 1024 need a privilege, take a higher one",
        _ => "take an address of this machine with `--admin`, such as 127.0.0.1:9090",
    }
}

/// An open admin port. Dropping it closes the port and ends its thread, requests in flight
/// included.
#[derive(Debug)]
pub struct AdminHandle {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
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
        if let Some(thread) = self.thread.take() {
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
    watch: Watch,
    operator: Option<Operator>,
) -> Result<AdminHandle, Error> {
    let (listener, bound) = bind(address).map_err(|cause| Error::Bind { address, cause })?;
    let failed = |cause| Error::Thread { cause };
    let runtime = runtime::Builder::new_current_thread().enable_io().build().map_err(failed)?;
    let (stop, stopped) = oneshot::channel();
    let listener = {
        let _entered = runtime.enter();
        tokio::net::TcpListener::from_std(listener).map_err(failed)?
    };
    let router = router(watch).merge(operator::router(operator)).fallback(unknown);
    let run = move || serve_until(&runtime, listener, router, stopped);
    let thread = thread::Builder::new().name("potoroo-admin".to_string()).spawn(run);
    let thread = Some(thread.map_err(failed)?);
    Ok(AdminHandle { address: bound, stop: Some(stop), thread })
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
    let server = axum::serve(listener, router);
    // The task ends with the runtime: a client that keeps its connection open cannot delay a stop.
    runtime.spawn(async move {
        if let Err(cause) = server.await {
            tracing::error!("the admin port failed: {cause}");
        }
    });
    // An error only means that the sender was dropped, which is the signal.
    let _ = runtime.block_on(stopped);
}

fn router(watch: Watch) -> Router {
    Router::new().route("/status", get(status)).route("/metrics", get(metrics)).with_state(watch)
}

async fn status(State(watch): State<Watch>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json")], watch().json())
}

async fn metrics(State(watch): State<Watch>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], metrics::print(&watch()))
}

async fn unknown() -> impl IntoResponse {
    let there = "There is GET /status (JSON), GET /metrics (Prometheus text), POST /checkpoint and \
                 GET /state/TABLE/KEY.\n";
    (StatusCode::NOT_FOUND, there)
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpStream;

    use super::super::report::{example, example_core};
    use super::*;

    fn open() -> AdminHandle {
        let core = example_core();
        let watch = move || Status { snapshot: example(), cores: vec![core.clone()] };
        serve(SocketAddr::from(([127, 0, 0, 1], 0)), Arc::new(watch), None).expect("a free port")
    }

    fn get(admin: &AdminHandle, path: &str) -> (String, String) {
        let mut stream = TcpStream::connect(admin.address()).expect("a connection");
        let request = format!("GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).expect("a request");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        let (head, body) = answer.split_once("\r\n\r\n").expect("head and body");
        (head.to_string(), body.to_string())
    }

    #[test]
    fn status_is_json() {
        let (head, body) = get(&open(), "/status");
        assert!(head.starts_with("HTTP/1.1 200") && head.contains("application/json"), "{head}");
        let value: serde_json::Value = serde_json::from_str(&body).expect("valid JSON");
        assert_eq!(value["application"], "market-spread");
        assert_eq!(value["per_core"][0]["turns"], 10);
    }

    #[test]
    fn metrics_are_prometheus_text() {
        let (head, body) = get(&open(), "/metrics");
        assert!(head.starts_with("HTTP/1.1 200") && head.contains("openmetrics"), "{head}");
        assert!(body.contains("potoroo_source_events_total{source=\"orders\"} 1000000"), "{body}");
    }

    #[test]
    fn other_paths_list_the_known_ones() {
        let (head, body) = get(&open(), "/");
        assert!(head.starts_with("HTTP/1.1 404"), "{head}");
        assert!(body.contains("/status") && body.contains("/metrics"), "{body}");
    }

    #[test]
    fn a_port_in_use_is_named() {
        let admin = open();
        let watch: Watch = Arc::new(|| unreachable!("nobody asks"));
        let text = serve(admin.address(), watch, None).expect_err("in use").to_string();
        assert!(text.contains(&admin.address().to_string()), "{text}");
        assert!(text.contains("another process has that port"), "{text}");
    }

    #[test]
    fn dropping_closes_the_port_even_with_a_client() {
        let admin = open();
        let address = admin.address();
        let mut idle = TcpStream::connect(address).expect("a connection");
        drop(admin);
        // The server's end is gone: end of stream or reset, depending on what was accepted.
        assert!(matches!(idle.read(&mut [0]), Ok(0) | Err(_)));
        assert!(TcpStream::connect(address).is_err());
    }
}

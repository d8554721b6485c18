//! Serves HTTP on the admin port's thread, within limits on everything that a client decides.
//!
//! Promises: a client that sends half a request, or does not read its answer, is closed after a
//! bounded time; others wait in the kernel when all places are taken; a failing `accept` is tried
//! again.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::Router;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Sleep, sleep};

use crate::connect::lines::LineLimiter;

/// Connections that are served at once.
pub const CONNECTIONS_MAX: usize = 32;

/// How long a client may take to send its request, from the beginning of its connection.
const REQUEST_MAX: Duration = Duration::from_secs(5);

/// How long a client may take to read its answer, from when the kernel takes no more of it.
const ANSWER_MAX: Duration = Duration::from_secs(30);

/// Bytes of a request: its line and headers.
const REQUEST_BYTES_MAX: usize = 16 * 1024;

/// Pause after a failed `accept`.
const PAUSE: Duration = Duration::from_millis(50);

/// Accepts and serves connections for ever.
pub(super) async fn serve(listener: TcpListener, router: Router) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let lines = LineLimiter::once_in(Duration::from_secs(10));
    loop {
        let place = places.clone().acquire_owned().await.expect("it is never closed");
        match listener.accept().await {
            Ok((stream, _)) => drop(tokio::spawn(answer(stream, router.clone(), place))),
            Err(error) => {
                if let Some(left_out) = lines.admit() {
                    tracing::error!(
                        "the admin port cannot accept: {error}; it is tried again: raise the limit \
                         of open files (`ulimit -n`, LimitNOFILE=) if it is reached{left_out}"
                    );
                }
                sleep(PAUSE).await;
            }
        }
    }
}

/// Answers one request.
async fn answer(stream: TcpStream, router: Router, _place: OwnedSemaphorePermit) {
    let io = Bounded { inner: TokioIo::new(stream), late: None };
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(REQUEST_MAX)
        .max_buf_size(REQUEST_BYTES_MAX)
        // The next request begins with a place of its own.
        .keep_alive(false)
        .serve_connection(io, TowerToHyperService::new(router));
    // The client breaks the protocol, is late, or has gone: that is its own affair.
    let _ = served.await;
}

/// A connection whose answer has to be taken in time.
struct Bounded {
    inner: TokioIo<TcpStream>,
    /// Runs from the first time that the kernel took no more.
    late: Option<Pin<Box<Sleep>>>,
}

impl Bounded {
    fn in_time<T>(
        &mut self,
        context: &mut Context<'_>,
        written: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if written.is_pending() {
            let late = self.late.get_or_insert_with(|| Box::pin(sleep(ANSWER_MAX)));
            ready!(late.as_mut().poll(context));
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        written
    }
}

impl Read for Bounded {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(context, buffer)
    }
}

impl Write for Bounded {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.inner).poll_write(context, bytes);
        self.in_time(context, written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.inner).poll_flush(context);
        self.in_time(context, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let ended = Pin::new(&mut self.inner).poll_shutdown(context);
        self.in_time(context, ended)
    }
}

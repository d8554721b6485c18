//! The connections of a port whose peers are not known yet.
//!
//! Promises: at most [`WAITING_MAX`] of them; when another one comes, the oldest one of the address
//! that has most is closed. So strangers at some addresses close no handshake of a node at another
//! one. Strangers at as many addresses as that, or at that of a node, can: the node tries again.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Shutdown, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::Builder;

use crate::connect::lines::LineLimiter;

/// Connections of one port whose peers are not known yet, at most.
pub const WAITING_MAX: usize = 64;

/// The connections of a port whose peers are not known yet.
#[derive(Default)]
pub struct Knocking {
    /// By number, so the oldest comes first.
    open: Mutex<BTreeMap<u64, (IpAddr, TcpStream)>>,
    next: AtomicU64,
    one_less: Condvar,
}

/// A connection waits while this is there.
pub struct Knock {
    number: u64,
    all: Arc<Knocking>,
}

impl Knocking {
    /// Serves a connection on a thread of its own, with what is to be dropped when its peer is
    /// known: before that it may be closed at any time.
    pub fn serve(
        self: &Arc<Self>,
        thread: &str,
        stream: TcpStream,
        serve: impl FnOnce(TcpStream, Knock) + Send + 'static,
    ) {
        let Ok(one) = self.add(&stream) else { return };
        // Without a thread it is closed.
        let _ = Builder::new().name(thread.to_owned()).spawn(move || serve(stream, one));
    }

    /// Waits until there is room, for which one is closed.
    fn add(self: &Arc<Self>, stream: &TcpStream) -> io::Result<Knock> {
        let (address, stream) = (stream.peer_addr()?.ip(), stream.try_clone()?);
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        while open.len() >= WAITING_MAX {
            if let Some((address, one)) = superfluous(&open) {
                let _ = one.shutdown(Shutdown::Both);
                warn(*address);
            }
            open = self.one_less.wait(open).unwrap_or_else(PoisonError::into_inner);
        }
        open.insert(number, (address, stream));
        Ok(Knock { number, all: self.clone() })
    }
}

impl Drop for Knock {
    fn drop(&mut self) {
        self.all.open.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.number);
        self.all.one_less.notify_one();
    }
}

/// The oldest one of the address that has most.
fn superfluous(open: &BTreeMap<u64, (IpAddr, TcpStream)>) -> Option<&(IpAddr, TcpStream)> {
    let count = |address: IpAddr| open.values().filter(|one| one.0 == address).count();
    let most = open.values().map(|one| count(one.0)).max()?;
    open.values().find(|one| count(one.0) == most)
}

fn warn(address: IpAddr) {
    static LINES: LineLimiter = LineLimiter::new();
    if let Some(left_out) = LINES.admit() {
        tracing::warn!(
            "{WAITING_MAX} connections say not who they are: the oldest one of {address} is \
             closed{left_out}"
        );
    }
}

//! The nodes that the lead is connected with.
//!
//! Owns a thread for the port and one for each node. Promises: a node that does not fit is refused
//! by name, before it takes part in anything; what a node says after that comes in its order; a
//! connection that breaks is reported once. Must never do: decide what follows.

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, Builder};
use std::time::{Duration, Instant};

use super::greeting::{Knocking, PATIENCE, Within, wake};
use super::wire::{
    ClusterFacts, NodeHello, PROTOCOL, ToLead, ToNode, read_message, read_up_to, write_message,
};

/// A node that has joined.
#[derive(Debug)]
pub struct RemoteNode {
    /// What it said of itself.
    pub hello: NodeHello,
    stream: Mutex<TcpStream>,
    lost: AtomicBool,
}

impl RemoteNode {
    /// Tells the node. One that takes nothing is lost, which its reader reports.
    pub fn send(&self, message: &ToNode) {
        let mut stream = self.stream.lock().unwrap_or_else(PoisonError::into_inner);
        if write_message(&mut *stream, message).is_err() {
            self.close(&stream);
        }
    }

    /// Whether the connection has broken.
    pub fn is_lost(&self) -> bool {
        self.lost.load(Ordering::Relaxed)
    }

    /// Ends the connection: the node learns that it takes no part any more.
    pub fn end(&self) {
        self.close(&self.stream.lock().unwrap_or_else(PoisonError::into_inner));
    }

    fn close(&self, stream: &TcpStream) {
        self.lost.store(true, Ordering::Relaxed);
        // Its reader ends.
        let _ = stream.shutdown(std::net::Shutdown::Both);
    }
}

/// What nodes tell.
#[derive(Debug)]
pub enum NodeNews {
    /// A node that fits has come.
    Joined(Arc<RemoteNode>),
    /// A node said this.
    Said(Arc<RemoteNode>, ToLead),
    /// A node's connection has broken: why.
    Lost(Arc<RemoteNode>, String),
}

/// The port on which the lead takes nodes.
pub struct NodeListener {
    address: SocketAddr,
    news: Receiver<NodeNews>,
    ended: Arc<AtomicBool>,
}

impl NodeListener {
    /// Listens at `address` for nodes with these `facts` that know the `secret`. What `direct`
    /// takes is not in the news.
    ///
    /// # Errors
    /// It cannot.
    pub fn open(
        address: SocketAddr,
        (facts, secret): (ClusterFacts, String),
        direct: impl Fn(&ToLead) -> bool + Send + Sync + 'static,
    ) -> io::Result<Self> {
        let listener = TcpListener::bind(address)?;
        let address = listener.local_addr()?;
        let (news_in, news) = channel();
        let ended = Arc::new(AtomicBool::new(false));
        let door =
            Door { facts, secret, direct: Arc::new(direct), news: news_in, ended: ended.clone() };
        Builder::new().name("potoroo-nodes".to_owned()).spawn(move || door.open(&listener))?;
        Ok(Self { address, news, ended })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What nodes tell, in the order in which it came.
    pub fn news(&self) -> &Receiver<NodeNews> {
        &self.news
    }
}

impl Drop for NodeListener {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        wake(self.address);
    }
}

struct Door {
    facts: ClusterFacts,
    secret: String,
    direct: Arc<dyn Fn(&ToLead) -> bool + Send + Sync>,
    news: Sender<NodeNews>,
    ended: Arc<AtomicBool>,
}

impl Door {
    fn open(self, listener: &TcpListener) {
        let (door, waiting) = (Arc::new(self), Arc::new(Knocking::default()));
        while !door.ended.load(Ordering::Relaxed) {
            let Ok((stream, _)) = listener.accept() else {
                // No descriptor is free: some will be.
                thread::sleep(Duration::from_millis(10));
                continue;
            };
            let of_thread = door.clone();
            waiting.serve("potoroo-node", stream, move |stream, one| {
                let greeted = of_thread.greet(stream);
                drop(one);
                // A stranger that says nothing of use gets no answer.
                if let Ok(Some(node)) = greeted {
                    of_thread.listen(&node);
                }
            });
        }
    }

    /// Takes the first message. Returns nothing for a node that does not fit.
    fn greet(&self, mut stream: TcpStream) -> io::Result<Option<Arc<RemoteNode>>> {
        stream.set_nodelay(true)?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let mut from = Within { stream: &stream, until: Instant::now() + PATIENCE };
        let ToLead::Hello(hello) = read_up_to(&mut from, HELLO_BYTES_MAX)? else { return Ok(None) };
        if !is_same(&self.secret, &hello.secret) {
            return Ok(None);
        }
        if let Some(reason) = misfit(&self.facts, &hello) {
            tracing::warn!("node `{}` is refused: {reason}", hello.node);
            write_message(&mut stream, &ToNode::Refused(reason))?;
            return Ok(None);
        }
        stream.set_read_timeout(None)?;
        let (stream, lost) = (Mutex::new(stream), AtomicBool::new(false));
        Ok(Some(Arc::new(RemoteNode { hello, stream, lost })))
    }

    fn listen(&self, node: &Arc<RemoteNode>) {
        // The lead may have ended, which reads the news.
        let tell = |news| drop(self.news.send(news));
        let mut reader = node.stream.lock().unwrap_or_else(PoisonError::into_inner).try_clone();
        tell(NodeNews::Joined(node.clone()));
        let mut next = || match &mut reader {
            Ok(reader) => read_message(reader),
            Err(error) => Err(io::Error::new(error.kind(), error.to_string())),
        };
        let why = loop {
            match next() {
                Ok(message) if (self.direct)(&message) => {}
                Ok(message) => tell(NodeNews::Said(node.clone(), message)),
                Err(error) => break error.to_string(),
            }
        };
        node.end();
        tell(NodeNews::Lost(node.clone(), why));
    }
}

/// Bytes of the first message at most: it is read before it is known from whom it is.
const HELLO_BYTES_MAX: usize = 64 * 1024;

/// Compares in a time that says nothing of where they differ.
fn is_same(own: &str, shown: &str) -> bool {
    let bytes = own.bytes().zip(shown.bytes());
    own.len() == shown.len() && bytes.fold(0, |differ, (own, shown)| differ | (own ^ shown)) == 0
}

/// Why a node may not take part: thing, cause and remedy.
fn misfit(own: &ClusterFacts, hello: &NodeHello) -> Option<String> {
    let theirs = &hello.facts;
    let differs = |what: &str, own: &dyn std::fmt::Display, its: &dyn std::fmt::Display| {
        format!("{what} {its} differs from that of the nodes that run ({own})")
    };
    if hello.protocol != PROTOCOL {
        let text = differs("its protocol", &PROTOCOL, &hello.protocol);
        return Some(format!("{text}: start all nodes with the same version"));
    }
    let same = "give all nodes the same program and the same settings";
    let compared = [
        (own.application != theirs.application)
            .then(|| differs("its application", &own.application, &theirs.application)),
        (own.fingerprint != theirs.fingerprint).then(|| {
            "its program is another one (tables, sources, sinks or what is between them differ)"
                .to_owned()
        }),
        (own.partitions != theirs.partitions)
            .then(|| differs("its --partitions", &own.partitions, &theirs.partitions)),
        (own.lane_bytes != theirs.lane_bytes)
            .then(|| differs("its --lane-bytes", &own.lane_bytes, &theirs.lane_bytes)),
        (own.edges != theirs.edges)
            .then(|| "the addresses of its sources or sinks are others".to_owned()),
        (own.state != theirs.state).then(|| differs("its --state", &own.state, &theirs.state)),
    ];
    compared.into_iter().flatten().next().map(|what| format!("{what}: {same}"))
}

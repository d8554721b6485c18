//! The nodes that the lead is connected with.
//!
//! Owns a thread for the port and one for each node. Promises: a node that does not fit is refused
//! by name, before it takes part in anything; what a node says after that comes in its order; a
//! connection that breaks is reported once. Must never do: decide what follows.

use std::fmt::Display;
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, Builder};
use std::time::Duration;

use super::channel::{Channel, ChannelReader, MessageSender, Outgoing};
use super::encryption::{Accepted, Encryption, NOT_ENCRYPTED};
use super::greeting::{break_when_cut_off, wake};
use super::knocking::{Knock, Knocking};
use super::lease::boottime;
use super::wire::{
    AnyFirst, AnyHello, ClusterFacts, NodeHello, PROTOCOL, ToLead, ToNode, parse_message,
    read_message, read_text, write_message,
};

/// A node that has joined.
#[derive(Debug)]
pub struct RemoteNode {
    /// What it said of itself.
    pub hello: NodeHello,
    /// When it came, in [`boottime`].
    pub came: Duration,
    sender: Box<dyn Outgoing<ToNode>>,
    lost: AtomicBool,
}

impl RemoteNode {
    /// One that has just said `hello`, and gets messages by `sender`.
    pub fn new(hello: NodeHello, sender: Box<dyn Outgoing<ToNode>>) -> Self {
        Self { hello, came: boottime(), sender, lost: AtomicBool::new(false) }
    }

    /// Tells the node. One that takes nothing is lost, which its reader reports.
    pub fn send(&self, message: &ToNode) {
        if self.sender.send(message).is_err() {
            self.lost.store(true, Ordering::Relaxed);
        }
    }

    /// Whether the connection has broken.
    pub fn is_lost(&self) -> bool {
        self.lost.load(Ordering::Relaxed)
    }

    /// Ends the connection, without waiting for a message that is under way: the node learns that
    /// it takes no part any more.
    pub fn end(&self) {
        self.lost.store(true, Ordering::Relaxed);
        self.sender.end();
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
    end: Box<dyn Fn() + Send>,
}

/// Takes a message that is not to be in the news; returns whether it has.
pub type Direct = Arc<dyn Fn(&ToLead) -> bool + Send + Sync>;

impl NodeListener {
    /// Listens at `address` for nodes with these `facts` that know the `secret`. One that is cut
    /// off for `silence` is lost. What `direct` takes is not in the news.
    ///
    /// # Errors
    /// It cannot.
    pub fn open(
        address: SocketAddr,
        (facts, secret): (ClusterFacts, String),
        encryption: Encryption,
        silence: Duration,
        direct: Direct,
    ) -> io::Result<Self> {
        let listener = TcpListener::bind(address)?;
        let address = listener.local_addr()?;
        let (news_in, news) = channel();
        let ended = Arc::new(AtomicBool::new(false));
        let door = Door {
            facts,
            secret,
            encryption,
            silence,
            direct,
            news: news_in,
            ended: ended.clone(),
        };
        Builder::new().name("potoroo-nodes".to_owned()).spawn(move || door.open(&listener))?;
        let end = Box::new(move || {
            ended.store(true, Ordering::Relaxed);
            wake(address);
        });
        Ok(Self::new(address, news, end))
    }

    /// What listens at `address`, whose `news` come here until its `end`.
    pub fn new(address: SocketAddr, news: Receiver<NodeNews>, end: Box<dyn Fn() + Send>) -> Self {
        Self { address, news, end }
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
        (self.end)();
    }
}

struct Door {
    facts: ClusterFacts,
    secret: String,
    encryption: Encryption,
    silence: Duration,
    direct: Direct,
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
            waiting.serve("potoroo-node", stream, move |stream, knock| {
                let greeted = of_thread.greet(stream, knock);
                // A stranger that says nothing of use gets no answer.
                if let Ok(Some((node, reader))) = greeted {
                    of_thread.listen(&node, reader);
                }
            });
        }
    }

    /// Takes the first message. Returns nothing for a node that does not fit.
    fn greet(
        &self,
        stream: TcpStream,
        knock: Knock,
    ) -> io::Result<Option<(Arc<RemoteNode>, ChannelReader)>> {
        let (mut channel, alike) = match self.encryption.accept(stream)? {
            Accepted::Alike(channel) => (channel, Ok(())),
            Accepted::InTheClear(channel) => (channel, Err(NOT_ENCRYPTED.to_owned())),
        };
        let first = read_text(&mut channel, HELLO_BYTES_MAX)?;
        let AnyFirst::Hello(any) = parse_message(&first)?;
        if !is_same(&self.secret, &any.secret) {
            return Ok(None);
        }
        // What knows the secret is not closed for another one.
        drop(knock);
        let fits = alike.and_then(|()| self.fits(&channel, &any, &first));
        match fits {
            Ok(hello) => {
                break_when_cut_off(channel.tcp(), self.silence)?;
                let (reader, writer) = channel.split()?;
                let node = RemoteNode::new(hello, Box::new(MessageSender::new(writer)));
                Ok(Some((Arc::new(node), reader)))
            }
            Err(reason) => {
                tracing::warn!("node `{}` is refused: {reason}", any.node);
                write_message(&mut channel, &ToNode::Refused(reason))?;
                Ok(None)
            }
        }
    }

    /// What a node says of itself, if it may take part.
    ///
    /// # Errors
    /// Why not, for the node.
    fn fits(&self, channel: &Channel, any: &AnyHello, first: &[u8]) -> Result<NodeHello, String> {
        let same = "start all nodes with the same version";
        if any.protocol != PROTOCOL {
            return Err(format!("{}: {same}", differs("its protocol", &PROTOCOL, &any.protocol)));
        }
        channel.check_peer(&any.node)?;
        match parse_message(first) {
            Ok(ToLead::Hello(hello)) => match misfit(&self.facts, &hello) {
                None => Ok(hello),
                Some(reason) => Err(reason),
            },
            Ok(_) => Err(format!("its first message says nothing of itself: {same}")),
            Err(error) => Err(format!("its first message cannot be read ({error}): {same}")),
        }
    }

    fn listen(&self, node: &Arc<RemoteNode>, mut reader: ChannelReader) {
        // Which the lead reads. One that has ended does not, and neither does a node that could not
        // know whether it leads and opened its port once more: the node is to come again.
        let is_read = |news| self.news.send(news).is_ok();
        let mut reads = is_read(NodeNews::Joined(node.clone()));
        let mut why = String::new();
        while reads {
            match read_message(&mut reader) {
                Ok(message) if (self.direct)(&message) => {}
                Ok(message) => reads = is_read(NodeNews::Said(node.clone(), message)),
                Err(error) => (reads, why) = (false, error.to_string()),
            }
        }
        node.end();
        let _ = self.news.send(NodeNews::Lost(node.clone(), why));
    }
}

/// Bytes of the first message at most: it is read before it is known from whom it is.
const HELLO_BYTES_MAX: usize = 64 * 1024;

/// Compares in a time that says nothing of where they differ.
fn is_same(own: &str, shown: &str) -> bool {
    let bytes = own.bytes().zip(shown.bytes());
    own.len() == shown.len() && bytes.fold(0, |differ, (own, shown)| differ | (own ^ shown)) == 0
}

/// Cores of a node at most: as many as there are seats.
const CORES_MAX: usize = 65_534;

fn differs(what: &str, own: &dyn Display, its: &dyn Display) -> String {
    format!("{what} {its} differs from that of the nodes that run ({own})")
}

/// Why a node may not take part: thing, cause and remedy.
fn misfit(own: &ClusterFacts, hello: &NodeHello) -> Option<String> {
    let NodeHello { cores, state_cores, facts: theirs, .. } = hello;
    let in_order = state_cores.is_sorted_by(|left, right| left < right);
    let are_its = state_cores.last().is_some_and(|last| last < cores);
    if *cores > CORES_MAX || !in_order || !are_its {
        return Some(format!(
            "it cannot have {cores} cores of which {state_cores:?} own state: start it with a \
             released version"
        ));
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

#[cfg(test)]
mod tests {
    use std::io::Read;

    use serde_json::{Value, json};

    use super::*;

    const SECRET: &str = "7";

    fn listener() -> NodeListener {
        let facts = ClusterFacts {
            application: "counts".to_owned(),
            fingerprint: 1,
            partitions: 16,
            lane_bytes: 4096,
            state: "/state".to_owned(),
            edges: 2,
        };
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let shown = (facts, SECRET.to_owned());
        let silence = Duration::from_secs(5);
        let clear = Encryption::InTheClear;
        NodeListener::open(any, shown, clear, silence, Arc::new(|_: &ToLead| false))
            .expect("a port is free")
    }

    /// What a node sends that fits.
    fn hello(change: impl FnOnce(&mut Value)) -> Value {
        let facts = json!({
            "application": "counts", "fingerprint": 1, "partitions": 16, "lane_bytes": 4096,
            "state": "/state", "edges": 2,
        });
        let mut hello = json!({
            "protocol": PROTOCOL, "secret": SECRET, "node": "b", "process": "7", "cores": 2,
            "state_cores": [0, 1], "weight": 2, "links": "127.0.0.1:1", "facts": facts,
        });
        change(&mut hello);
        json!({ "Hello": hello })
    }

    /// Why a node that says `first` is refused.
    fn refused(listener: &NodeListener, first: &Value) -> String {
        let mut stream = TcpStream::connect(listener.address()).expect("it listens");
        write_message(&mut stream, first).expect("it is read");
        match read_message(&mut stream).expect("an answer") {
            ToNode::Refused(reason) => reason,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_node_that_fits_comes() {
        let listener = listener();
        let mut stream = TcpStream::connect(listener.address()).expect("it listens");
        write_message(&mut stream, &hello(|_| ())).expect("it is read");
        let news = listener.news().recv().expect("it lives");
        assert!(matches!(&news, NodeNews::Joined(node) if node.hello.node == "b"), "{news:?}");
    }

    /// Its length begins as a handshake of TLS does.
    #[test]
    fn a_greeting_of_any_length_is_no_handshake() {
        let listener = listener();
        let of = |process: usize| hello(|hello| hello["process"] = json!("7".repeat(process)));
        let wanted = 0x0316;
        let first = of(1 + wanted - of(1).to_string().len());
        assert_eq!(first.to_string().len(), wanted);
        let mut stream = TcpStream::connect(listener.address()).expect("it listens");
        write_message(&mut stream, &first).expect("it is read");
        // A handshake would be answered by an alert, and leave no news.
        stream.shutdown(std::net::Shutdown::Write).expect("it is connected");
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        assert_eq!(answer, b"");
        let news = listener.news().recv().expect("it lives");
        assert!(matches!(news, NodeNews::Joined(_)), "{news:?}");
    }

    /// A node that opens its port, and then cannot know whether it leads, opens it once more: who
    /// came before would wait without end.
    #[test]
    fn a_node_whose_messages_are_not_read_any_more_is_to_come_again() {
        let listener = listener();
        let mut stream = TcpStream::connect(listener.address()).expect("it listens");
        write_message(&mut stream, &hello(|_| ())).expect("it is read");
        let news = listener.news().recv().expect("it lives");
        assert!(matches!(news, NodeNews::Joined(_)), "{news:?}");
        drop((listener, news));
        // It says something each second. The second write may find the connection closed.
        write_message(&mut stream, &ToLead::Leave).expect("it is open");
        stream.set_read_timeout(Some(Duration::from_secs(60))).expect("it is a socket");
        let ended = stream.read(&mut [0]);
        let is_reset = |error: &io::Error| error.kind() == io::ErrorKind::ConnectionReset;
        assert!(ended.as_ref().map_or_else(is_reset, |count| *count == 0), "{ended:?}");
    }

    #[test]
    fn a_node_of_another_version_learns_why_it_is_refused() {
        let listener = listener();
        let older = json!({"protocol": 1, "secret": SECRET, "node": "b", "owners": []});
        let reason = refused(&listener, &json!({ "Hello": older }));
        assert!(reason.contains("its protocol 1 differs"), "{reason}");
        let unknown = hello(|hello| hello["colour"] = json!("blue"));
        let reason = refused(&listener, &unknown);
        assert!(reason.contains("colour") && reason.contains("same version"), "{reason}");
    }

    #[test]
    fn a_node_with_impossible_cores_is_refused() {
        let listener = listener();
        let wrong = [json!([]), json!([2]), json!([1, 0]), json!([0, 0])];
        for state_cores in wrong {
            let first = hello(|hello| hello["state_cores"] = state_cores);
            assert!(refused(&listener, &first).contains("own state"), "{first}");
        }
        let first = hello(|hello| hello["cores"] = json!(1_000_000_000_000_u64));
        assert!(refused(&listener, &first).contains("own state"), "{first}");
    }

    #[test]
    fn a_stranger_gets_no_answer() {
        let listener = listener();
        let without = hello(|hello| hello["secret"] = json!("8"));
        let mut stream = TcpStream::connect(listener.address()).expect("it listens");
        write_message(&mut stream, &without).expect("it is read");
        assert!(read_message::<ToNode>(&mut stream).is_err());
    }
}

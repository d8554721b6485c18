//! A node's connection with the lead.
//!
//! Owns one thread, which reads. Promises: orders reach the cores on that thread, in the order in
//! which the lead gave them; all else is in the queue of the node. Must never do: decide.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::thread::Builder;
use std::time::Duration;

use super::channel::{MessageSender, Outgoing};
use super::encryption::Encryption;
use super::greeting::break_when_cut_off;
use super::wire::{CoreOrder, NodeHello, ToLead, ToNode, read_message};

/// The way to the lead. A clone is the same one.
#[derive(Clone, Debug)]
pub struct LeadSender(Arc<dyn Outgoing<ToLead>>);

impl LeadSender {
    /// By what `sender` sends.
    pub fn new(sender: Arc<dyn Outgoing<ToLead>>) -> Self {
        Self(sender)
    }

    /// Ends the connection: its reader ends, too.
    pub fn end(&self) {
        self.0.end();
    }

    /// Tells the lead. If it is gone, the reader reports that.
    pub fn send(&self, message: &ToLead) {
        let _ = self.0.send(message);
    }
}

/// The generation that a lead wants which is gone.
pub const NO_LEAD: u64 = u64::MAX;

/// Obeys orders of the lead.
pub type Obey = Arc<dyn Fn(CoreOrder) + Send + Sync>;

/// Greets the lead, which is this node at `address`; `obey` gets its orders, and `wanted` has the
/// generation that it wants, or [`NO_LEAD`]. Returns the way to it, and what else it says; that
/// ends when the connection breaks, also after its machine was cut off for `silence`.
///
/// # Errors
/// It does not listen there, or as of [`Encryption::dial`].
pub fn join(
    (lead, address, encryption): (&str, SocketAddr, &Encryption),
    hello: NodeHello,
    (obey, wanted): (Obey, Arc<AtomicU64>),
    silence: Duration,
) -> io::Result<(LeadSender, Receiver<ToNode>)> {
    let connection = encryption.dial(address, lead)?;
    break_when_cut_off(connection.tcp(), silence)?;
    let (mut reader, writer) = connection.split()?;
    let lead = MessageSender::new(writer);
    lead.send(&ToLead::Hello(hello))?;
    let (said_in, said) = channel();
    // Orders need no generation: the lead gives those of one after all nodes were ready for it, and
    // none of it after it has announced the next.
    let read = move || {
        while let Ok(message) = read_message::<ToNode>(&mut reader) {
            if let ToNode::Begin(new) = &message {
                wanted.store(new.head.generation, Ordering::Relaxed);
            }
            match message {
                ToNode::Order(order) => obey(order),
                message => drop(said_in.send(message)),
            }
        }
        wanted.store(NO_LEAD, Ordering::Relaxed);
    };
    Builder::new().name("potoroo-lead".to_owned()).spawn(read)?;
    Ok((LeadSender::new(Arc::new(lead)), said))
}

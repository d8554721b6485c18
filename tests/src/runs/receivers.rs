//! Programs that receive the output of sinks: each makes a transaction durable together with its
//! id, and says on connecting which one it has. Sometimes they vanish.
//!
//! Promises: a receiver does what it may do, so a refusal is wrong; it notices when it gets
//! something again. Must never do: keep what it did not make durable.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use potoroo::connect::potoroo::deliver::{Delivery, DeliveryEnd, Session};
use potoroo_connector::Frame;
use potoroo_sdk::random::Random;

use super::readers::Readers;
use crate::seeds::{Concern, random};

/// A program that receives the output of one sink.
#[derive(Debug, Default)]
pub struct Receiver {
    /// What is durable, and the id of the last transaction of it.
    pub(super) received: Vec<u8>,
    last: u128,
}

/// A connection to a receiver, both ends of it.
struct Link {
    session: Session,
    to_receiver: VecDeque<Vec<u8>>,
    to_engine: VecDeque<Vec<u8>>,
    /// The transaction that comes, with its length.
    coming: (u128, u64),
    bytes: Vec<u8>,
}

/// The connections of one run.
pub(super) struct Links {
    random: Random,
    deliveries: Vec<Arc<Delivery>>,
    open: BTreeMap<String, Link>,
}

impl Links {
    /// None is there, and `deliveries` bring what is committed.
    pub(super) fn new(seed: u64, deliveries: Vec<Arc<Delivery>>) -> Self {
        let random = random(!seed, Concern::Network);
        Self { random, deliveries, open: BTreeMap::new() }
    }

    /// The deliveries of sinks that have a receiver.
    pub(super) fn deliveries(&self) -> impl Iterator<Item = &Arc<Delivery>> {
        self.deliveries.iter()
    }

    /// One receiver takes a step; with a chance of `vanish` it vanishes.
    ///
    /// # Errors
    /// Something is done to a receiver that never may be.
    pub(super) fn step(
        &mut self,
        receivers: &mut BTreeMap<String, Receiver>,
        readers: &Readers,
        vanish: f64,
    ) -> Result<(), String> {
        let which = self.random.below(self.deliveries.len() as u64) as usize;
        let delivery = &self.deliveries[which];
        let sink = delivery.sink();
        let receiver = receivers.get_mut(sink).expect("only what is received is delivered");
        let Some(link) = self.open.get_mut(sink) else {
            return match Session::new(delivery.clone(), receiver.last) {
                Ok(session) => {
                    self.open.insert(sink.to_owned(), Link::new(session));
                    Ok(())
                }
                Err(over) => ended(sink, over),
            };
        };
        if self.random.chance(vanish) {
            // Whatever it got of a transaction that it had not made durable is void.
            self.open.remove(sink);
            return Ok(());
        }
        let done = match self.random.below(3) {
            0 => link.send(),
            1 => return link.receive(sink, receiver, readers),
            _ => link.handle(),
        };
        done.or_else(|over| {
            self.open.remove(sink);
            ended(sink, over)
        })
    }
}

impl Link {
    fn new(session: Session) -> Self {
        let (to_receiver, to_engine) = (VecDeque::new(), VecDeque::new());
        Self { session, to_receiver, to_engine, coming: (0, 0), bytes: Vec::new() }
    }

    /// The engine sends its next frames.
    fn send(&mut self) -> Result<(), DeliveryEnd> {
        let mut out = Vec::new();
        self.session.send(&mut out)?;
        self.to_receiver.extend((!out.is_empty()).then_some(out));
        Ok(())
    }

    /// The engine handles a frame of the receiver.
    fn handle(&mut self) -> Result<(), DeliveryEnd> {
        let Some(bytes) = self.to_engine.pop_front() else { return Ok(()) };
        self.session.handle(Frame::decode(&bytes[4..]).expect("it was a frame"))
    }

    /// The receiver reads frames of the engine.
    fn receive(
        &mut self,
        sink: &str,
        receiver: &mut Receiver,
        readers: &Readers,
    ) -> Result<(), String> {
        let Some(bytes) = self.to_receiver.pop_front() else { return Ok(()) };
        match Frame::decode(&bytes[4..]).map_err(|error| error.to_string())? {
            Frame::Begin { transaction, .. } if transaction <= receiver.last => {
                Err(format!("sink `{sink}`: transaction {transaction:x} comes again"))
            }
            Frame::Begin { transaction, length } => {
                self.coming = (transaction, length);
                self.bytes.clear();
                Ok(())
            }
            Frame::Data { payload } => {
                self.bytes.extend(payload);
                Ok(())
            }
            Frame::Commit { transaction }
                if self.coming == (transaction, self.bytes.len() as u64) =>
            {
                receiver.last = transaction;
                receiver.received.append(&mut self.bytes);
                let mut out = Vec::new();
                Frame::Committed { transaction }.encode(&mut out);
                self.to_engine.push_back(out);
                readers.check(sink, &receiver.received, false)
            }
            other => Err(format!("sink `{sink}`: {other:?} does not belong here")),
        }
    }
}

/// How the reasons of a disk end.
const DISK: [&str; 2] = ["the power is gone", "no storage space"];

/// The engine serves a receiver no longer: that may be for its disk only.
fn ended(sink: &str, over: DeliveryEnd) -> Result<(), String> {
    match over {
        DeliveryEnd::Lost(reason) if DISK.iter().any(|disk| reason.ends_with(disk)) => Ok(()),
        DeliveryEnd::Lost(reason) => Err(format!("sink `{sink}`: {reason}")),
        DeliveryEnd::Stopped => Err(format!("sink `{sink}`: what was committed for it is gone")),
    }
}

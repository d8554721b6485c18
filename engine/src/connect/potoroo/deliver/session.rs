//! One connection to the client of a sink, without the connection: which frame is to be sent
//! next, and what its answers mean.
//!
//! Must never do: wait, except for the store.

use std::io::{self, Read};
use std::sync::Arc;

use potoroo_connector::Frame;

use super::delivery::{Delivery, DeliveryEnd, Waiting};
use crate::checkpoint::{open_output, unreadable};
use crate::connect::lines::one_line;

/// Bytes of output in one frame.
const FRAME_OUTPUT_BYTES: usize = 64 * 1024;

/// A connected client.
pub struct Session {
    delivery: Arc<Delivery>,
    stage: Stage,
    piece: Vec<u8>,
}

enum Stage {
    /// Nothing is under way.
    Idle,
    /// A transaction is sent, and the number of its bytes that were.
    Data(Waiting, Box<dyn Read + Send>, u64),
    /// All of it was.
    Answer(u128),
}

impl Session {
    /// A client connects, which says that `last` is the last transaction that it has.
    ///
    /// # Errors
    /// It cannot have that.
    pub fn new(delivery: Arc<Delivery>, last: u128) -> Result<Self, DeliveryEnd> {
        delivery.check_last(last).map_err(DeliveryEnd::Lost)?;
        delivery.settle(last);
        Ok(Self { delivery, stage: Stage::Idle, piece: vec![0; FRAME_OUTPUT_BYTES] })
    }

    /// Writes the next frame for the client to `out` if there is something to say: nothing while it
    /// [`awaits`](Self::awaits) an answer, or before something is committed.
    ///
    /// # Errors
    /// The store cannot be read, or what is to be brought is gone, which ends the application.
    pub fn send(&mut self, out: &mut Vec<u8>) -> Result<(), DeliveryEnd> {
        self.stage = match std::mem::replace(&mut self.stage, Stage::Idle) {
            Stage::Idle => self.begin(out)?,
            Stage::Data(of, _, said) if said == of.transaction.bytes => {
                let transaction = of.id;
                self.delivery.lock().brought = transaction;
                Frame::Commit { transaction }.encode(out);
                Stage::Answer(transaction)
            }
            Stage::Data(of, mut from, said) => {
                let bytes = (of.transaction.bytes - said).min(FRAME_OUTPUT_BYTES as u64);
                let payload = &mut self.piece[..bytes as usize];
                from.read_exact(payload).map_err(|error| {
                    DeliveryEnd::Lost(format!("{}: {error}", of.transaction.object))
                })?;
                Frame::Data { payload }.encode(out);
                self.delivery.come(of.id, said + bytes);
                Stage::Data(of, from, said + bytes)
            }
            answer @ Stage::Answer(_) => answer,
        };
        Ok(())
    }

    /// The transaction to which the client has to answer.
    pub fn awaits(&self) -> Option<u128> {
        match self.stage {
            Stage::Answer(transaction) => Some(transaction),
            _ => None,
        }
    }

    /// The client says something.
    ///
    /// # Errors
    /// It is not what is awaited.
    pub fn handle(&mut self, frame: Frame<'_>) -> Result<(), DeliveryEnd> {
        match frame {
            Frame::Committed { transaction } if Some(transaction) == self.awaits() => {
                self.stage = Stage::Idle;
                self.delivery.settle(transaction);
                Ok(())
            }
            other => Err(unexpected(&other)),
        }
    }

    fn begin(&self, out: &mut Vec<u8>) -> Result<Stage, DeliveryEnd> {
        let Some(next) = self.delivery.lock().waiting.front().cloned() else {
            return Ok(Stage::Idle);
        };
        // All of it is checked before: the client gets what was committed, or nothing.
        match open_output(&*self.delivery.store, &next.transaction).map_err(unreadable) {
            Ok(from) => {
                let (transaction, length) = (next.id, next.transaction.bytes);
                Frame::Begin { transaction, length }.encode(out);
                Ok(Stage::Data(next, from, 0))
            }
            // Trying again would bring the same.
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                self.lose(&next, error.to_string())
            }
            Err(error) => Err(DeliveryEnd::Lost(error.to_string())),
        }
    }

    /// What is next cannot be brought: that ends the application, unless the operator says that it
    /// is lost.
    fn lose(&self, next: &Waiting, reason: String) -> Result<Stage, DeliveryEnd> {
        let (id, sink) = (next.id, self.delivery.sink());
        if id <= self.delivery.lost {
            tracing::warn!("sink `{sink}`: transaction {id:x} is passed over as lost: {reason}");
            self.delivery.settle(id);
            return Ok(Stage::Idle);
        }
        let remedy =
            format!("if it is lost for good, add `lost={id:x}` to the address of the sink");
        self.delivery.close(Some(format!("{reason}; {remedy}")));
        Err(DeliveryEnd::Stopped)
    }
}

/// What the client said does not belong here.
pub(super) fn unexpected(frame: &Frame<'_>) -> DeliveryEnd {
    DeliveryEnd::Lost(match frame {
        Frame::Refused { reason } => format!("it refuses: {}", one_line(reason)),
        other => format!("{} does not belong here", other.name()),
    })
}

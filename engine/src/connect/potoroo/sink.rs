//! A sink that connects to a client of the connector protocol, and brings it committed output.

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;

use potoroo_connector::HELLO_TEXT_BYTES_MAX;
use potoroo_sdk::host::SinkId;

use super::deliver::{Delivery, Recipient, deliver};
use super::hold::Hold;
use super::token;
use crate::checkpoint::Transaction;
use crate::connect::address::{Error, HostPort, Parts, SinkAddress, TransactionId};
use crate::connect::connector::Form;
use crate::connect::demand::Demand;
use crate::connect::opening::Opening;
use crate::connect::promise::{Promise, Survival};
use crate::connect::refusal::EdgeRefusal;
use crate::connect::sink::{OpenLetters, OpenSink, SinkConnector};
use crate::connect::starting::Starting;
use crate::connect::token::{Token, TokenAt};
use crate::connect::visible::Visible;

/// Form of the addresses.
pub(super) const FORM: Form<SinkAddress, dyn SinkConnector> = Form {
    summary: "`potoroo://HOST:PORT` (connects to a connector)",
    help: || HELP.to_owned(),
    parse,
    describe: Some(describe),
};

const HELP: &str =
    "  potoroo://HOST:PORT  connects to a client of the connector protocol, with --state only;
                    ?token-file=PATH with the token that it has to know of us, or ?token=TEXT;
                    &lost=TRANSACTION takes a client that has lost what it had up to there
";

fn parse(parts: &mut Parts<'_>) -> Result<SinkAddress, Error> {
    let (connect, token) = (parts.peer()?, token::parse(parts)?);
    let lost = parts.number("lost", "a transaction as a message has named it")?;
    Ok(SinkAddress::Connector { connect, token, lost })
}

fn describe(address: &SinkAddress) -> Option<Arc<dyn SinkConnector>> {
    let SinkAddress::Connector { connect, token, lost } = address else { return None };
    let (connect, token, lost) = (connect.clone(), token.clone(), *lost);
    Some(Arc::new(PotorooSink { connect, token, lost }))
}

#[derive(Debug)]
struct PotorooSink {
    connect: HostPort,
    token: TokenAt,
    lost: Option<TransactionId>,
}

impl fmt::Display for PotorooSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "potoroo://{}{}", self.connect, self.token)?;
        let sign = token::sign(&self.token);
        self.lost.map_or(Ok(()), |TransactionId(id)| write!(f, "{sign}lost={id:x}"))
    }
}

impl SinkConnector for PotorooSink {
    fn survival(&self) -> Survival {
        Survival::new("each output once", Survival::SAME)
    }

    fn promise(&self, _checkpoints: bool) -> Promise {
        Promise::new(
            "exactly once",
            "sent when its checkpoint is committed, until the client has it",
        )
    }

    fn demand(&self) -> Demand {
        Demand { pipes: 1, ..Demand::default() }
    }

    fn token_file(&self) -> Option<&Path> {
        token::file(&self.token)
    }

    fn open(&self, opening: &mut Opening<'_>) -> Result<Box<dyn OpenSink>, EdgeRefusal> {
        if !opening.checkpoints {
            return Err(no_state());
        }
        check_names(&opening.plan.name, opening.name)?;
        let token = self.token.read()?;
        let lost = self.lost.map_or(0, |TransactionId(id)| id);
        Ok(Box::new(OpenPotorooSink { address: self.connect.clone(), token, lost }))
    }

    fn open_letters(
        &self,
        _opening: &mut Opening<'_>,
    ) -> Result<Box<dyn OpenLetters>, EdgeRefusal> {
        Err(no_state())
    }
}

fn no_state() -> EdgeRefusal {
    let reason = "a connector receives what checkpoints commit: add --state DIR, or give tcp:";
    EdgeRefusal::Reason(reason.to_owned())
}

/// Whether the names of application and sink fit into a hello.
fn check_names(application: &str, sink: &str) -> Result<(), String> {
    match application.len().max(sink.len()) > HELLO_TEXT_BYTES_MAX {
        true => Err(format!(
            "a connector receives the names of application and sink: give them up to \
             {HELLO_TEXT_BYTES_MAX} bytes each"
        )),
        false => Ok(()),
    }
}

struct OpenPotorooSink {
    address: HostPort,
    token: Token,
    /// Up to this transaction the client may lack what it had.
    lost: u128,
}

impl OpenSink for OpenPotorooSink {
    fn takes(&self, transaction: &Transaction) -> bool {
        transaction.file.is_none()
    }

    fn start(&mut self, sink: SinkId, starting: &mut Starting<'_>) -> Result<(), EdgeRefusal> {
        let resume = starting.resume.expect("only checkpoints commit");
        let (name, cores) = (starting.name, starting.cores.to_vec());
        let hold = Arc::new(Hold::new(sink, name, resume.store.clone(), cores));
        let delivery = Delivery::open(name, &resume, hold.clone(), starting.backlog_bytes_max);
        let delivery = Arc::new(delivery.forgive(self.lost));
        let committed = delivery.own(resume.transactions());
        // Before sources are opened.
        hold.look(!committed.is_empty());
        starting.sinks.committed.extend(committed);
        starting.gather(sink, None, 0, Some(hold))?;
        let (address, token) = (self.address.clone(), self.token.clone());
        let peer = Recipient { address, token, application: starting.application.to_owned() };
        let (stop, lease) = (starting.threads.stopping(), starting.threads.lease());
        let courier = deliver(delivery.clone(), peer, (stop.clone(), lease.clone()));
        let courier = courier.map_err(EdgeRefusal::thread("what serves a sink"))?;
        starting.threads.add_waiting(courier);
        starting.sinks.visible.push(Box::new(delivery));
        Ok(())
    }
}

impl Visible for Arc<Delivery> {
    fn sink(&self) -> &str {
        Delivery::sink(self)
    }

    fn farthest(&self) -> (u128, u64) {
        Delivery::farthest(self)
    }

    fn delivered(&self) -> u128 {
        Delivery::delivered(self)
    }

    fn keep_free(&self, checkpoint_bytes: u64) {
        self.hold().keep_free(checkpoint_bytes);
    }

    fn show(&self, transaction: &Transaction) -> io::Result<bool> {
        Delivery::show(self, transaction)
    }
}

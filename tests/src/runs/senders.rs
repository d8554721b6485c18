//! Programs that send the streams of sources: as the protocol wants it, they keep each message
//! until it is acknowledged, and send it again when they come back. Sometimes they vanish.
//!
//! ```text
//!   Sender ── frames ──► Session: Client ── pipe ──► core      the world │ ends with each run
//!          ◄── frames ── Answers ◄── commits
//! ```
//!
//! Promises: a sender does what it may do, so any refusal is wrong; it notices a request for
//! messages that were acknowledged. Must never do: keep what is acknowledged.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use potoroo::checkpoint::{Manifest, StreamPosition};
use potoroo::connect::potoroo::answers::Answers;
use potoroo::connect::potoroo::serve::{Client, ServiceEnd, Serving};
use potoroo::connect::potoroo::streams::{Limits, Streams};
use potoroo::connect::stopping::Stopping;
use potoroo::connect::upstream::Upstream;
use potoroo::flow::Start;
use potoroo::turn::Mailbox;
use potoroo_connector::Frame;
use potoroo_sdk::host::SourceId;
use potoroo_sdk::random::Random;

use crate::seeds::{Concern, random};

/// A program that sends one stream.
#[derive(Debug)]
pub struct Sender {
    source: u8,
    name: String,
    bytes: Vec<u8>,
    /// Ids of its messages, and where they end.
    messages: Vec<(u64, usize)>,
    /// Messages up to this id are acknowledged, and forgotten.
    acknowledged: u64,
    /// The whole stream is.
    ended: bool,
}

impl Sender {
    /// A sender of `bytes` for `source`, in messages whose lengths come from `seed`.
    pub fn new(source: u8, bytes: &[u8], seed: u64) -> Self {
        let name = format!("stream {seed:x}");
        let mut random = random(seed, Concern::Network);
        let most = [20, 1 + bytes.len() as u64 / 30][random.below(2) as usize];
        let most = most.max(bytes.len() as u64 / 200);
        let (mut messages, mut id, mut end) = (Vec::new(), 0, 0);
        while end < bytes.len() {
            id += 1 + random.below(3) * random.below(2);
            // Some messages have no bytes.
            end = (end + random.below(2 * most + 1) as usize).min(bytes.len());
            messages.push((id, end));
        }
        Self { source, name, bytes: bytes.to_vec(), messages, acknowledged: 0, ended: false }
    }

    /// Whether all of it is acknowledged.
    pub(super) fn ended(&self) -> bool {
        self.ended
    }

    /// Whether a position is that of its stream.
    pub(super) fn is_of(&self, stream: &StreamPosition) -> bool {
        stream.name == self.name
    }

    /// The application went back to where its stream was at this position, or before its
    /// beginning: the operator has it send again what it has forgotten.
    pub(super) fn roll_back(&mut self, to: Option<&StreamPosition>) {
        self.acknowledged = to.map_or(0, |to| to.id).min(self.acknowledged);
        self.ended &= to.is_some_and(|to| to.ended);
    }

    pub(super) fn source(&self) -> u8 {
        self.source
    }

    fn payload(&self, at: usize) -> &[u8] {
        let start = at.checked_sub(1).map_or(0, |before| self.messages[before].1);
        &self.bytes[start..self.messages[at].1]
    }

    /// The first message after `id`.
    fn after(&self, id: u64) -> usize {
        self.messages.partition_point(|(of, _)| *of <= id)
    }
}

/// One connection of a sender, both ends of it.
struct Session {
    sender: usize,
    client: Client,
    answers: Arc<Answers>,
    to_engine: VecDeque<Vec<u8>>,
    to_sender: VecDeque<Vec<u8>>,
    /// The sender has vanished; the engine has not noticed it yet.
    vanished: bool,
    /// The credit of the sender, and its next message; `None` before the stream is resumed.
    credit: u64,
    next: Option<usize>,
    /// Messages that the engine may have.
    reached: usize,
    end_sent: bool,
}

/// The connections of one run.
pub(super) struct Sessions {
    random: Random,
    /// By source: its streams, if it has any.
    streams: Vec<Option<Arc<Streams>>>,
    ends: Stopping,
    open: Vec<Session>,
    /// By sender: whether nothing new can come of it in this run.
    finished: Vec<bool>,
}

impl Sessions {
    /// None of `senders` is connected, and their streams are where `manifest` says.
    pub(super) fn new(
        seed: u64,
        sources: &[String],
        senders: &[Sender],
        manifest: Option<&Manifest>,
        cores: &[Mailbox],
    ) -> Self {
        let mut random = random(seed, Concern::Network);
        // Fewer than one event can have.
        let notes = [2 + random.below(20) as usize, 32_768][random.below(2) as usize];
        let credit = [2 + random.below(8), 4096][random.below(2) as usize];
        let buffer_bytes = [16 + random.below(100) as usize, 65_536][random.below(2) as usize];
        let limits = Limits { credit, notes, buffer_bytes };
        let streams = |(index, name): (usize, &String)| {
            senders.iter().any(|sender| usize::from(sender.source) == index).then(|| {
                let recovered = recovered(manifest, name);
                let source = SourceId(index as u8);
                let streams =
                    Streams::new(source, true, cores.to_vec(), &recovered, Arc::default());
                Arc::new(streams.within(limits))
            })
        };
        Self {
            streams: sources.iter().enumerate().map(streams).collect(),
            random,
            ends: Stopping::default(),
            open: Vec::new(),
            finished: vec![false; senders.len()],
        }
    }

    /// By source: what takes part in checkpoints, if it has streams.
    pub(super) fn upstreams(&self) -> Vec<Option<Box<dyn Upstream>>> {
        let boxed = |streams: &Arc<Streams>| Box::new(streams.clone()) as Box<dyn Upstream>;
        self.streams.iter().map(|streams| streams.as_ref().map(boxed)).collect()
    }

    /// Whether nothing new can come of any sender.
    pub(super) fn finished(&self) -> bool {
        self.finished.iter().all(|finished| *finished)
    }

    /// One sender takes a step; with a chance of `vanish` it vanishes.
    ///
    /// # Errors
    /// The engine broke the protocol.
    pub(super) fn step(&mut self, senders: &mut [Sender], vanish: f64) -> Result<(), String> {
        let which = self.random.below(senders.len() as u64) as usize;
        let Some(at) = self.open.iter().position(|one| one.sender == which && !one.vanished) else {
            if self.random.chance(0.2) {
                self.mistake(&senders[which]);
            }
            return self.connect(which, &senders[which]);
        };
        if self.random.chance(vanish) {
            let session = &mut self.open[at];
            session.vanished = true;
            let arrives = self.random.below(session.to_engine.len() as u64 + 1) as usize;
            session.to_engine.truncate(arrives);
        }
        // The engine deals with others meanwhile, which have vanished or wait for this one.
        let at = match self.random.below(3) {
            0 => self.random.below(self.open.len() as u64) as usize,
            _ => at,
        };
        let session = &mut self.open[at];
        match self.random.below(5) {
            0 => session.answer(),
            1 if !session.vanished => session.read(&mut senders[session.sender])?,
            2 if !session.vanished => session.send(&senders[session.sender], &mut self.random),
            _ => self.receive(at)?,
        }
        let sender = &senders[which];
        self.finished[which] |= sender.ended && self.open.iter().any(|one| one.is_at_end(sender));
        Ok(())
    }

    fn serving(&self, of: &Sender) -> Serving {
        let streams = self.streams[usize::from(of.source)].clone();
        let streams = streams.expect("a source with senders has streams");
        let (ends, lines) = (self.ends.clone(), Arc::default());
        Serving { source: String::new(), streams, ends, lines }
    }

    /// Another client opens the stream of a sender as if its beginning were not needed, and sends
    /// nothing.
    fn mistake(&self, of: &Sender) {
        let mut client = Client::new(self.serving(of), Arc::default());
        let open = Frame::Open { stream: 0, name: &of.name, from: u64::MAX };
        // Whether it is refused, has to wait or is let in: the sender does not notice.
        let _ = client.handle(open, Duration::ZERO);
        client.release();
    }

    fn connect(&mut self, sender: usize, of: &Sender) -> Result<(), String> {
        let answers = Arc::new(Answers::default());
        let mut session = Session {
            sender,
            client: Client::new(self.serving(of), answers.clone()),
            answers,
            to_engine: VecDeque::new(),
            to_sender: VecDeque::new(),
            vanished: false,
            credit: 0,
            next: None,
            reached: 0,
            end_sent: false,
        };
        session.put(Frame::Open { stream: 7, name: &of.name, from: of.acknowledged });
        self.open.push(session);
        Ok(())
    }

    /// The engine receives what a sender has sent, and notices when it has vanished.
    fn receive(&mut self, at: usize) -> Result<(), String> {
        let session = &mut self.open[at];
        let gone = session.vanished && session.to_engine.is_empty();
        if gone || session.answers.is_over() {
            session.client.release();
            // A sender whose connection was closed comes back.
            self.open.swap_remove(at);
            return Ok(());
        }
        let Some(bytes) = session.to_engine.front() else { return Ok(()) };
        let frame = Frame::decode(&bytes[4..]).map_err(|error| error.to_string())?;
        let is_end = matches!(frame, Frame::End { .. });
        if session.client.handle(frame, Duration::ZERO).map_err(refused)? {
            session.to_engine.pop_front();
            self.finished[session.sender] |= is_end;
        }
        if session.to_engine.is_empty() || self.random.chance(0.2) {
            session.client.flush().map_err(refused)?;
        }
        Ok(())
    }
}

impl Session {
    fn put(&mut self, frame: Frame<'_>) {
        let mut bytes = Vec::new();
        frame.encode(&mut bytes);
        self.to_engine.push_back(bytes);
    }

    /// The engine sends the answers that wait.
    fn answer(&mut self) {
        let mut out = Vec::new();
        self.answers.take(&mut out, Duration::ZERO);
        if !out.is_empty() {
            self.to_sender.push_back(out);
        }
    }

    /// The sender sends its next message, or that nothing follows.
    fn send(&mut self, sender: &Sender, random: &mut Random) {
        let Some(next) = self.next else { return };
        if let Some((id, _)) = sender.messages.get(next) {
            if self.credit > 0 {
                self.put(Frame::Message { stream: 7, id: *id, payload: sender.payload(next) });
                (self.credit, self.next) = (self.credit - 1, Some(next + 1));
                self.reached = self.reached.max(next + 1);
            }
        } else if !self.end_sent && !sender.ended && random.chance(0.5) {
            self.put(Frame::End { stream: 7 });
            self.end_sent = true;
        }
    }

    /// The sender reads an answer.
    fn read(&mut self, sender: &mut Sender) -> Result<(), String> {
        let Some(bytes) = self.to_sender.pop_front() else { return Ok(()) };
        let (mut rest, mut resumed) = (bytes.as_slice(), false);
        let knew = std::mem::take(&mut sender.ended);
        while let Some((length, behind)) = rest.split_first_chunk() {
            let (frame, behind) = behind.split_at(u32::from_le_bytes(*length) as usize);
            let frame = Frame::decode(frame).map_err(|error| error.to_string())?;
            resumed |= matches!(frame, Frame::Resume { .. });
            self.read_frame(frame, sender)?;
            rest = behind;
        }
        if knew && resumed && !sender.ended {
            return Err(format!("{}: its end was acknowledged, and is forgotten", sender.name));
        }
        sender.ended |= knew;
        Ok(())
    }

    fn read_frame(&mut self, frame: Frame<'_>, sender: &mut Sender) -> Result<(), String> {
        let (name, acknowledged) = (&sender.name, sender.acknowledged);
        match frame {
            Frame::Resume { after, .. } if after < acknowledged => {
                Err(format!("{name}: {acknowledged} was acknowledged, and is to be sent again"))
            }
            Frame::Resume { after, .. } => {
                // What it still has it may send again: here a message or two.
                let (kept, next) = (sender.after(acknowledged), sender.after(after));
                self.next = Some(next.saturating_sub(next % 3).max(kept));
                self.reached = next;
                Ok(())
            }
            Frame::Credit { messages, .. } => {
                self.credit += u64::from(messages);
                Ok(())
            }
            Frame::Ack { id, .. } if sender.after(id) > self.reached => {
                Err(format!("{name}: {id} was not sent, and is acknowledged"))
            }
            Frame::Ack { id, .. } => {
                // Late ones may come again.
                sender.acknowledged = id.max(acknowledged);
                Ok(())
            }
            Frame::Ended { .. } if sender.after(acknowledged) < sender.messages.len() => {
                Err(format!("{name} has ended before its last message"))
            }
            Frame::Ended { .. } => {
                sender.ended = true;
                Ok(())
            }
            // It has vanished and come back before the engine received its first frame.
            Frame::Refused { reason } if reason.contains("opened on another connection") => {
                self.vanished = true;
                Ok(())
            }
            other => Err(format!("{name}: {other:?}")),
        }
    }

    /// Whether the engine knows in this run that `sender` has nothing more.
    fn is_at_end(&self, sender: &Sender) -> bool {
        self.next.is_some_and(|next| next == sender.messages.len())
    }
}

impl fmt::Debug for Sessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "finished {:?}", self.finished)?;
        self.open.iter().try_for_each(|one| {
            let Session { sender, vanished, credit, next, end_sent, .. } = one;
            let (to, from) = (one.to_engine.len(), one.to_sender.len());
            write!(f, "; {sender}: {vanished} {credit} {next:?} {end_sent} {to} {from}")
        })
    }
}

fn recovered(manifest: Option<&Manifest>, source: &str) -> Vec<(Start, StreamPosition)> {
    let positions = manifest.iter().flat_map(|manifest| &manifest.sources);
    let of = positions.filter(|at| at.name == source);
    of.filter_map(|at| Some((Start::from(at), at.stream.clone()?))).collect()
}

fn refused(over: ServiceEnd) -> String {
    match over {
        ServiceEnd::Refused(reason) => format!("a sender is refused: {reason}"),
        ServiceEnd::Ending => "a sender is refused because the application ends".to_owned(),
    }
}

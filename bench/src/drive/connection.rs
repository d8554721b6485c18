//! One connection: events out when they are due, answers in when they are there.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;

use anyhow::{Context, Result, ensure};

use super::account::Account;
use super::protocol::{Answer, Protocol};
use crate::load::{Departures, Ranks};
use crate::stamp;
use crate::wire::frames::ORDER_IDS;

/// A connection with what is under way on it.
pub struct LoadConnection {
    stream: TcpStream,
    departures: Departures,
    ranks: Ranks,
    /// When the event of each sequence number, modulo the length, was due; 0 when it is answered.
    under_way: Vec<u64>,
    sent: u64,
    answered: u64,
    /// What the socket has not taken yet, from `written` on.
    out: Vec<u8>,
    written: usize,
    /// What is not yet a whole answer: `read` bytes of it are filled.
    answers: Vec<u8>,
    read: usize,
}

impl LoadConnection {
    /// A connection that may have `slots` events under way.
    pub fn new(stream: TcpStream, departures: Departures, ranks: Ranks, slots: usize) -> Self {
        Self {
            stream,
            departures,
            ranks,
            under_way: vec![0; slots],
            sent: 0,
            answered: 0,
            out: Vec::with_capacity(2 * OUT_BYTES),
            written: 0,
            answers: vec![0; ANSWER_BYTES],
            read: 0,
        }
    }

    /// Answers so far.
    pub fn answered(&self) -> u64 {
        self.answered
    }

    /// Whether all events have left and all answers have come.
    pub fn is_done(&self) -> bool {
        self.departures.is_over() && self.answered == self.sent && self.out.is_empty()
    }

    /// Nothing further is due.
    pub fn end(&mut self) {
        self.departures.end();
    }

    /// Sends everything that is due and has room.
    ///
    /// # Errors
    /// The connection broke.
    #[inline]
    pub fn depart(
        &mut self,
        protocol: &Protocol,
        now_ns: u64,
        account: &mut Account,
    ) -> Result<()> {
        while self.out.len() < OUT_BYTES
            && self.under_way[self.slot(self.sent)] == 0
            && let Some(due_ns) = self.departures.due(now_ns)
        {
            let slot = self.slot(self.sent);
            self.under_way[slot] = due_ns;
            let key = self.ranks.next().unwrap_or_default();
            protocol.write(&mut self.out, self.sent, key);
            self.sent += 1;
            account.depart(due_ns, now_ns);
        }
        if self.out.is_empty() { Ok(()) } else { self.flush(account) }
    }

    fn flush(&mut self, account: &mut Account) -> Result<()> {
        while self.written < self.out.len() {
            let result = self.stream.write(&self.out[self.written..]);
            account.skip();
            match result {
                Ok(bytes) => self.written += bytes,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error).context(self.so_far("sending broke")),
            }
        }
        self.out.clear();
        self.written = 0;
        Ok(())
    }

    /// Takes in the answers that are there.
    ///
    /// # Errors
    /// The connection broke, or what came is no answer to anything that was sent.
    pub fn collect(&mut self, protocol: &Protocol, account: &mut Account) -> Result<()> {
        loop {
            if self.read == self.answers.len() {
                self.answers.resize(2 * self.read, 0);
            }
            match self.stream.read(&mut self.answers[self.read..]) {
                Ok(0) => anyhow::bail!(self.so_far("the application closed the connection")),
                Ok(bytes) => self.read += bytes,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error).context(self.so_far("receiving broke")),
            }
            self.match_answers(protocol, account)?;
        }
    }

    fn match_answers(&mut self, protocol: &Protocol, account: &mut Account) -> Result<()> {
        let now_ns = stamp::now();
        account.see(now_ns);
        let mut start = 0;
        while let Some((answer, length)) = protocol.read(&self.answers[start..self.read])? {
            let sequence = self.sequence_of(answer);
            let slot = sequence.map(|sequence| self.slot(sequence));
            let due_ns = slot.map_or(0, |slot| std::mem::take(&mut self.under_way[slot]));
            ensure!(due_ns != 0, self.so_far("an answer belongs to no event that waits for one"));
            self.answered += 1;
            account.arrive(due_ns, now_ns, sequence.unwrap_or_default());
            start += length;
        }
        self.answers.copy_within(start..self.read, 0);
        self.read -= start;
        Ok(())
    }

    /// The latest event that the answer can mean.
    fn sequence_of(&self, answer: Answer) -> Option<u64> {
        match answer {
            Answer::Oldest => (self.answered < self.sent).then_some(self.answered),
            Answer::Id(id) => {
                let last = self.sent.checked_sub(1)?;
                last.checked_sub((last % ORDER_IDS + ORDER_IDS - id % ORDER_IDS) % ORDER_IDS)
            }
        }
    }

    /// When each event was due whose answer has not come.
    pub fn unanswered(&self) -> impl Iterator<Item = u64> {
        self.under_way.iter().copied().filter(|due_ns| *due_ns != 0)
    }

    #[inline]
    fn slot(&self, sequence: u64) -> usize {
        (sequence % self.under_way.len() as u64) as usize
    }

    fn so_far(&self, what: &str) -> String {
        format!("{what} after {} events and {} answers", self.sent, self.answered)
    }
}

/// More than this is not prepared while the socket takes nothing: what is due later is written
/// later, which costs nothing, since its latency counts from its moment.
const OUT_BYTES: usize = 64 * 1024;
/// Room for answers; grows with the longest one.
const ANSWER_BYTES: usize = 64 * 1024;

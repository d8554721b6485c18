//! What is to be sent to one client: a state, of which only the newest counts.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use potoroo_connector::Frame;

/// What is to be sent to a client.
#[derive(Default)]
pub struct Answers {
    state: Mutex<Unsent>,
    more: Condvar,
}

#[derive(Default)]
struct Unsent {
    streams: Vec<(u32, Answer)>,
    /// Numbers of the streams that are open.
    open: Vec<u32>,
    refused: Option<String>,
    over: bool,
}

/// What is to be sent of one stream.
#[derive(Default)]
struct Answer {
    resume: Option<u64>,
    credit: u64,
    acknowledged: Option<u64>,
    ended: bool,
}

impl Answers {
    /// The client goes on with the first id above `after`.
    pub fn resume(&self, stream: u32, after: u64) {
        self.update(stream, |answer| answer.resume = Some(after));
        self.lock().open.push(stream);
    }

    /// It may send more messages.
    pub fn credit(&self, stream: u32, messages: u64) {
        self.update(stream, |answer| answer.credit += messages);
    }

    /// Everything up to a message is acknowledged, or with `ended` the whole stream.
    pub fn acknowledge(&self, stream: u32, id: u64, ended: bool) {
        self.update(stream, |answer| {
            answer.acknowledged = Some(id);
            answer.ended |= ended;
        });
        if ended {
            self.lock().open.retain(|open| *open != stream);
        }
    }

    /// Writes a frame that changes nothing, for a client that has a stream open and has received
    /// nothing for a while: it shows that this side is alive.
    pub fn keep_alive(&self, out: &mut Vec<u8>) {
        if let Some(stream) = self.lock().open.last() {
            Frame::Credit { stream: *stream, messages: 0 }.encode(out);
        }
    }

    fn update(&self, stream: u32, change: impl FnOnce(&mut Answer)) {
        let mut unsent = self.lock();
        let at = unsent.streams.iter().position(|(number, _)| *number == stream);
        let at = at.unwrap_or_else(|| {
            unsent.streams.push((stream, Answer::default()));
            unsent.streams.len() - 1
        });
        change(&mut unsent.streams[at].1);
        self.more.notify_all();
    }

    /// Nothing follows, but for the reason why.
    pub fn finish(&self, refused: Option<String>) {
        let mut unsent = self.lock();
        unsent.refused = unsent.refused.take().or(refused);
        unsent.over = true;
        self.more.notify_all();
    }

    /// Whether no answer follows.
    pub fn is_over(&self) -> bool {
        self.lock().over
    }

    /// Waits until there is something to send, for up to `most`; writes it to `out`. Returns
    /// whether it is the last.
    pub fn take(&self, out: &mut Vec<u8>, most: Duration) -> bool {
        let idle = |unsent: &mut Unsent| unsent.streams.is_empty() && !unsent.over;
        let waited = self.more.wait_timeout_while(self.lock(), most, idle);
        let mut unsent = waited.unwrap_or_else(PoisonError::into_inner).0;
        unsent.streams.drain(..).for_each(|(stream, answer)| answer.encode(stream, out));
        if let Some(reason) = &unsent.refused {
            Frame::Refused { reason }.encode(out);
        }
        unsent.over
    }

    fn lock(&self) -> MutexGuard<'_, Unsent> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Answer {
    fn encode(self, stream: u32, out: &mut Vec<u8>) {
        if let Some(after) = self.resume {
            Frame::Resume { stream, after }.encode(out);
        }
        if self.credit > 0 {
            Frame::Credit { stream, messages: self.credit as u32 }.encode(out);
        }
        if let Some(id) = self.acknowledged {
            Frame::Ack { stream, id }.encode(out);
        }
        if self.ended {
            Frame::Ended { stream }.encode(out);
        }
    }
}

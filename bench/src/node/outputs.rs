//! Takes the outputs of an application over TCP, and sees who made them.
//!
//! One thread accepts connections: each node that leads makes a new one. Each connection has a
//! thread that reads it to its end. What they see lies under one lock, taken once for each read.

use std::io::Read;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use anyhow::{Context, Result};

use super::application::Made;
use crate::stamp;

/// The outputs of one application.
pub struct MadeOutputs {
    address: SocketAddr,
    seen: Arc<Mutex<OutputsSeen>>,
    over: Arc<AtomicBool>,
    accepting: Option<JoinHandle<()>>,
}

/// What was seen of outputs.
pub struct OutputsSeen {
    /// By key: the process that made its newest output; 0 before the first.
    pub owners: Vec<u32>,
    /// The highest number of an event.
    pub highest: u64,
    /// MadeOutputs, repeated ones too.
    pub count: u64,
    /// By event from [`delays_from`](Self::delays_from) on: microseconds from when it was due to
    /// its first output; `u32::MAX` before that.
    pub delays_us: Vec<u32>,
    /// Number of the first event whose delay is noted.
    pub delays_from: u64,
    /// MadeOutputs whose count is not that of a generator, which goes through all keys in turn.
    pub wrong: u64,
    is_generated: bool,
    watchers: Vec<Watcher>,
}

/// Whether it is the output that is waited for, given what was seen before it.
type WatchFn = Box<dyn FnMut(&OutputsSeen, &Made) -> bool + Send>;

struct Watcher {
    is_it: WatchFn,
    sighting: Sender<Sighting>,
}

/// An output that was waited for.
#[derive(Clone, Copy, Debug)]
pub struct Sighting {
    /// When it came.
    pub at_ns: u64,
}

impl MadeOutputs {
    /// Listens for outputs of events over this number of keys.
    ///
    /// # Errors
    /// There is no loopback, or no further thread.
    pub fn listen(keys: u64) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no loopback")?;
        let address = listener.local_addr()?;
        let seen = OutputsSeen {
            owners: vec![0; keys as usize],
            highest: 0,
            count: 0,
            delays_us: Vec::new(),
            delays_from: u64::MAX,
            wrong: 0,
            is_generated: false,
            watchers: Vec::new(),
        };
        let (seen, over) = (Arc::new(Mutex::new(seen)), Arc::new(AtomicBool::new(false)));
        let (of_thread, until) = (seen.clone(), over.clone());
        let accept = move || {
            for stream in listener.incoming() {
                if until.load(Ordering::Relaxed) {
                    return;
                }
                let (Ok(stream), seen) = (stream, of_thread.clone()) else { continue };
                // It ends with its connection.
                let _ = thread::Builder::new().spawn(move || read(stream, &seen));
            }
        };
        let accepting = thread::Builder::new().spawn(accept).context("no further thread")?;
        Ok(Self { address, seen, over, accepting: Some(accepting) })
    }

    /// As [`listen`](Self::listen), of events that a generator makes: their counts are known.
    ///
    /// # Errors
    /// As [`listen`](Self::listen).
    pub fn of_generator(keys: u64) -> Result<Self> {
        let outputs = Self::listen(keys)?;
        outputs.seen().is_generated = true;
        Ok(outputs)
    }

    /// The address of the sink.
    pub fn sink(&self) -> String {
        format!("made=tcp://{}", self.address)
    }

    /// What was seen so far.
    pub fn seen(&self) -> MutexGuard<'_, OutputsSeen> {
        lock(&self.seen)
    }

    /// Notifies of the first output from now on for which `is_it` holds, given what was seen before
    /// it.
    pub fn watch(
        &self,
        is_it: impl FnMut(&OutputsSeen, &Made) -> bool + Send + 'static,
    ) -> Receiver<Sighting> {
        let (sighting, seen) = channel();
        self.seen().watchers.push(Watcher { is_it: Box::new(is_it), sighting });
        seen
    }

    /// As [`watch`](Self::watch), of an output that this process has made.
    pub fn watch_process(&self, process: u32) -> Receiver<Sighting> {
        self.watch(move |_, made| made.process == u64::from(process))
    }

    /// Notes from now on how late the outputs of events from this number on come.
    pub fn note_delays(&self, from: u64) {
        let mut seen = self.seen();
        (seen.delays_from, seen.delays_us) = (from, Vec::new());
    }
}

impl Drop for MadeOutputs {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        // It waits for a connection.
        let _ = TcpStream::connect(self.address);
        if let Some(accepting) = self.accepting.take() {
            let _ = accepting.join();
        }
    }
}

impl OutputsSeen {
    fn take(&mut self, made: &Made, now_ns: u64) {
        let mut watchers = std::mem::take(&mut self.watchers);
        watchers.retain_mut(|watcher| {
            let is_it = (watcher.is_it)(self, made);
            if is_it {
                let _ = watcher.sighting.send(Sighting { at_ns: now_ns });
            }
            !is_it
        });
        self.watchers = watchers;
        if let Some(owner) = self.owners.get_mut(made.index as usize) {
            *owner = made.process as u32;
        }
        self.highest = self.highest.max(made.number);
        self.count += 1;
        let expected = made.number / self.owners.len() as u64 + 1;
        self.wrong += u64::from(self.is_generated && made.count != expected);
        if let Some(at) = made.number.checked_sub(self.delays_from) {
            self.note_delay(at as usize, now_ns.saturating_sub(made.due_ns));
        }
    }

    /// The first output of an event counts: one that comes again is no longer waited for.
    fn note_delay(&mut self, at: usize, delay_ns: u64) {
        if at >= EVENTS_MAX {
            return;
        }
        if at >= self.delays_us.len() {
            self.delays_us.resize(at + 1, u32::MAX);
        }
        let delay_us = u32::try_from(delay_ns / 1000).unwrap_or(u32::MAX - 1);
        let noted = &mut self.delays_us[at];
        *noted = (*noted).min(delay_us);
    }
}

/// Reads a connection to its end, or until it breaks with its process.
fn read(mut stream: TcpStream, seen: &Mutex<OutputsSeen>) {
    let (mut buffer, mut have) = (vec![0; READ_BYTES], 0);
    while let Ok(count @ 1..) = stream.read(&mut buffer[have..]) {
        let now_ns = stamp::now();
        have += count;
        let (outputs, rest) = buffer[..have].as_chunks::<{ Made::BYTES }>();
        let left = rest.len();
        let mut seen = lock(seen);
        outputs.iter().for_each(|output| seen.take(&Made::read(output), now_ns));
        drop(seen);
        buffer.copy_within(have - left..have, 0);
        have = left;
    }
}

fn lock(seen: &Mutex<OutputsSeen>) -> MutexGuard<'_, OutputsSeen> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}

/// As much as a core sends at once.
const READ_BYTES: usize = 64 * 1024;
/// Events whose delays are noted: minutes at any rate of a benchmark.
const EVENTS_MAX: usize = 1 << 26;

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn output([number, index, due_ns, process]: [u64; 4]) -> Vec<u8> {
        [number, index, due_ns, 1, process].into_iter().flat_map(u64::to_le_bytes).collect()
    }

    #[test]
    fn outputs_are_seen_however_they_are_cut() {
        let outputs = MadeOutputs::of_generator(3).unwrap();
        outputs.note_delays(2);
        let taken_over = outputs.watch(|seen, made| seen.owners[1] == 7 && made.process == 8);
        let last = outputs.watch(|_, made| made.number == 4);
        let due = stamp::now() - 5_000_000;
        let lines =
            [[1, 1, due, 7], [2, 2, due, 7], [3, 1, due, 8], [2, 2, due, 8], [4, 0, due, 9]];
        let mut stream = TcpStream::connect(outputs.address).unwrap();
        for byte in lines.into_iter().flat_map(output) {
            stream.write_all(&[byte]).unwrap();
        }
        assert!(taken_over.recv().unwrap().at_ns <= last.recv().unwrap().at_ns);
        drop(stream);
        let seen = outputs.seen();
        assert_eq!((&seen.owners[1..], seen.highest), (&[8, 8][..], 4));
        assert_eq!((seen.delays_us.len(), seen.wrong), (3, 2), "two should have another count");
        assert!(seen.delays_us.iter().all(|delay| (5_000..60_000_000).contains(delay)));
    }
}

//! The way from the thread that reads a checkpoint to the cores that restore it.
//!
//! Promises: at most [`CHUNKS_MAX`] chunks wait for a core, then the reader does; a core learns
//! that it has everything only when the reader says so, never from silence; neither side waits for
//! one that is gone.

use std::mem::replace;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};

use crate::checkpoint::{Chunk, PartEntry};

/// Chunks that wait for one core: it restores one in 50 to 100 µs, and the reader must not have to
/// wake it for each.
const CHUNKS_MAX: usize = 8;

/// What is sent to a core.
enum Sent {
    Chunk(Arc<str>, Chunk),
    /// Everything was sent, and is known to be whole.
    Whole,
}

/// The end of the thread that reads.
pub struct LoadSender {
    cores: Vec<SyncSender<Sent>>,
    spares: Receiver<Vec<u8>>,
    /// The part under way.
    part: Arc<str>,
}

/// The end of one core.
pub struct LoadReceiver {
    sent: Receiver<Sent>,
    spares: Sender<Vec<u8>>,
}

/// The other end is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EndGone;

/// A channel to `cores` cores.
pub fn load_channel(cores: usize) -> (LoadSender, Vec<LoadReceiver>) {
    let (spares_in, spares) = channel();
    let ends = (0..cores).map(|_| {
        let (to, sent) = sync_channel(CHUNKS_MAX);
        (to, LoadReceiver { sent, spares: spares_in.clone() })
    });
    let (cores, receivers) = ends.unzip();
    (LoadSender { cores, spares, part: "".into() }, receivers)
}

impl LoadSender {
    /// Number of cores.
    pub fn cores(&self) -> usize {
        self.cores.len()
    }

    /// Sends a chunk of `part` to a core, and leaves an empty buffer in its place. Waits while too
    /// many are on their way.
    ///
    /// # Errors
    /// The core is gone.
    pub fn send(
        &mut self,
        core: usize,
        part: &PartEntry,
        chunk: &mut Chunk,
    ) -> Result<(), EndGone> {
        if *self.part != *part.name {
            self.part = part.name.as_str().into();
        }
        let new = |_| Vec::with_capacity(BUFFER_BYTES);
        let mut spare = self.spares.try_recv().unwrap_or_else(new);
        spare.clear();
        let (section, bytes) = (chunk.section, replace(&mut chunk.bytes, spare));
        let sent = Sent::Chunk(self.part.clone(), Chunk { section, bytes });
        self.cores[core].send(sent).map_err(|_| EndGone)
    }

    /// Everything was sent, and is known to be whole.
    pub fn finish(self) {
        // One that is gone says itself why.
        self.cores.iter().for_each(|core| drop(core.send(Sent::Whole)));
    }
}

impl LoadReceiver {
    /// Shows `visit` each chunk, with the name of its part.
    ///
    /// # Errors
    /// What `visit` returned, or that the reader is gone: not everything came, and nothing may be
    /// made of what did.
    pub fn each<E: From<EndGone>>(
        self,
        mut visit: impl FnMut(&str, &Chunk) -> Result<(), E>,
    ) -> Result<(), E> {
        loop {
            match self.sent.recv().map_err(|_| EndGone)? {
                Sent::Chunk(part, chunk) => {
                    visit(&part, &chunk)?;
                    if chunk.bytes.capacity() <= SPARE_BYTES_MAX {
                        // The reader may have ended.
                        let _ = self.spares.send(chunk.bytes);
                    }
                }
                Sent::Whole => return Ok(()),
            }
        }
    }
}

/// Bytes of a buffer: a full chunk, with room for its last record.
const BUFFER_BYTES: usize = Chunk::BYTES_MAX + Chunk::BYTES_MAX / 8;

/// A buffer that became longer, for a long record, is not kept.
const SPARE_BYTES_MAX: usize = 2 * Chunk::BYTES_MAX;

/// Bytes that the way to `cores` cores takes: chunks that wait, and for each core one that is
/// filled and one that is restored.
pub fn load_bytes(cores: usize) -> usize {
    (cores * (CHUNKS_MAX + 2) + 1) * BUFFER_BYTES
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;
    use crate::checkpoint::{Epoch, PartitionSet, Section};

    fn part(name: &str) -> PartEntry {
        let (covers, whole) = (None, PartitionSet::default());
        let (epoch, since) = (Epoch(1), Epoch::NONE);
        let (name, core, bytes, chunks, digest, rows) = (name.to_owned(), 0, 0, 0, 0, 0);
        PartEntry { name, core, epoch, since, covers, whole, bytes, chunks, digest, rows }
    }

    fn chunk(byte: u8) -> Chunk {
        Chunk { section: Section::Lanes(byte), bytes: vec![byte; 1 + usize::from(byte)] }
    }

    #[test]
    fn each_core_gets_its_chunks_in_order_and_learns_that_they_are_all() {
        const COUNT: u8 = 200;
        let (mut to, from) = load_channel(2);
        let receive = |from: LoadReceiver| {
            let mut seen = Vec::new();
            let all = from.each(|part, chunk| {
                assert_eq!(chunk.bytes.len(), 1 + usize::from(chunk.bytes[0]));
                assert_eq!(part, if chunk.bytes[0] < 100 { "early" } else { "late" });
                seen.push(chunk.bytes[0]);
                Ok::<_, EndGone>(())
            });
            (all, seen)
        };
        thread::scope(|scope| {
            let cores: Vec<_> =
                from.into_iter().map(|from| scope.spawn(move || receive(from))).collect();
            for byte in 0..COUNT {
                let part = part(if byte < 100 { "early" } else { "late" });
                let mut chunk = chunk(byte);
                to.send(usize::from(byte) % 2, &part, &mut chunk).expect("it is there");
                assert!(chunk.bytes.is_empty());
            }
            to.finish();
            for (core, receiver) in (0..).zip(cores) {
                let expected: Vec<u8> = (core..COUNT).step_by(2).collect();
                assert_eq!(receiver.join().expect("no panic"), (Ok(()), expected));
            }
        });
    }

    #[test]
    fn neither_end_waits_for_one_that_is_gone() {
        let (mut to, mut from) = load_channel(2);
        drop(from.pop());
        assert_eq!(to.send(1, &part("p"), &mut chunk(1)), Err(EndGone));
        to.send(0, &part("p"), &mut chunk(1)).expect("it is there");
        drop(to);
        let mut seen = 0;
        let ended = from.remove(0).each(|_, _| {
            seen += 1;
            Ok(())
        });
        assert_eq!((ended, seen), (Err(EndGone), 1), "what came is not everything");
    }

    #[test]
    fn what_a_core_refuses_ends_the_reader_though_it_waits_for_room() {
        let (mut to, mut from) = load_channel(1);
        let from = from.remove(0);
        thread::scope(|scope| {
            scope.spawn(move || from.each(|_, _| Err(EndGone)));
            let sent = (0..=255).try_for_each(|byte| to.send(0, &part("p"), &mut chunk(byte)));
            assert_eq!(sent, Err(EndGone));
        });
    }
}

//! Bytes of a connection that are not decrypted yet.

use std::io::Read;

use rustls::{Connection, Error};

/// Bytes of a connection that are not decrypted yet. They are read from the system many at once,
/// which rustls does not.
#[derive(Debug)]
pub(super) struct Incoming {
    bytes: Box<[u8]>,
    /// Those before it are taken.
    next: usize,
    /// Those before it have come.
    end: usize,
}

/// What was decrypted.
pub(super) enum Decrypted {
    /// This many bytes, at least one.
    Bytes(usize),
    /// Nothing, before more comes.
    Nothing,
    /// The peer has said that it sends no more.
    Closed,
}

impl Incoming {
    // cold: when a connection is made
    pub(super) fn new(capacity_bytes: usize) -> Self {
        Self { bytes: vec![0; capacity_bytes].into_boxed_slice(), next: 0, end: 0 }
    }

    /// Where the next bytes may be read to.
    ///
    /// # Panics
    /// Not all are taken.
    pub(super) fn room(&mut self) -> &mut [u8] {
        assert!(self.next == self.end, "what was not decrypted would be lost");
        &mut self.bytes
    }

    /// The first `count` bytes of the room have come.
    pub(super) fn came(&mut self, count: usize) {
        (self.next, self.end) = (0, count);
    }

    /// Decrypts into `room`, which is not empty, as much as it takes. All that has come is
    /// decrypted before it returns fewer.
    ///
    /// # Errors
    /// The bytes are wrong, or say that the peer has failed.
    pub(super) fn decrypt(
        &mut self,
        session: &mut Connection,
        room: &mut [u8],
    ) -> Result<Decrypted, Error> {
        let mut filled = 0;
        loop {
            // An error means that nothing is decrypted and that the peer has not said its last.
            match session.reader().read(&mut room[filled..]) {
                Ok(0) if filled == 0 => return Ok(Decrypted::Closed),
                Ok(0) => return Ok(Decrypted::Bytes(filled)),
                Ok(count) => filled += count,
                Err(_) => {}
            }
            if filled == room.len() || self.next == self.end {
                break;
            }
            // A slice can be read, and there is room for what it holds: none waits to be read. Only
            // what follows a goodbye is not taken.
            let taken = session.read_tls(&mut &self.bytes[self.next..self.end]).unwrap_or(0);
            if taken == 0 {
                self.next = self.end;
                break;
            }
            self.next += taken;
            session.process_new_packets()?;
        }
        Ok(if filled > 0 { Decrypted::Bytes(filled) } else { Decrypted::Nothing })
    }
}

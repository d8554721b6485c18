//! The core's ends of pipes, as its ports.

use potoroo_runtime::Nanos;

use super::{BUFFER_BYTES, Gone, PipeIn, PipeOut, Received};
use crate::checkpoint::Epoch;
use crate::turn::{Fill, InletPort, OutletPort, Passed, PortLost};

/// Bytes of a file, a stream or an embedding program for an inlet.
pub struct PipeInlet {
    pipe: PipeOut,
    /// The buffer that was taken in part.
    rest: Option<Rest>,
    /// By an embedding program, which believes its bytes sent; a file can be read again.
    handed_over: bool,
}

/// A buffer that was taken in part.
struct Rest {
    buffer: Vec<u8>,
    /// How far it was taken.
    start: usize,
    /// When its bytes were read.
    read: Nanos,
}

impl PipeInlet {
    /// What comes through `pipe` can be read again, or is lost with this process.
    pub fn new(pipe: PipeOut) -> Self {
        Self { pipe, rest: None, handed_over: false }
    }

    /// What comes through `pipe` was handed over by an embedding program.
    pub fn handed_over(pipe: PipeOut) -> Self {
        Self { handed_over: true, ..Self::new(pipe) }
    }
}

impl InletPort for PipeInlet {
    fn fill(&mut self, room: &mut [u8], _: Nanos) -> Fill {
        let Rest { buffer, start, read } = match self.rest.take() {
            Some(rest) => rest,
            None => match self.pipe.try_recv() {
                Received::Buffer(buffer, read) => Rest { buffer, start: 0, read },
                Received::Nothing => return Fill::Nothing,
                Received::Ended => return Fill::Ended,
            },
        };
        let bytes = room.len().min(buffer.len() - start);
        room[..bytes].copy_from_slice(&buffer[start..start + bytes]);
        if start + bytes == buffer.len() {
            self.pipe.return_buffer(buffer);
        } else {
            self.rest = Some(Rest { buffer, start: start + bytes, read });
        }
        Fill::Bytes(bytes, read)
    }

    #[cold]
    fn stop(&mut self) -> bool {
        if self.handed_over {
            self.pipe.close();
        }
        self.handed_over
    }

    /// Its buffers are not given back, so the pipe ends.
    #[cold]
    fn take_unread_bytes(&mut self) -> usize {
        if !self.handed_over {
            return 0;
        }
        let mut bytes = self.rest.take().map_or(0, |rest| rest.buffer.len() - rest.start);
        while let Received::Buffer(buffer, _) = self.pipe.try_recv() {
            bytes += buffer.len();
        }
        bytes
    }
}

/// Bytes of a sink for a writer or an embedding program, which wakes the core when there is room.
pub struct PipeOutlet {
    pipe: PipeIn,
    /// The writer takes markers.
    marks: bool,
}

impl PipeOutlet {
    /// To a thread that may wait and takes markers.
    pub fn to_writer(pipe: PipeIn) -> Self {
        Self { pipe, marks: true }
    }

    /// To the embedding program, which takes no markers.
    pub fn to_program(pipe: PipeIn) -> Self {
        Self { pipe, marks: false }
    }
}

impl OutletPort for PipeOutlet {
    fn put(&mut self, bytes: &[u8]) -> Result<usize, PortLost> {
        let Some(mut buffer) = self.pipe.try_buffer().map_err(lost)? else { return Ok(0) };
        let count = bytes.len().min(BUFFER_BYTES);
        buffer.extend_from_slice(&bytes[..count]);
        self.pipe.send(buffer).map_err(lost)?;
        Ok(count)
    }

    #[cold]
    fn pass_marker(&mut self, epoch: Epoch) -> Result<Passed, PortLost> {
        if !self.marks {
            return Ok(Passed::Here);
        }
        Ok(if self.pipe.try_mark(epoch).map_err(lost)? { Passed::ToWriter } else { Passed::NotYet })
    }
}

#[cold]
fn lost(_: Gone) -> PortLost {
    PortLost { reason: "its writer has ended".to_owned(), for_good: true }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connect::pipe::pipe;

    #[test]
    fn what_was_handed_over_and_not_read_is_counted_whole() {
        let (mut pipe_in, pipe_out) = pipe();
        let mut port = PipeInlet::handed_over(pipe_out);
        port.rest = Some(Rest { buffer: vec![0; 10], start: 3, read: Nanos::ZERO });
        for bytes in [100, 1] {
            let mut buffer = pipe_in.buffer().expect("the pipe is open");
            buffer.resize(bytes, 0);
            pipe_in.send(buffer).expect("the pipe is open");
        }
        assert_eq!(port.take_unread_bytes(), 7 + 100 + 1);
        assert_eq!(port.take_unread_bytes(), 0);
    }

    #[test]
    fn a_writer_that_has_ended_is_lost_for_good() {
        let (pipe_in, pipe_out) = pipe();
        let mut port = PipeOutlet::to_writer(pipe_in);
        assert_eq!(port.pass_marker(Epoch(1)), Ok(Passed::ToWriter));
        drop(pipe_out);
        assert_eq!(port.pass_marker(Epoch(2)), Err(lost(Gone)));
        assert!(lost(Gone).for_good);
    }
}

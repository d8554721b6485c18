//! One core alone, with all partitions and sinks, and what checkpoints have of it.

use std::sync::Arc;

use potoroo::checkpoint::{Chunk, Epoch};
use potoroo::flow::{Core, CoreConfig, PartStep, PartitionMap, SharedCounts};
use potoroo_runtime::mesh;
use potoroo_sdk::prelude::*;

/// Bytes of each of its buffers.
const BYTES: usize = 4096;

/// The only core of an application.
///
/// # Panics
/// The application has mistakes.
pub fn only_core(application: Application, partitions: u32) -> Core {
    let plan = application.plan().expect("it is sound");
    let config = CoreConfig {
        core: 0,
        lanes: mesh(1, plan.levels() + 1, BYTES).remove(0),
        map: PartitionMap::spread(partitions, &[0]),
        sink_owners: vec![0; plan.sinks.len()],
        inlet_bytes: BYTES,
        outlet_bytes: BYTES,
        local_bytes: BYTES,
        keep_letters: true,
        readers: Vec::new(),
        tally: Arc::new(SharedCounts::new(&plan)),
    };
    Core::new(plan, config)
}

/// The chunks of the part that a core stores for its first checkpoint.
///
/// # Panics
/// It does not take checkpoints, or has taken one.
pub fn first_part(core: &mut Core) -> Vec<Chunk> {
    core.begin_checkpoint(Epoch(1));
    core.attend_checkpoint(|_| {});
    let mut chunks = Vec::new();
    loop {
        while core.hand_out_rows(16).is_some() {}
        match core.take_part().expect("a part has an end") {
            PartStep::Chunk(chunk) => chunks.push(chunk),
            PartStep::End(_) => return chunks,
            _ => {}
        }
    }
}

/// A frame as a checkpoint has it: from the first source and the connection `origin`, to the first
/// exchange or sink as `flags` say.
pub fn stored_frame(flags: u8, origin: u64, hash: u64, body: &[u8]) -> Vec<u8> {
    let mut frame = (40 + body.len() as u32).to_le_bytes().to_vec();
    frame.extend([0, flags, 0, 0]);
    frame.extend(hash.to_le_bytes());
    frame.extend([0, origin, 0].map(u64::to_le_bytes).concat());
    frame.extend(body);
    frame.resize(frame.len().next_multiple_of(8), 0);
    frame
}

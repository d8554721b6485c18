//! Frames: their bytes as the format describes them, changed without the code that is tested.

const FLAGS_AT: usize = 5;
const FLAG_ORIGIN: u8 = 1;
const FLAG_STAMP: u8 = 16;
const HEADER_BYTES: usize = 24;
const ORIGIN_BYTES: usize = 16;

/// Stamps each frame of `bytes` that is stamped with what `change` makes of its time and its
/// stamp, in nanoseconds.
pub fn each_stamp(bytes: &mut [u8], change: impl Fn(i64, i64) -> i64) {
    let mut rest = bytes;
    while let Some(length) = rest.first_chunk() {
        let length = (u32::from_le_bytes(*length) as usize).next_multiple_of(8);
        let (frame, after) = rest.split_at_mut(length.min(rest.len()));
        let flags = frame[FLAGS_AT];
        if flags & FLAG_STAMP != 0 {
            let origin_bytes = if flags & FLAG_ORIGIN == 0 { 0 } else { ORIGIN_BYTES };
            let (time, stamp) = frame[HEADER_BYTES + origin_bytes..].split_at_mut(8);
            let read = |bytes: &[u8]| i64::from_le_bytes(*bytes.first_chunk().expect("eight"));
            let now = change(read(time), read(stamp));
            stamp[..8].copy_from_slice(&now.to_le_bytes());
        }
        rest = after;
    }
}

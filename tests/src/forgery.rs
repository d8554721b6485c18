//! Forgeries: bytes changed as damage and malice change them.

use potoroo_sdk::random::Random;

/// Changes something in `bytes`, which begin with a frame or a record.
pub fn forge(bytes: &mut Vec<u8>, random: &mut Random) {
    let mut below = |most: usize| random.below(most.max(1) as u64) as usize;
    let word = below(bytes.len() / 8 + 1) * 8;
    match below(8) {
        0 => bytes.truncate(below(bytes.len())),
        1 => (0..1 + below(3)).for_each(|_| {
            let at = below(bytes.len());
            bytes.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= 1 << below(8));
        }),
        // A length, a kind, an exchange: the first frame or record begins at 0.
        2 => {
            let length = [0, 1, 7, 8, 23, 24, 39, 40, 41, 1 << 20, u32::MAX][below(11)];
            bytes.iter_mut().zip(length.to_le_bytes()).for_each(|(byte, new)| *byte = new);
        }
        3 => bytes.iter_mut().skip(4 + below(4)).take(1).for_each(|byte| *byte = below(256) as u8),
        // A number somewhere.
        4 => {
            let number = [0, 1, u64::MAX, u64::MAX / 2, below(1 << 20) as u64][below(5)];
            let there = bytes.iter_mut().skip(word);
            there.zip(number.to_le_bytes()).for_each(|(byte, new)| *byte = new);
        }
        5 => bytes.extend((0..below(64)).map(|_| below(256) as u8).collect::<Vec<_>>()),
        6 => drop(bytes.drain(..word.min(bytes.len()))),
        _ => {
            let copy = bytes[word.min(bytes.len())..].to_vec();
            bytes.extend(copy);
        }
    }
}

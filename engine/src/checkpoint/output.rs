//! Output: what transactional sinks prepared, each transaction an object of the store.
//!
//! ```text
//!   gathered ─ marker ─► object stored ─► named by a manifest ─► HEAD ─► shown ─► mark
//! ```
//!
//! Promises: all of an object is read and its digest compared before the first byte of it is
//! handed out. An object that a checkpoint names and that is missing is an error. Must never do:
//! show anything.

use std::collections::BTreeSet;
use std::io::{self, Cursor, ErrorKind, Read};

use xxhash_rust::xxh3::Xxh3;

use super::manifest::Transaction;
use super::store::{Error, Name, StoreReader};
use super::{CorruptObject, Damage};

/// Opens the output of a transaction, after all of it was read and its digest compared.
///
/// # Errors
/// The object is missing or damaged, or the storage cannot be read.
pub fn open_output(
    view: &dyn StoreReader,
    transaction: &Transaction,
) -> Result<Box<dyn Read + Send>, Error> {
    let Transaction { object, bytes, .. } = transaction;
    let mut held = Vec::new();
    check_output(object, view.open(object)?, transaction, |piece| {
        if *bytes <= HELD_BYTES_MAX {
            held.extend_from_slice(piece);
        }
    })?;
    if *bytes <= HELD_BYTES_MAX {
        return Ok(Box::new(Cursor::new(held)));
    }
    Ok(Box::new(view.open(object)?.take(*bytes)))
}

/// Output of up to this many bytes is read once; longer output a second time when it is shown.
const HELD_BYTES_MAX: u64 = 1 << 20;

/// Bytes that are read at once.
const PIECE_BYTES: usize = 256 * 1024;

/// Reads the output of `transaction` from `from`, which is `object` in messages, and compares its
/// digest. Calls `each` with each piece of it: nothing may be made of them before this returned
/// without an error.
///
/// # Errors
/// It is damaged, or cannot be read.
pub fn check_output(
    object: &str,
    from: impl Read,
    transaction: &Transaction,
    mut each: impl FnMut(&[u8]),
) -> Result<(), Error> {
    let Transaction { bytes, digest, .. } = *transaction;
    let corrupt = |damage| CorruptObject { object: object.to_owned(), offset: 0, damage };
    let (mut from, mut made, mut length) = (from.take(bytes), Xxh3::new(), 0);
    let mut buffer = vec![0; bytes.min(PIECE_BYTES as u64) as usize];
    loop {
        match from.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => {
                made.update(&buffer[..read]);
                each(&buffer[..read]);
                length += read as u64;
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => {
                return Err(corrupt(Damage::CutOff).into());
            }
            Err(error) => return Err(Error::io("read", object, error)),
        }
    }
    if length < bytes {
        let text = format!("it has {length} bytes, and {bytes} were committed");
        return Err(corrupt(Damage::Other(text)).into());
    }
    // Earlier versions made none.
    let fits = digest.is_none_or(|digest| made.digest128() == digest);
    if fits { Ok(()) } else { Err(corrupt(Damage::Digest).into()) }
}

/// As an error of a sink: what is missing or damaged stays so (`InvalidData`).
pub fn unreadable(error: Error) -> io::Error {
    let kind = match &error {
        Error::Io { cause, .. } => cause.kind(),
        _ => ErrorKind::InvalidData,
    };
    io::Error::new(kind, error.to_string())
}

/// The marks in a store: which output is visible, or with its client.
#[derive(Clone, Debug, Default)]
pub struct Marks(BTreeSet<Name>);

impl Marks {
    /// Those that are there.
    ///
    /// # Errors
    /// The storage cannot be read.
    pub fn read(view: &dyn StoreReader) -> Result<Self, Error> {
        let objects = view.list()?;
        Ok(Self(objects.iter().filter_map(|(name, _)| name.parse().ok()).collect()))
    }

    /// Whether there is one for a transaction.
    pub fn has(&self, transaction: &Transaction) -> bool {
        let mark = transaction.name().and_then(Name::mark);
        mark.is_some_and(|mark| self.0.contains(&mark))
    }
}

/// The ids of transactions of this `generation`, in the state with this random number, are from
/// here on.
pub fn first_id(state: u64, generation: u64) -> u128 {
    u128::from(state) << 64 | u128::from(generation) << 32
}

impl Transaction {
    /// The name of its object; `None` for a spool of an earlier version.
    pub fn name(&self) -> Option<Name> {
        let name: Name = self.object.parse().ok()?;
        name.mark().map(|_| name)
    }

    /// Its id, in the state with this random number: greater than those of all that were prepared
    /// for its sink before, in this run and in earlier ones. `None` beyond what fits.
    pub fn id(&self, state: u64) -> Option<u128> {
        let Name { generation, epoch, .. } = self.name()?;
        let generation = u32::try_from(generation).ok()?;
        Some(first_id(state, generation.into()) | u128::from(epoch.0))
    }
}

#[cfg(test)]
mod tests {
    use xxhash_rust::xxh3::xxh3_128;

    use super::*;
    use crate::checkpoint::Epoch;
    use crate::checkpoint::store::{Memory, Store, contract};

    fn transaction(object: &str, bytes: &[u8]) -> Transaction {
        Transaction {
            sink: "out".to_owned(),
            epoch: Epoch(7),
            offset: 0,
            bytes: bytes.len() as u64,
            digest: Some(xxh3_128(bytes)),
            object: object.to_owned(),
            file: None,
        }
    }

    const OBJECT: &str = "output-3-7-0-00000000000000ab";

    #[test]
    fn every_flipped_bit_and_every_cut_is_noticed_before_a_byte_is_handed_out() {
        for length in [1, 9, HELD_BYTES_MAX as usize + 1] {
            let whole: Vec<u8> = (0..length).map(|at| at as u8).collect();
            let store = Memory::new();
            contract::put(&store, OBJECT, &whole);
            let of = transaction(OBJECT, &whole);
            let mut read = Vec::new();
            let mut from = open_output(&store, &of).expect("it is whole");
            from.read_to_end(&mut read).expect("it is in memory");
            assert!(read == whole);
            for at in [0, length / 2, length - 1] {
                let mut flipped = whole.clone();
                flipped[at] ^= 1 << (at % 8);
                for damaged in [&flipped[..], &whole[..at]] {
                    store.damage(OBJECT, damaged);
                    let refused = open_output(&store, &of).err().expect("it is damaged");
                    let text = refused.to_string();
                    assert!(text.contains(OBJECT) && text.contains("--restore EPOCH"), "{text}");
                    assert_eq!(unreadable(refused).kind(), ErrorKind::InvalidData);
                }
            }
        }
    }

    #[test]
    fn output_that_is_missing_is_an_error_whatever_else_is_there() {
        let store = Memory::new();
        store.mark(&"shown-3-7-0-00000000000000ab".parse().expect("a name")).expect("room");
        let of = transaction(OBJECT, b"x");
        assert!(matches!(open_output(&store, &of), Err(Error::Missing { .. })));
        let forged = transaction("../secret", b"x");
        assert!(matches!(open_output(&store, &forged), Err(Error::Name { .. })));
    }

    #[test]
    fn a_mark_is_that_of_one_output() {
        let store = Memory::new();
        store.mark(&"shown-3-7-0-00000000000000ab".parse().expect("a name")).expect("room");
        let marks = Marks::read(&store).expect("it is in memory");
        let has = |object| marks.has(&transaction(object, b"x"));
        assert!(has(OBJECT));
        for other in ["output-3-7-0-00000000000000ac", "output-3-7-1-00000000000000ab", ".x.spool"]
        {
            assert!(!has(other), "{other}");
        }
    }

    #[test]
    fn ids_rise_over_all_runs() {
        let objects = [
            "output-1-1-0-00000000000000ff",
            "output-1-2-0-0000000000000000",
            "output-2-2-0-0000000000000000",
        ];
        let ids = objects.map(|object| transaction(object, b"x").id(9));
        assert!(ids.is_sorted() && ids.iter().all(Option::is_some), "{ids:?}");
        let none = ["part-1-1-0-00000000000000ff", "out", "output-4294967296-1-0-00000000000000ff"];
        assert_eq!(none.map(|object| transaction(object, b"x").id(9)), [None; 3]);
    }
}

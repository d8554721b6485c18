//! Text: the small objects of a checkpoint, for eyes as well as for programs.
//!
//! ```text
//!   potoroo manifest 4                         what it is, and the version of its format
//!   { … }                                      JSON, on as many lines as it likes
//!   xxh3 0123456789abcdef0123456789abcdef      digest of all bytes above this line
//! ```
//!
//! Promises: what was changed, cut off or continued is noticed. The version is read first, so that
//! a newer one is called newer and not damaged.

use serde::Serialize;
use serde::de::DeserializeOwned;
use xxhash_rust::xxh3::xxh3_128;

use super::{CorruptObject, Damage};

/// A kind of text object.
#[derive(Clone, Copy)]
pub(super) struct TextKind {
    /// Its name.
    pub(super) name: &'static str,
    /// Version of the format that is written, and the newest that is read.
    pub(super) format: u32,
}

/// The oldest that is read: what it does not have is optional.
const FORMAT_MIN: u32 = 1;

/// Writes `value` as a text object of this kind.
pub(super) fn write(TextKind { name, format }: TextKind, value: &impl Serialize) -> Vec<u8> {
    let json = serde_json::to_string_pretty(value).expect("names and numbers are always JSON");
    let text = format!("potoroo {name} {format}\n{json}\n");
    let digest = xxh3_128(text.as_bytes());
    format!("{text}xxh3 {digest:032x}\n").into_bytes()
}

/// Reads the text object `object`, which is to be a `kind`.
///
/// # Errors
/// It is none, a newer version wrote it, or it is damaged.
pub(super) fn read<T: DeserializeOwned>(
    object: &str,
    kind: TextKind,
    bytes: &[u8],
) -> Result<T, CorruptObject> {
    let corrupt = |(offset, damage)| CorruptObject { object: object.to_owned(), offset, damage };
    let json = open(kind, bytes).map_err(corrupt)?;
    let understood = serde_json::from_str(json);
    understood.map_err(|error| corrupt((0, Damage::Text(error.to_string()))))
}

fn open(kind: TextKind, bytes: &[u8]) -> Result<&str, (u64, Damage)> {
    let TextKind { name: kind, format: known } = kind;
    let text = std::str::from_utf8(bytes)
        .map_err(|error| (error.valid_up_to() as u64, Damage::Kind(kind)))?;
    let (first, rest) = text.split_once('\n').ok_or((0, Damage::CutOff))?;
    let version = first.strip_prefix("potoroo ").and_then(|text| text.strip_prefix(kind));
    let version = version.and_then(|text| text.strip_prefix(' ')?.parse::<u32>().ok());
    match version.ok_or((0, Damage::Kind(kind)))? {
        found if (FORMAT_MIN..=known).contains(&found) => (),
        found => return Err((0, Damage::Newer { found, known })),
    }
    let end = text.len() as u64;
    let body = rest.strip_suffix('\n').ok_or((end, Damage::CutOff))?;
    let (json, last) = body.rsplit_once('\n').ok_or((end, Damage::CutOff))?;
    let covered = first.len() + 1 + json.len() + 1;
    let digest = format!("xxh3 {:032x}", xxh3_128(&bytes[..covered]));
    if last == digest { Ok(json) } else { Err((covered as u64, Damage::Digest)) }
}

/// The text object in `bytes` as the oldest version that is read would have written it.
#[cfg(test)]
pub(super) fn oldest(bytes: &[u8]) -> Vec<u8> {
    let text = std::str::from_utf8(bytes).expect("it is text");
    let (body, _) = text.rsplit_once("xxh3 ").expect("it has a digest");
    let (first, rest) = body.split_once('\n').expect("it has a first line");
    let (kind, _) = first.rsplit_once(' ').expect("it has a version");
    let body = format!("{kind} {FORMAT_MIN}\n{rest}");
    format!("{body}xxh3 {:032x}\n", xxh3_128(body.as_bytes())).into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    const KIND: TextKind = TextKind { name: "manifest", format: 3 };

    fn example() -> Vec<u8> {
        write(KIND, &vec![1, 2])
    }

    fn damage(bytes: &[u8]) -> String {
        let read = read::<Vec<u8>>("it", KIND, bytes);
        read.expect_err("it is damaged").damage.to_string()
    }

    #[test]
    fn what_was_written_is_read_and_looks_as_documented() {
        let bytes = example();
        assert_eq!(read::<Vec<u8>>("it", KIND, &bytes).expect("it is whole"), [1, 2]);
        let text = String::from_utf8(bytes).expect("it is text");
        assert!(text.starts_with("potoroo manifest 3\n[\n  1,\n  2\n]\nxxh3 "), "{text}");
    }

    #[test]
    fn every_cut_and_every_flipped_bit_is_noticed() {
        let bytes = example();
        (0..bytes.len()).for_each(|end| drop(damage(&bytes[..end])));
        for at in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[at / 8] ^= 1 << (at % 8);
            damage(&flipped);
        }
        damage(&[bytes.as_slice(), b"\n"].concat());
        damage(&[bytes.as_slice(), &bytes].concat());
    }

    #[test]
    fn another_kind_and_a_newer_version_have_messages_of_their_own() {
        let head = TextKind { name: "head", ..KIND };
        assert_eq!(damage(&write(head, &vec![1])), "it is no manifest of Potoroo");
        let newer = example();
        let newer = String::from_utf8(newer).expect("text").replace("manifest 3", "manifest 4");
        assert!(damage(newer.as_bytes()).starts_with("a newer version of Potoroo wrote it"));
    }
}

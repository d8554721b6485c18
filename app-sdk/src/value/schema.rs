//! Schema: a name and a hash of the shape of each stored type, and its values as JSON.
//!
//! rkyv has no schema evolution, so whatever is stored or sent carries the hash of the shape it
//! was written with. The hash covers names of types, names of fields and variants, and their
//! types' shapes, in order. It changes exactly when the meaning of the bytes may have changed.

use alloc::string::String;

/// The identity of a stored type, and how it is shown.
#[diagnostic::on_unimplemented(
    message = "`{Self}` has no schema, so it cannot be stored",
    label = "not an event, value, key or state",
    note = "put `#[event]`, `#[value]`, `#[key]` or `#[state]` on your own type"
)]
pub trait Schema {
    /// Name of the type, without its path.
    const TYPE: &'static str;

    /// Hash of the name and of everything inside: equal shapes have equal archives.
    const SHAPE: u64;

    /// Appends the value as JSON, for people and other programs. Allocates: not for the event path.
    fn json(&self, out: &mut String);
}

/// The schema of a type before its first field.
#[must_use]
pub const fn schema_start(name: &str) -> u64 {
    schema_text(FNV_OFFSET, name)
}

/// The schema `hash` continued with a field or variant of this name and shape.
#[must_use]
pub const fn schema_field(hash: u64, name: &str, shape: u64) -> u64 {
    schema_bytes(schema_text(hash, name), &shape.to_le_bytes())
}

/// The length goes first, so that neighbours cannot swap letters.
const fn schema_text(hash: u64, text: &str) -> u64 {
    let hash = schema_bytes(hash, &(text.len() as u64).to_le_bytes());
    schema_bytes(hash, text.as_bytes())
}

/// FNV-1a, because it can run at compile time in four lines.
const fn schema_bytes(mut hash: u64, bytes: &[u8]) -> u64 {
    let mut index = 0;
    while index < bytes.len() {
        hash = (hash ^ bytes[index] as u64).wrapping_mul(FNV_PRIME);
        index += 1;
    }
    hash
}

const FNV_OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
const FNV_PRIME: u64 = 0x0000_0100_0000_01b3;

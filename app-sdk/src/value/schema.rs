//! Schema: a name and a hash of the shape of each stored type, and its values as JSON.
//!
//! rkyv has no schema evolution, so whatever is stored or sent carries the hash of the shape it
//! was written with. The hash covers names of types, names of fields and variants, and their
//! types' shapes, in order. It changes exactly when the meaning of the bytes may have changed.

use alloc::{
    boxed::Box,
    collections::{BTreeMap, BTreeSet, VecDeque},
    string::String,
    vec::Vec,
};

use super::json::{Fields, list, plain, quote};

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

macro_rules! schema_of {
    ($($type:ty),+ => |$value:ident, $out:ident| $json:expr) => { $(
        impl Schema for $type {
            const TYPE: &'static str = stringify!($type);
            const SHAPE: u64 = schema_start(stringify!($type));

            fn json(&self, $out: &mut String) {
                let $value = self;
                $json
            }
        }
    )+ };
}
schema_of!(u8, u16, u32, u64, u128 => |value, out| plain(value, out));
schema_of!(i8, i16, i32, i64, i128, bool => |value, out| plain(value, out));
schema_of!(char, String => |value, out| quote(value, out));
schema_of!(() => |_value, out| plain("null", out));
schema_of!(f32, f64 => |value, out| match value.is_finite() {
    true => plain(value, out),
    false => quote(value, out),
});

macro_rules! schema_of_list {
    ($($type:ident),+ => |$value:ident, $out:ident| $json:expr) => { $(
        impl<T: Schema> Schema for $type<T> {
            const TYPE: &'static str = stringify!($type);
            const SHAPE: u64 = schema_field(schema_start(Self::TYPE), "", T::SHAPE);

            fn json(&self, $out: &mut String) {
                let $value = self;
                $json
            }
        }
    )+ };
}
schema_of_list!(Vec, VecDeque, BTreeSet => |value, out| list(value, out));
schema_of_list!(Box => |value, out| T::json(value, out));
schema_of_list!(Option => |value, out| match value {
    Some(value) => value.json(out),
    None => plain("null", out),
});

impl Schema for Box<str> {
    const TYPE: &'static str = "Box<str>";
    const SHAPE: u64 = schema_start(Self::TYPE);

    fn json(&self, out: &mut String) {
        quote(self, out);
    }
}

impl<T: Schema> Schema for Box<[T]> {
    const TYPE: &'static str = "Box<[]>";
    const SHAPE: u64 = schema_field(schema_start(Self::TYPE), "", T::SHAPE);

    fn json(&self, out: &mut String) {
        list(self, out);
    }
}

impl<T: Schema, const N: usize> Schema for [T; N] {
    const TYPE: &'static str = "array";
    const SHAPE: u64 =
        schema_field(schema_field(schema_start(Self::TYPE), "", T::SHAPE), "length", N as u64);

    fn json(&self, out: &mut String) {
        list(self, out);
    }
}

impl<K: Schema, V: Schema> Schema for BTreeMap<K, V> {
    const TYPE: &'static str = "BTreeMap";
    const SHAPE: u64 =
        schema_field(schema_field(schema_start(Self::TYPE), "", K::SHAPE), "", V::SHAPE);

    fn json(&self, out: &mut String) {
        let mut pairs = Fields::list(out);
        self.iter().for_each(|(key, value)| pairs.pair(key, value));
        pairs.end();
    }
}

macro_rules! schema_of_tuple {
    ($($part:ident $index:tt),+) => {
        impl<$($part: Schema),+> Schema for ($($part,)+) {
            const TYPE: &'static str = "tuple";
            const SHAPE: u64 = {
                let hash = schema_start("tuple");
                $( let hash = schema_field(hash, "", $part::SHAPE); )+
                hash
            };

            fn json(&self, out: &mut String) {
                let mut parts = Fields::list(out);
                $( parts.item(&self.$index); )+
                parts.end();
            }
        }
    };
}
each_tuple!(schema_of_tuple);

//! Shapes: the schemas of Rust's own types.

use alloc::{
    boxed::Box,
    collections::{BTreeMap, BTreeSet, VecDeque},
    string::String,
    vec::Vec,
};

use super::json::{JsonFields, list, plain, quote};
use super::schema::{Schema, schema_field, schema_start};

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
        let mut pairs = JsonFields::list(out);
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
                let mut parts = JsonFields::list(out);
                $( parts.item(&self.$index); )+
                parts.end();
            }
        }
    };
}
each_tuple!(schema_of_tuple);

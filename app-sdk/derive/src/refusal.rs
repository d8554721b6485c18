//! Types that can never be stored, refused by their spelling, each with its remedy.
//!
//! The compiler refuses them too, but cannot name a remedy.

use crate::kind::AttributeKind;
use syn::{GenericArgument, PathArguments, Type};

/// A part of a field's type that cannot be stored, and what to do about it.
pub struct Refusal<'a> {
    pub refused: &'a Type,
    pub remedy: &'static str,
}

/// The first refused type in `leaf`, or nothing: the compiler checks the other types.
pub fn find(kind: AttributeKind, leaf: &Type) -> Option<Refusal<'_>> {
    let remedy = match leaf {
        Type::Path(path) => {
            let last = path.path.segments.last()?;
            let inner = || within(kind, &last.arguments);
            let name = last.ident.to_string();
            let named = |list: &[(&str, &'static str)]| {
                list.iter().find(|(refused, _)| *refused == name).map(|(_, remedy)| *remedy)
            };
            match named(kind_refused(kind)).or_else(|| named(&REFUSED)) {
                Some(remedy) => remedy,
                None => return inner(),
            }
        }
        Type::Tuple(tuple) if tuple.elems.len() > TUPLE_PARTS_MAX => {
            "a tuple has at most six parts; make it a struct with `#[value]`"
        }
        Type::Reference(_) => "a stored type owns its data; use `String`, `Vec` or the value",
        Type::Ptr(_) => "a pointer means nothing when it is read again; hold the value",
        Type::FnPtr(_) | Type::TraitObject(_) => {
            "code is not stored; use an enum that says what to do"
        }
        _ => return None,
    };
    Some(Refusal { refused: leaf, remedy })
}

fn within(kind: AttributeKind, arguments: &PathArguments) -> Option<Refusal<'_>> {
    let PathArguments::AngleBracketed(arguments) = arguments else { return None };
    arguments.args.iter().find_map(|one| match one {
        GenericArgument::Type(inner) => find(kind, inner),
        _ => None,
    })
}

const fn kind_refused(kind: AttributeKind) -> &'static [(&'static str, &'static str)] {
    match kind {
        AttributeKind::State => &[],
        AttributeKind::Key => &KEY_REFUSED,
        AttributeKind::Event | AttributeKind::Value => &EVENT_REFUSED,
    }
}

/// Parts of the longest tuple that is a value.
pub const TUPLE_PARTS_MAX: usize = 6;

const EVENT_REFUSED: [(&str, &str); 5] = [
    ("HashMap", "its order differs from run to run; use a `Vec` of pairs"),
    ("HashSet", "its order differs from run to run; use a `Vec`"),
    ("BTreeMap", "maps are in `#[state]` types only; use a `Vec` of pairs"),
    ("BTreeSet", "sets are in `#[state]` types only; use a `Vec`"),
    ("VecDeque", "queues are in `#[state]` types only; use a `Vec`"),
];

const KEY_REFUSED: [(&str, &str); 2] = [
    ("f32", "NaN is not equal to itself; use an integer in the smallest unit"),
    ("f64", "NaN is not equal to itself; use an integer in the smallest unit"),
];

const REFUSED: [(&str, &str); 14] = [
    ("usize", "its size differs between machines; use `u64` or `u32`"),
    ("isize", "its size differs between machines; use `i64` or `i32`"),
    ("HashMap", "its order differs from run to run; use `BTreeMap`"),
    ("HashSet", "its order differs from run to run; use `BTreeSet`"),
    ("Rc", "sharing is lost when it is read again; hold the value itself"),
    ("Arc", "sharing is lost when it is read again; hold the value itself"),
    ("Cell", "handlers get `&mut`; hold the value itself"),
    ("RefCell", "handlers get `&mut`; hold the value itself"),
    ("Mutex", "a key has one owner at a time; hold the value itself"),
    ("RwLock", "a key has one owner at a time; hold the value itself"),
    ("Instant", "it means nothing on another machine; use `u64` nanoseconds"),
    ("SystemTime", "use `u64` nanoseconds"),
    ("Duration", "use `u64` nanoseconds"),
    ("Cow", "a stored type owns its data; use `String` or `Vec`"),
];

//! The types in a field's type that the containers around them do not answer for.

use crate::kind::AttributeKind;
use crate::refusal::TUPLE_PARTS_MAX;
use syn::{GenericArgument, PathArguments, Type};

/// The elements of lists, options, tuples and arrays; a type that is none of these itself.
pub fn of(kind: AttributeKind, field: &Type) -> Vec<&Type> {
    let inner: Vec<&Type> = match field {
        Type::Tuple(tuple) if tuple.elems.len() <= TUPLE_PARTS_MAX => tuple.elems.iter().collect(),
        Type::Array(array) => vec![&array.elem],
        Type::Paren(inner) => vec![&inner.elem],
        Type::Group(inner) => vec![&inner.elem],
        Type::Path(path) => match path.path.segments.last() {
            Some(last) if containers(kind).iter().any(|one| last.ident == one) => {
                arguments(&last.arguments)
            }
            _ => Vec::new(),
        },
        Type::Slice(slice) => vec![&slice.elem],
        _ => Vec::new(),
    };
    let text = |one: &&Type| matches!(one, Type::Path(path) if path.path.is_ident("str"));
    if inner.is_empty() || inner.iter().any(text) {
        vec![field]
    } else {
        inner.into_iter().flat_map(|one| of(kind, one)).collect()
    }
}

fn arguments(arguments: &PathArguments) -> Vec<&Type> {
    let PathArguments::AngleBracketed(arguments) = arguments else { return Vec::new() };
    let types = arguments.args.iter().filter_map(|one| match one {
        GenericArgument::Type(inner) => Some(inner),
        _ => None,
    });
    types.collect()
}

/// What the SDK can store whenever it can store what is in it; only states hold the last ones.
fn containers(kind: AttributeKind) -> &'static [&'static str] {
    if kind == AttributeKind::State { &CONTAINERS } else { &CONTAINERS[..3] }
}

const CONTAINERS: [&str; 6] = ["Option", "Vec", "Box", "VecDeque", "BTreeMap", "BTreeSet"];

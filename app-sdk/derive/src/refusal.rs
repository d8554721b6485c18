//! Field types that can never be stored, refused by their spelling.
//!
//! The compiler would refuse them too, with a page of traits that the user has never heard of.

use syn::{GenericArgument, PathArguments, Type, TypePath, spanned::Spanned};

/// Refuses a field's type, or says nothing: whether it can be stored shows later.
pub fn check(field: &Type) -> syn::Result<()> {
    match field {
        Type::Path(path) => check_path(path),
        Type::Tuple(tuple) => tuple.elems.iter().try_for_each(check),
        Type::Array(array) => check(&array.elem),
        Type::Paren(inner) => check(&inner.elem),
        Type::Group(inner) => check(&inner.elem),
        Type::Reference(_) => refuse(field, "a stored type owns its data: use `String`, `Vec`, …"),
        Type::Ptr(_) => refuse(field, "a pointer means nothing when it is read again"),
        _ => Ok(()),
    }
}

fn check_path(path: &TypePath) -> syn::Result<()> {
    let Some(last) = path.path.segments.last() else { return Ok(()) };
    let name = last.ident.to_string();
    if let Some((_, remedy)) = REFUSED.iter().find(|(refused, _)| *refused == name) {
        return refuse(path, remedy);
    }
    let PathArguments::AngleBracketed(arguments) = &last.arguments else { return Ok(()) };
    arguments.args.iter().try_for_each(|one| match one {
        GenericArgument::Type(inner) => check(inner),
        _ => Ok(()),
    })
}

fn refuse(place: &impl Spanned, remedy: &str) -> syn::Result<()> {
    Err(syn::Error::new(place.span(), format!("this cannot be stored: {remedy}")))
}

const REFUSED: [(&str, &str); 12] = [
    ("usize", "its size differs between machines, use `u64` or `u32`"),
    ("isize", "its size differs between machines, use `i64` or `i32`"),
    ("HashMap", "its order differs from run to run, use `BTreeMap`"),
    ("HashSet", "its order differs from run to run, use `BTreeSet`"),
    ("Rc", "sharing is lost when it is read again, hold the value itself"),
    ("Arc", "sharing is lost when it is read again, hold the value itself"),
    ("Cell", "handlers get `&mut`, hold the value itself"),
    ("RefCell", "handlers get `&mut`, hold the value itself"),
    ("Mutex", "a key has one owner at a time, hold the value itself"),
    ("RwLock", "a key has one owner at a time, hold the value itself"),
    ("Instant", "it means nothing on another machine, use `u64` nanoseconds"),
    ("SystemTime", "use `u64` nanoseconds"),
];

//! The derives that a type needs and does not have yet.

use crate::check;
use crate::item::AnnotatedType;
use crate::kind::AttributeKind;
use proc_macro2::TokenStream;
use quote::quote;
use syn::{Attribute, Data, Path, Token, punctuated::Punctuated};

/// `impl Copy` for plain data that does not derive it.
pub fn copy(item: &AnnotatedType) -> Option<TokenStream> {
    let wanted = item.plain && item.kind != AttributeKind::State;
    if !wanted || present(&item.input.attrs).iter().any(|one| one == "Copy") {
        return None;
    }
    let (name, sound) = (item.name(), check::sound(item));
    Some(quote!(impl ::core::marker::Copy for #name #sound {}))
}

/// `#[derive(…)]` with what is missing, or nothing.
pub fn missing(item: &AnnotatedType) -> TokenStream {
    let present = present(&item.input.attrs);
    let missing: Vec<_> = wanted(item)
        .into_iter()
        .filter(|(name, _)| !present.iter().any(|one| one == name))
        .map(|(_, path)| path)
        .collect();
    if missing.is_empty() { TokenStream::new() } else { quote!(#[derive(#(#missing),*)]) }
}

fn wanted(item: &AnnotatedType) -> Vec<(&'static str, TokenStream)> {
    let mut wanted = vec![
        ("Clone", quote!(::core::clone::Clone)),
        ("Debug", quote!(::core::fmt::Debug)),
        ("PartialEq", quote!(::core::cmp::PartialEq)),
    ];
    if item.kind == AttributeKind::State {
        wanted.extend(has_default(item).then(|| ("Default", quote!(::core::default::Default))));
        return wanted;
    }
    if item.kind == AttributeKind::Key {
        wanted.push(("Eq", quote!(::core::cmp::Eq)));
        wanted.push(("Hash", quote!(::core::hash::Hash)));
        wanted.push(("PartialOrd", quote!(::core::cmp::PartialOrd)));
        wanted.push(("Ord", quote!(::core::cmp::Ord)));
    }
    wanted
}

/// Whether `Default` can and shall be derived.
fn has_default(item: &AnnotatedType) -> bool {
    let possible = match &item.input.data {
        Data::Enum(data) => data
            .variants
            .iter()
            .any(|one| one.attrs.iter().any(|attribute| attribute.path().is_ident("default"))),
        _ => true,
    };
    possible && !item.arguments.default_manual
}

/// Last segments of what the type derives already.
fn present(attributes: &[Attribute]) -> Vec<String> {
    let derives = attributes.iter().filter(|attribute| attribute.path().is_ident("derive"));
    derives
        .filter_map(|one| one.parse_args_with(Punctuated::<Path, Token![,]>::parse_terminated).ok())
        .flatten()
        .filter_map(|path| path.segments.last().map(|last| last.ident.to_string()))
        .collect()
}

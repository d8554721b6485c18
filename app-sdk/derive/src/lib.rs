//! The attributes of `potoroo-sdk`: `#[event]`, `#[value]`, `#[key]` and `#[state]`.
//!
//! Owns the code that makes a Rust type storable: its archive, its schema, and the view that
//! handlers get. Each attribute also adds the derives that its trait needs and that are missing,
//! so a type is one line of attribute and its fields.
//!
//! Promises: generated names begin with two underscores, except the view (`QuoteView`); the
//! code works in a crate that depends on `potoroo` alone, or on `potoroo-sdk` alone.
//! Must never do: emit `unsafe` of ours, or decide anything that the type's text does not show.

// In reading order; the blank lines keep it.
mod kind;
mod location;

mod arguments;

mod item;
mod leaves;

mod check;
mod refusal;

mod storage;

mod view;

mod schema;

mod key;

mod derives;

use item::AnnotatedType;
use kind::AttributeKind;
use proc_macro::TokenStream;
use quote::quote;

/// Makes a struct or enum an event: what streams are made of.
///
/// Adds what is missing of `Clone`, `Debug`, `PartialEq`, and of `Copy` for plain data. Handlers
/// see plain data as it is. When a field's type is, or contains, `String`, `Vec` or `Box`, they see
/// a generated twin with `View` at the end of its name, which borrows: `&str` for `String`, `Seq`
/// for `Vec`. Put other derives *below* this attribute.
///
/// - `#[event(view)]` generates the twin although no such type is to be seen, because a field's own
///   type has one.
/// - `#[event(crate = some::path)]` names the SDK, if it is re-exported elsewhere.
#[proc_macro_attribute]
pub fn event(arguments: TokenStream, item: TokenStream) -> TokenStream {
    expand(AttributeKind::Event, arguments, item)
}

/// Makes a struct or enum a value: a part of events and states.
///
/// Takes the same arguments and adds the same derives as `#[event]`.
#[proc_macro_attribute]
pub fn value(arguments: TokenStream, item: TokenStream) -> TokenStream {
    expand(AttributeKind::Value, arguments, item)
}

/// Makes a struct of keys, or an enum without fields, a key.
///
/// Takes the same arguments as `#[event]`; adds `Eq`, `Hash`, `PartialOrd` and `Ord` to its
/// derives. The hash of an enum is that of its discriminant: giving variants numbers makes it
/// independent of their order.
#[proc_macro_attribute]
pub fn key(arguments: TokenStream, item: TokenStream) -> TokenStream {
    expand(AttributeKind::Key, arguments, item)
}

/// Makes a struct or enum a state: what a table remembers for one key.
///
/// Adds what is missing of `Clone`, `Debug`, `PartialEq`, and `Default` for structs and for enums
/// with a `#[default]` variant. `#[state(default = manual)]` leaves `Default` to you.
#[proc_macro_attribute]
pub fn state(arguments: TokenStream, item: TokenStream) -> TokenStream {
    expand(AttributeKind::State, arguments, item)
}

fn expand(kind: AttributeKind, arguments: TokenStream, input: TokenStream) -> TokenStream {
    let item = AnnotatedType::parse(kind, arguments.into(), input.clone().into());
    let result = item.map(|item| expand_item(&item));
    result.unwrap_or_else(|error| keep(error, input)).into()
}

fn expand_item(item: &AnnotatedType) -> proc_macro2::TokenStream {
    let checks = check::checks(item);
    if check::refuses(item) {
        let input = &item.input;
        return quote!(#checks #input);
    }
    let storable = storage::storable(item);
    let copy = derives::copy(item);
    let archive = storage::archive(item);
    let schema = schema::schema(item);
    let view = view::view_type(item);
    let value = (item.kind != AttributeKind::State).then(|| view::value(item));
    let event = (item.kind == AttributeKind::Event).then(|| view::event(item));
    let key = (item.kind == AttributeKind::Key).then(|| key::key(item));
    quote! {
        #checks
        #storable
        #view
        #[automatically_derived]
        const _: () = { #copy #archive #schema #value #event #key };
    }
}

/// The error and the item as it was, so that its uses do not add errors of their own.
fn keep(error: syn::Error, input: TokenStream) -> proc_macro2::TokenStream {
    let error = error.to_compile_error();
    let input = proc_macro2::TokenStream::from(input);
    quote!(#error #input)
}

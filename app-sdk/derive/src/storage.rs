//! The type itself with its derives, and checks that explain before the compiler complains.

use crate::{
    derives,
    item::{Item, Kind},
};
use proc_macro2::TokenStream;
use quote::{format_ident, quote, quote_spanned};
use syn::spanned::Spanned;

/// The type as the user wrote it, with the missing derives and the archive.
pub fn storable(item: &Item) -> TokenStream {
    let (support, input) = (item.support(), &item.input);
    let derives = derives::missing(item);
    let archived = item.archived_name();
    let resolver = format_ident!("__{}Resolver", item.name());
    quote! {
        #derives
        #[derive(
            #support::rkyv::Archive, #support::rkyv::Serialize, #support::rkyv::Deserialize,
        )]
        #[rkyv(
            crate = #support::rkyv, archived = #archived, resolver = #resolver, attr(doc(hidden)),
        )]
        #input
    }
}

/// Calls of empty functions whose bounds have a message of ours, at the place of each field's type.
pub fn checks(item: &Item) -> TokenStream {
    let support = item.support();
    let check = match (item.kind, item.plain) {
        (Kind::State, _) => quote!(state),
        (_, true) => quote!(plain),
        (_, false) => quote!(value),
    };
    let calls = item.fields().map(|field| {
        let field = &field.ty;
        quote_spanned!(field.span()=> #support::#check::<#field>();)
    });
    quote!(const _: () = { #(#calls)* };)
}

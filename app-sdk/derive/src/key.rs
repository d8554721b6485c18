//! `impl Key`: the canonical bytes.

use crate::check;
use crate::item::{AnnotatedType, BoundField};
use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::{Data, spanned::Spanned};

/// A struct appends its fields, an enum its discriminant.
pub fn key(item: &AnnotatedType) -> TokenStream {
    let (sdk, name) = (&item.sdk, item.name());
    let (append, hash) = match &item.input.data {
        Data::Enum(_) => discriminant(item),
        _ => fields(item),
    };
    let sound = check::bound(item, &quote!(#sdk::key::Key));
    quote! {
        #[automatically_derived]
        impl #sdk::key::Key for #name #sound {
            #[inline]
            fn append(&self, __bytes: &mut #sdk::key::KeyBytes) {
                #append
            }

            #hash
        }
    }
}

fn fields(item: &AnnotatedType) -> (TokenStream, Option<TokenStream>) {
    let shapes = item.shapes();
    let parts = shapes.iter().flat_map(|shape| &shape.fields).collect::<Vec<_>>();
    let append = parts.iter().map(|part| append(item, part));
    let append = quote!(#(#append)*);
    (append, (parts.len() == 1).then(|| delegate(item, parts[0])))
}

fn append(item: &AnnotatedType, part: &BoundField<'_>) -> TokenStream {
    let (sdk, member, field) = (&item.sdk, &part.member, &part.field.ty);
    quote_spanned!(field.span()=> <#field as #sdk::key::Key>::append(&self.#member, __bytes);)
}

/// A struct of one field hashes as the field does, whatever form that takes.
fn delegate(item: &AnnotatedType, part: &BoundField<'_>) -> TokenStream {
    let (sdk, member, field) = (&item.sdk, &part.member, &part.field.ty);
    quote! {
        #[inline]
        fn hash(&self) -> u64 {
            <#field as #sdk::key::Key>::hash(&self.#member)
        }
    }
}

fn discriminant(item: &AnnotatedType) -> (TokenStream, Option<TokenStream>) {
    let sdk = &item.sdk;
    let append = quote!(<i64 as #sdk::key::Key>::append(&(*self as i64), __bytes));
    let hash = quote! {
        #[inline]
        fn hash(&self) -> u64 {
            <i64 as #sdk::key::Key>::hash(&(*self as i64))
        }
    };
    (append, Some(hash))
}

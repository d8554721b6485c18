//! `impl Schema`: the hash of names and shapes.

use crate::item::{Item, Shape, literal};
use proc_macro2::TokenStream;
use quote::{ToTokens, quote};

/// The name and the shape of the type.
pub fn schema(item: &Item) -> TokenStream {
    let (sdk, support, name) = (&item.sdk, item.support(), item.name());
    let text = literal(name);
    let steps = item.shapes().into_iter().map(|shape| steps(item, &shape)).collect::<Vec<_>>();
    quote! {
        #[automatically_derived]
        impl #sdk::value::Schema for #name {
            const TYPE: &'static str = #text;
            const SHAPE: u64 = {
                let __hash = #support::schema_start(#text);
                #(#steps)*
                __hash
            };
        }
    }
}

fn steps(item: &Item, shape: &Shape<'_>) -> TokenStream {
    let (sdk, support) = (&item.sdk, item.support());
    let variant = shape.variant.iter().map(|name| {
        let name = literal(name);
        let count = shape.fields.len() as u64;
        quote!(let __hash = #support::schema_field(__hash, #name, #count);)
    });
    let fields = shape.fields.iter().map(|part| {
        let name = literal(&part.member.to_token_stream());
        let field = &part.field.ty;
        quote! {
            let __hash = #support::schema_field(
                __hash, #name, <#field as #sdk::value::Schema>::SHAPE,
            );
        }
    });
    quote!(#(#variant)* #(#fields)*)
}

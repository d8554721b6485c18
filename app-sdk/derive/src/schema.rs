//! `impl Schema`: the hash of names and shapes, and values as JSON.

use crate::check;
use crate::item::{AnnotatedType, Shape, literal};
use proc_macro2::TokenStream;
use quote::{ToTokens, quote};

/// The name and the shape of the type.
pub fn schema(item: &AnnotatedType) -> TokenStream {
    let (sdk, support, name) = (&item.sdk, item.support(), item.name());
    let text = literal(name);
    let steps = item.shapes().into_iter().map(|shape| steps(item, &shape)).collect::<Vec<_>>();
    let arms = item.shapes().into_iter().map(|shape| arm(item, &shape)).collect::<Vec<_>>();
    let sound = check::sound(item);
    quote! {
        #[automatically_derived]
        impl #sdk::value::Schema for #name #sound {
            const TYPE: &'static str = #text;
            const SHAPE: u64 = {
                let __hash = #support::schema_start(#text);
                #(#steps)*
                __hash
            };

            fn json(&self, __out: &mut #support::String) {
                match self { #(#arms)* }
            }
        }
    }
}

fn steps(item: &AnnotatedType, shape: &Shape<'_>) -> TokenStream {
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

/// How a value of one shape is written as JSON.
fn arm(item: &AnnotatedType, shape: &Shape<'_>) -> TokenStream {
    let support = item.support();
    let pattern = shape.pattern(item.name());
    let fields = fields(item, shape);
    let Some(variant) = shape.variant else { return quote!(#pattern => { #fields }) };
    let name = literal(variant);
    if shape.fields.is_empty() {
        return quote!(#pattern => #support::quote(#name, __out),);
    }
    quote! {
        #pattern => {
            __out.push('{');
            #support::quote(#name, __out);
            __out.push(':');
            #fields
            __out.push('}');
        }
    }
}

fn fields(item: &AnnotatedType, shape: &Shape<'_>) -> TokenStream {
    let (sdk, support) = (&item.sdk, item.support());
    let named = matches!(shape.fields.first(), Some(part) if part.field.ident.is_some());
    if let ([part], false) = (&shape.fields[..], named) {
        let binding = &part.binding;
        return quote!(#sdk::value::Schema::json(#binding, __out););
    }
    let begin = if named { quote!(object) } else { quote!(list) };
    let parts = shape.fields.iter().map(|part| {
        let binding = &part.binding;
        match &part.field.ident {
            Some(name) => {
                let name = literal(name);
                quote!(__fields.field(#name, #binding);)
            }
            None => quote!(__fields.item(#binding);),
        }
    });
    quote! {
        let mut __fields = #support::JsonFields::#begin(__out);
        #(#parts)*
        __fields.end();
    }
}

//! `impl Value`: what handlers see, and how it is built.

use crate::check;
use crate::item::{AnnotatedType, Shape};
use crate::kind::AttributeKind;
use proc_macro2::TokenStream;
use quote::quote;
use syn::{Attribute, Data, DeriveInput, Fields, parse_quote};

/// `impl Event`.
pub fn event(item: &AnnotatedType) -> TokenStream {
    let (sdk, name, sound) = (&item.sdk, item.name(), check::sound(item));
    quote! {
        #[automatically_derived]
        impl #sdk::value::Event for #name #sound {}
    }
}

/// `impl Value`, with the view type if it is another one.
pub fn value(item: &AnnotatedType) -> TokenStream {
    match item.plain {
        true => value_plain(item),
        false => value_borrowing(item),
    }
}

fn value_plain(item: &AnnotatedType) -> TokenStream {
    let (support, name, sound) = (item.support(), item.name(), check::sound(item));
    let implementation = implementation(item, &quote!(Self), &quote!(*self));
    quote! {
        #implementation

        #[automatically_derived]
        impl #support::Plain for #name #sound {}
    }
}

fn value_borrowing(item: &AnnotatedType) -> TokenStream {
    let view_name = item.view_name();
    let arms = arms(item, item.name(), "lend");
    implementation(item, &quote!(#view_name<'__a>), &quote!(match self { #(#arms)* }))
}

fn implementation(item: &AnnotatedType, view: &TokenStream, lend: &TokenStream) -> TokenStream {
    let (sdk, support, name) = (&item.sdk, item.support(), item.name());
    let types = item.fields().map(|field| &field.ty);
    let arms = arms(item, &item.archived_name(), "view");
    let sound = check::sound(item);
    quote! {
        #[automatically_derived]
        impl #sdk::value::Value for #name #sound {
            type View<'__a> = #view;
            const PLAIN: bool = true #(&& <#types as #sdk::value::Value>::PLAIN)*;

            #[inline]
            fn view(__archived: &#support::rkyv::Archived<Self>) -> Self::View<'_> {
                match __archived { #(#arms)* }
            }

            #[inline]
            fn lend(&self) -> Self::View<'_> {
                #lend
            }
        }
    }
}

/// One arm per constructor: takes a `source` apart and puts a view together.
fn arms(item: &AnnotatedType, source: &syn::Ident, method: &str) -> Vec<TokenStream> {
    let view = item.view_name();
    item.shapes().iter().map(|shape| arm(item, shape, source, &view, method)).collect()
}

fn arm(
    item: &AnnotatedType,
    shape: &Shape<'_>,
    source: &syn::Ident,
    view: &syn::Ident,
    method: &str,
) -> TokenStream {
    let sdk = &item.sdk;
    let method = quote::format_ident!("{method}");
    let (pattern, path) = (shape.pattern(source), shape.path(view));
    let fields = shape.fields.iter().map(|part| {
        let (member, binding, field) = (&part.member, &part.binding, &part.field.ty);
        quote!(#member: <#field as #sdk::value::Value>::#method(#binding),)
    });
    quote!(#pattern => #path { #(#fields)* },)
}

/// The twin with borrowing fields: same shape, same visibility, same documentation.
pub fn view_type(item: &AnnotatedType) -> Option<TokenStream> {
    if item.plain || item.kind == AttributeKind::State {
        return None;
    }
    let mut view: DeriveInput = item.input.clone();
    view.ident = item.view_name();
    view.generics = parse_quote!(<'__a>);
    let sound = check::sound(item);
    view.generics.where_clause = Some(parse_quote!(#sound));
    let doc = format!("What handlers see of a [`{}`].", item.name());
    view.attrs = vec![
        parse_quote!(#[doc = #doc]),
        parse_quote!(#[derive(
            ::core::clone::Clone, ::core::marker::Copy, ::core::fmt::Debug, ::core::cmp::PartialEq,
        )]),
    ];
    match &mut view.data {
        Data::Struct(data) => view_fields(item, &mut data.fields),
        Data::Enum(data) => data.variants.iter_mut().for_each(|one| {
            one.discriminant = None;
            one.attrs.retain(is_doc);
            view_fields(item, &mut one.fields);
        }),
        Data::Union(_) => {}
    }
    Some(quote!(#view))
}

fn view_fields(item: &AnnotatedType, fields: &mut Fields) {
    let sdk = &item.sdk;
    for field in fields.iter_mut() {
        let own = &field.ty;
        field.ty = parse_quote!(<#own as #sdk::value::Value>::View<'__a>);
        field.attrs.retain(is_doc);
    }
}

fn is_doc(attribute: &Attribute) -> bool {
    attribute.path().is_ident("doc")
}

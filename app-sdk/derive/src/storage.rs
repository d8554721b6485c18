//! The type itself with its derives, and its archive.
//!
//! The archive is derived on a hidden mirror of the type, inside a constant that nobody can name:
//! so the user's module gets no name, and its documentation no item, that the user did not write.
//! The type forwards to its mirror.

use crate::{
    derives,
    item::{Item, Kind},
};
use proc_macro2::TokenStream;
use quote::{format_ident, quote, quote_spanned};
use syn::{Data, DeriveInput, Fields, parse_quote, spanned::Spanned};

/// The type as the user wrote it, with the missing derives.
pub fn storable(item: &Item) -> TokenStream {
    let (derives, input) = (derives::missing(item), &item.input);
    quote!(#derives #input)
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

/// The mirror, its archive, and the implementations that forward to it.
pub fn archive(item: &Item) -> TokenStream {
    let mirror = mirror(item);
    let owned = from_mirror(item);
    let forward = forward(item);
    quote!(#mirror #owned #forward)
}

fn mirror(item: &Item) -> TokenStream {
    let (support, name, archived) = (item.support(), item.name(), item.archived_name());
    let resolver = format_ident!("__{name}Resolver");
    let mut mirror: DeriveInput = item.input.clone();
    mirror.ident = item.mirror_name();
    mirror.vis = parse_quote!(pub);
    mirror.attrs = vec![parse_quote!(#[allow(dead_code)])];
    match &mut mirror.data {
        Data::Struct(data) => mirror_fields(&mut data.fields),
        Data::Enum(data) => data.variants.iter_mut().for_each(|one| {
            one.attrs.clear();
            one.discriminant = None;
            mirror_fields(&mut one.fields);
        }),
        Data::Union(_) => {}
    }
    quote! {
        #[derive(
            #support::rkyv::Archive, #support::rkyv::Serialize, #support::rkyv::Deserialize,
        )]
        #[rkyv(
            crate = #support::rkyv, remote = #name, archived = #archived, resolver = #resolver,
        )]
        #mirror
    }
}

fn mirror_fields(fields: &mut Fields) {
    fields.iter_mut().for_each(|field| field.attrs.clear());
}

/// How a restored mirror becomes the type.
fn from_mirror(item: &Item) -> TokenStream {
    let (name, mirror) = (item.name(), item.mirror_name());
    let arms = item.shapes().into_iter().map(|shape| {
        let (pattern, whole) = (shape.pattern(&mirror), shape.pattern(name));
        quote!(#pattern => #whole,)
    });
    quote! {
        impl ::core::convert::From<#mirror> for #name {
            #[inline]
            fn from(__mirror: #mirror) -> Self {
                match __mirror { #(#arms)* }
            }
        }
    }
}

fn forward(item: &Item) -> TokenStream {
    let (support, name, mirror) = (item.support(), item.name(), item.mirror_name());
    let rkyv = quote!(#support::rkyv);
    let with = quote!(<#mirror as #rkyv::with::ArchiveWith<#name>>);
    quote! {
        impl #rkyv::Archive for #name {
            type Archived = #with::Archived;
            type Resolver = #with::Resolver;

            #[inline]
            fn resolve(&self, __resolver: Self::Resolver, __out: #rkyv::Place<Self::Archived>) {
                #with::resolve_with(self, __resolver, __out);
            }
        }

        impl<__S> #rkyv::Serialize<__S> for #name
        where
            __S: #rkyv::rancor::Fallible + ?Sized,
            #mirror: #rkyv::with::SerializeWith<#name, __S>,
        {
            #[inline]
            fn serialize(&self, __serializer: &mut __S) -> Result<Self::Resolver, __S::Error> {
                <#mirror as #rkyv::with::SerializeWith<#name, __S>>::serialize_with(
                    self, __serializer,
                )
            }
        }

        impl<__D> #rkyv::Deserialize<#name, __D> for #with::Archived
        where
            __D: #rkyv::rancor::Fallible + ?Sized,
            #mirror: #rkyv::with::DeserializeWith<#with::Archived, #name, __D>,
        {
            #[inline]
            fn deserialize(&self, __deserializer: &mut __D) -> Result<#name, __D::Error> {
                <#mirror as #rkyv::with::DeserializeWith<_, #name, __D>>::deserialize_with(
                    self, __deserializer,
                )
            }
        }
    }
}

//! The type itself with its derives, and its archive.
//!
//! The archive is derived on a hidden mirror of the type, inside a constant without a name:
//! so the user's module gets no name, and its documentation no item, that the user did not write.
//! The type forwards to its mirror.

use crate::{check, derives, item::AnnotatedType};
use proc_macro2::{Span, TokenStream};
use quote::{format_ident, quote};
use syn::{Data, DeriveInput, Fields, Visibility, parse_quote};

/// The type as the user wrote it, with the missing derives.
pub fn storable(item: &AnnotatedType) -> TokenStream {
    let (derives, input) = (derives::missing(item), &item.input);
    quote!(#derives #input)
}

/// The mirror, its archive, and the implementations that forward to it.
pub fn archive(item: &AnnotatedType) -> TokenStream {
    let mirror = mirror(item);
    let owned = from_mirror(item);
    let forward = forward(item);
    quote!(#mirror #owned #forward)
}

fn mirror(item: &AnnotatedType) -> TokenStream {
    let (support, name, archived) = (item.support(), item.name(), item.archived_name());
    let resolver = format_ident!("__{name}Resolver");
    let mut mirror: DeriveInput = item.input.clone();
    mirror.ident = item.mirror_name();
    mirror.attrs.clear();
    mirror.vis = generated(mirror.vis);
    let rkyv = quote!(#support::rkyv);
    let check_bytes = quote!(#rkyv::bytecheck::CheckBytes<__C>);
    let types: Vec<_> = item.fields().map(|field| &field.ty).collect();
    let sound = check::sound(item);
    mirror.generics.where_clause = Some(parse_quote!(#sound));
    match &mut mirror.data {
        Data::Struct(data) => {
            data.struct_token.span = Span::call_site();
            mirror_fields(&mut data.fields);
        }
        Data::Enum(data) => {
            data.enum_token.span = Span::call_site();
            data.variants.iter_mut().for_each(|one| {
                one.attrs.clear();
                one.discriminant = None;
                mirror_fields(&mut one.fields);
            });
        }
        Data::Union(_) => {}
    }
    quote! {
        #[derive(
            #rkyv::Archive, #rkyv::Serialize, #rkyv::Deserialize,
        )]
        #[rkyv(
            crate = #rkyv, remote = #name, archived = #archived, resolver = #resolver,
            serialize_bounds(#(for<'__a> #types: #rkyv::Serialize<__S>),*),
            deserialize_bounds(
                #(for<'__a> <#types as #rkyv::Archive>::Archived: #rkyv::Deserialize<#types, __D>),*
            ),
            bytecheck(bounds(
                #(for<'__a> <#types as #rkyv::Archive>::Archived: #check_bytes),*
            )),
        )]
        #mirror
    }
}

fn mirror_fields(fields: &mut Fields) {
    fields.iter_mut().for_each(|field| {
        field.attrs = vec![parse_quote!(#[rkyv(omit_bounds)])];
        field.vis = Visibility::Inherited;
    });
}

/// The visibility as a token of the macro: lints leave alone what begins with one.
fn generated(mut visibility: Visibility) -> Visibility {
    match &mut visibility {
        Visibility::Public(token) => token.span = Span::call_site(),
        Visibility::Restricted(restricted) => restricted.pub_token.span = Span::call_site(),
        Visibility::Inherited => {}
    }
    visibility
}

/// How a restored mirror becomes the type.
fn from_mirror(item: &AnnotatedType) -> TokenStream {
    let (name, mirror) = (item.name(), item.mirror_name());
    let arms = item.shapes().into_iter().map(|shape| {
        let (pattern, whole) = (shape.pattern(&mirror), shape.pattern(name));
        quote!(#pattern => #whole,)
    });
    let sound = check::sound(item);
    quote! {
        impl ::core::convert::From<#mirror> for #name #sound {
            #[inline]
            fn from(__mirror: #mirror) -> Self {
                match __mirror { #(#arms)* }
            }
        }
    }
}

fn forward(item: &AnnotatedType) -> TokenStream {
    let (support, name, mirror) = (item.support(), item.name(), item.mirror_name());
    let rkyv = quote!(#support::rkyv);
    let archived = item.archived_name();
    let with = quote!(<#mirror as #rkyv::with::ArchiveWith<#name>>);
    let sound = check::sound(item);
    quote! {
        impl #rkyv::Archive for #name #sound {
            type Archived = #archived;
            type Resolver = #with::Resolver;

            #[inline]
            fn resolve(&self, __resolver: Self::Resolver, __out: #rkyv::Place<Self::Archived>) {
                #with::resolve_with(self, __resolver, __out);
            }
        }

        impl<__S> #rkyv::Serialize<__S> for #name
        #sound
            __S: #rkyv::rancor::Fallible + ?Sized,
            for<'__a> #mirror: #rkyv::with::SerializeWith<#name, __S>,
        {
            #[inline]
            fn serialize(
                &self, __serializer: &mut __S,
            ) -> ::core::result::Result<Self::Resolver, __S::Error> {
                <#mirror as #rkyv::with::SerializeWith<#name, __S>>::serialize_with(
                    self, __serializer,
                )
            }
        }

        impl<__D> #rkyv::Deserialize<#name, __D> for #archived
        #sound
            __D: #rkyv::rancor::Fallible + ?Sized,
            for<'__a> #mirror: #rkyv::with::DeserializeWith<#archived, #name, __D>,
        {
            #[inline]
            fn deserialize(
                &self, __deserializer: &mut __D,
            ) -> ::core::result::Result<#name, __D::Error> {
                <#mirror as #rkyv::with::DeserializeWith<_, #name, __D>>::deserialize_with(
                    self, __deserializer,
                )
            }
        }
    }
}

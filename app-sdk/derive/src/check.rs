//! One error for each field whose type cannot be stored, before all that follow from it.
//!
//! The trait of a check belongs to one field, so that its message names the field. The compiler
//! checks items in order, and bodies after them: so this error comes before those of derives. The
//! implementations that follow only hold `where` every field's type is sound, and are then silent;
//! with a bound lifetime the compiler does not look whether such a clause is ever true.

use crate::item::{AnnotatedType, BoundField, Shape, literal};
use crate::kind::AttributeKind;
use crate::leaves;
use crate::refusal::{self, Refusal};
use proc_macro2::{Span, TokenStream, TokenTree};
use quote::{ToTokens, quote, quote_spanned};
use syn::{Type, spanned::Spanned};

/// Whether a field's type is refused by its spelling, so that nothing more can be said of the item.
pub fn refuses(item: &AnnotatedType) -> bool {
    let mut leaves = item.fields().flat_map(|field| leaves::of(item.kind, &field.ty));
    leaves.any(|leaf| refusal::find(item.kind, leaf).is_some())
}

/// The checks of all fields.
pub fn checks(item: &AnnotatedType) -> TokenStream {
    let shapes = item.shapes();
    let parts = shapes.iter().flat_map(|shape| shape.fields.iter().map(move |part| (shape, part)));
    let checks = parts.flat_map(|(shape, part)| {
        let field = field_name(item, shape, part);
        leaves::of(item.kind, &part.field.ty).into_iter().map(move |leaf| check(item, &field, leaf))
    });
    quote!(#(#checks)*)
}

fn check(item: &AnnotatedType, field: &str, leaf: &Type) -> TokenStream {
    match refusal::find(item.kind, leaf) {
        Some(refusal) => refuse(item, field, &refusal),
        None => bounded(item, field, leaf),
    }
}

fn refuse(item: &AnnotatedType, field: &str, refusal: &Refusal<'_>) -> TokenStream {
    let (refused, remedy, cannot) = (refusal.refused, refusal.remedy, cannot(item.kind));
    let text = spelt(refused);
    let message = literal(&format!("{field} has the type `{text}`, which {cannot}: {remedy}"));
    quote_spanned!(refused.span()=> ::core::compile_error!(#message);)
}

/// A type as people write it: without the spaces around marks.
fn spelt(refused: &Type) -> String {
    let text = refused.to_token_stream().to_string();
    let marks = [(" ::", "::"), (":: ", "::"), (" <", "<"), ("< ", "<"), (" >", ">"), (" ,", ",")];
    let marks = marks.iter().chain(&[("& ", "&"), (" (", "("), (" )", ")"), ("( ", "(")]);
    marks.fold(text, |text, (long, short)| text.replace(long, short))
}

/// `where` each field's type can be a part of this item.
pub fn sound(item: &AnnotatedType) -> TokenStream {
    let (sdk, support) = (&item.sdk, item.support());
    match (item.kind, item.plain) {
        (AttributeKind::State, _) => bound(item, &quote!(#sdk::value::State)),
        (_, true) => bound(item, &quote!(#support::Plain)),
        (_, false) => bound(item, &quote!(#sdk::value::Value)),
    }
}

/// `where` each field's type has this trait.
pub fn bound(item: &AnnotatedType, path: &TokenStream) -> TokenStream {
    let types = item.fields().map(|field| &field.ty);
    quote!(where #(for<'__b> #types: #path,)*)
}

/// A struct with a field of this type, whose bound has the message.
fn bounded(item: &AnnotatedType, field: &str, leaf: &Type) -> TokenStream {
    let (needed, cannot) = (needed(item), cannot(item.kind));
    let message = literal(&format!("{field} has the type `{{Self}}`, which {cannot}"));
    let (own, other) = remedies(item.kind);
    let whole = spanned(quote!(__Field<#leaf>), leaf.span());
    let plain = plain(item, leaf);
    quote! {
        const _: () = {
            #[diagnostic::on_unimplemented(message = #message, note = #own, note = #other)]
            pub trait __Storable {}
            #[diagnostic::do_not_recommend]
            impl<__T: #needed> __Storable for __T {}
            pub struct __Field<__T: __Storable>(__T);
            pub struct __Check(#whole);
            #plain
        };
    }
}

fn needed(item: &AnnotatedType) -> TokenStream {
    let sdk = &item.sdk;
    match item.kind {
        AttributeKind::State => quote!(#sdk::value::State),
        AttributeKind::Key => quote!(#sdk::key::Key),
        AttributeKind::Event | AttributeKind::Value => quote!(#sdk::value::Value),
    }
}

/// A value that is seen through a view needs one around it; whatever is no value has its error.
fn plain(item: &AnnotatedType, leaf: &Type) -> Option<TokenStream> {
    let support = item.support();
    let check = spanned(quote!(#support::Probe::<#leaf>::plain();), leaf.span());
    (item.plain && item.kind != AttributeKind::State)
        .then(|| quote!(const _: fn() = || { use #support::Unsound as _; #check };))
}

fn field_name(item: &AnnotatedType, shape: &Shape<'_>, part: &BoundField<'_>) -> String {
    let owner = shape.path(item.name()).to_string().replace(' ', "");
    format!("field `{}` of `{owner}`", part.member.to_token_stream())
}

fn cannot(kind: AttributeKind) -> &'static str {
    if kind == AttributeKind::Key { "cannot be part of a key" } else { "cannot be stored" }
}

/// What to do about a type of one's own, and about others.
const fn remedies(kind: AttributeKind) -> (&'static str, &'static str) {
    match kind {
        AttributeKind::Key => (
            "if `{Self}` is your own type, put `#[key]` on it",
            "a type of another crate is kept as integers, `String`, `Text<N>` or `[u8; N]`",
        ),
        _ => (
            "if `{Self}` is your own type, put `#[value]` on it",
            "a decimal, a date or another type of another crate is kept as integers, `String`, \
             `Text<N>` or `[u8; N]`, and converted in handlers",
        ),
    }
}

/// The tokens, all at `place`: the compiler points at the first one's.
fn spanned(tokens: TokenStream, place: Span) -> TokenStream {
    let at = |mut token: TokenTree| {
        if let TokenTree::Group(group) = &token {
            let mut inner =
                proc_macro2::Group::new(group.delimiter(), spanned(group.stream(), place));
            inner.set_span(place);
            return TokenTree::Group(inner);
        }
        token.set_span(place);
        token
    };
    tokens.into_iter().map(at).collect()
}

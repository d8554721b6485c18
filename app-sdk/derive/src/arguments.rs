//! What stands in the parentheses of an attribute.

use crate::kind::AttributeKind;
use proc_macro2::TokenStream;
use syn::{Path, meta::ParseNestedMeta, parse::Parser};

/// The arguments of one attribute.
#[derive(Default)]
pub struct AttributeArguments {
    /// Generate a view although no field's spelling asks for one.
    pub view: bool,
    /// The user implements `Default`.
    pub default_manual: bool,
    /// Where the SDK is.
    pub sdk: Option<Path>,
}

impl AttributeArguments {
    /// Parses the tokens between the parentheses.
    pub fn parse(kind: AttributeKind, tokens: TokenStream) -> syn::Result<Self> {
        let mut arguments = Self::default();
        syn::meta::parser(|meta| arguments.take(kind, &meta)).parse2(tokens)?;
        Ok(arguments)
    }

    fn take(&mut self, kind: AttributeKind, meta: &ParseNestedMeta<'_>) -> syn::Result<()> {
        if meta.path.is_ident("crate") {
            self.sdk = Some(meta.value()?.call(Path::parse_mod_style)?);
            return Ok(());
        }
        if meta.path.is_ident("view") && kind != AttributeKind::State {
            self.view = true;
            return Ok(());
        }
        if meta.path.is_ident("default") && kind == AttributeKind::State {
            let word: syn::Ident = meta.value()?.parse()?;
            self.default_manual = word == "manual";
            let message = "write `default = manual` and implement `Default` yourself";
            return self.default_manual.then_some(()).ok_or(syn::Error::new(word.span(), message));
        }
        Err(meta.error(match kind {
            AttributeKind::State => "the arguments are `default = manual` and `crate = PATH`",
            _ => "the arguments are `view` and `crate = PATH`",
        }))
    }
}

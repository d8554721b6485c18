//! Where the SDK is, seen from the user's crate.

use proc_macro_crate::{FoundCrate, crate_name};
use proc_macro2::Span;
use quote::format_ident;
use syn::{Path, parse_quote};

/// `::potoroo::sdk` for a crate that depends on the engine, `::potoroo_sdk` for a library of
/// computations that depends on the SDK alone.
pub fn sdk() -> syn::Result<Path> {
    if let Ok(found) = crate_name("potoroo") {
        let name = ident(&found, "potoroo");
        return Ok(parse_quote!(::#name::sdk));
    }
    let found = crate_name("potoroo-sdk").map_err(|_| {
        syn::Error::new(
            Span::call_site(),
            "neither `potoroo` nor `potoroo-sdk` is among the dependencies: add one, \
             or say where the SDK is with `crate = PATH`",
        )
    })?;
    let name = ident(&found, "potoroo_sdk");
    Ok(parse_quote!(::#name))
}

fn ident(found: &FoundCrate, own: &str) -> syn::Ident {
    match found {
        FoundCrate::Itself => format_ident!("{own}"),
        FoundCrate::Name(name) => format_ident!("{name}"),
    }
}

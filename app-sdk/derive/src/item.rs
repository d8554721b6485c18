//! The annotated type, parsed and checked.

use crate::{arguments::AttributeArguments, kind::AttributeKind, location};
use proc_macro2::{Span, TokenStream};
use quote::{ToTokens, format_ident};
use syn::{
    Data, DeriveInput, Field, Fields, GenericArgument, Ident, Index, Member, Path, PathArguments,
    Type, spanned::Spanned,
};

/// An annotated struct or enum that the rest of the code can rely on.
pub struct AnnotatedType {
    pub kind: AttributeKind,
    pub arguments: AttributeArguments,
    pub input: DeriveInput,
    /// Path of the SDK in the user's crate.
    pub sdk: Path,
    /// Whether handlers see the type itself.
    pub plain: bool,
}

/// One constructor: a struct itself, or a variant of an enum.
pub struct Shape<'a> {
    /// The variant, for an enum.
    pub variant: Option<&'a Ident>,
    pub fields: Vec<BoundField<'a>>,
}

/// One field and the names it goes by.
pub struct BoundField<'a> {
    pub member: Member,
    /// What the field is bound to in a pattern.
    pub binding: Ident,
    pub field: &'a Field,
}

impl AnnotatedType {
    /// Parses and checks; the messages name what to write instead.
    pub fn parse(
        kind: AttributeKind,
        arguments: TokenStream,
        input: TokenStream,
    ) -> syn::Result<Self> {
        let arguments = AttributeArguments::parse(kind, arguments)?;
        let input: DeriveInput = syn::parse2(input)?;
        check_generics(kind, &input)?;
        check_data(kind, &input)?;
        let sdk = match &arguments.sdk {
            Some(path) => path.clone(),
            None => location::sdk()?,
        };
        let borrows = arguments.view || fields(&input.data).any(|field| borrows(&field.ty));
        Ok(Self { kind, plain: !borrows, arguments, input, sdk })
    }

    /// Path of the module that generated code refers to.
    pub fn support(&self) -> TokenStream {
        let sdk = &self.sdk;
        quote::quote!(#sdk::value::support)
    }

    /// Name of the type.
    pub const fn name(&self) -> &Ident {
        &self.input.ident
    }

    /// Name of its archived form.
    pub fn archived_name(&self) -> Ident {
        format_ident!("__Archived{}", self.name())
    }

    /// Name of the hidden twin that the archive is derived for.
    pub fn mirror_name(&self) -> Ident {
        format_ident!("__Mirror{}", self.name())
    }

    /// Name of what handlers see.
    pub fn view_name(&self) -> Ident {
        match self.plain {
            true => self.name().clone(),
            false => format_ident!("{}View", self.name()),
        }
    }

    /// All fields of all constructors.
    pub fn fields(&self) -> impl Iterator<Item = &Field> {
        fields(&self.input.data)
    }

    /// The constructors in order.
    pub fn shapes(&self) -> Vec<Shape<'_>> {
        match &self.input.data {
            Data::Struct(data) => vec![Shape::new(None, &data.fields)],
            Data::Enum(data) => {
                data.variants.iter().map(|one| Shape::new(Some(&one.ident), &one.fields)).collect()
            }
            Data::Union(_) => Vec::new(),
        }
    }
}

impl<'a> Shape<'a> {
    fn new(variant: Option<&'a Ident>, fields: &'a Fields) -> Self {
        let fields = fields.iter().enumerate().map(|(index, field)| BoundField {
            member: match &field.ident {
                Some(name) => Member::Named(name.clone()),
                None => Member::Unnamed(Index::from(index)),
            },
            binding: format_ident!("__field_{index}"),
            field,
        });
        Self { variant, fields: fields.collect() }
    }

    /// `Type` or `Type::Variant`.
    pub fn path(&self, name: &Ident) -> TokenStream {
        let variant = self.variant.iter();
        quote::quote!(#name #(::#variant)*)
    }

    /// A pattern that binds every field.
    pub fn pattern(&self, name: &Ident) -> TokenStream {
        let path = self.path(name);
        let members = self.fields.iter().map(|part| &part.member);
        let bindings = self.fields.iter().map(|part| &part.binding);
        quote::quote!(#path { #(#members: #bindings,)* })
    }
}

fn fields(data: &Data) -> Box<dyn Iterator<Item = &Field> + '_> {
    match data {
        Data::Struct(data) => Box::new(data.fields.iter()),
        Data::Enum(data) => Box::new(data.variants.iter().flat_map(|one| one.fields.iter())),
        Data::Union(_) => Box::new(core::iter::empty()),
    }
}

fn check_generics(kind: AttributeKind, input: &DeriveInput) -> syn::Result<()> {
    if input.generics.params.is_empty() && input.generics.where_clause.is_none() {
        return Ok(());
    }
    let name = kind.name();
    let message = format!(
        "`#[{name}]` types have no parameters, because what is stored must have one fixed shape: \
         write the types out, and `String` or `Text<N>` instead of `&str`"
    );
    Err(syn::Error::new(input.generics.span(), message))
}

fn check_data(kind: AttributeKind, input: &DeriveInput) -> syn::Result<()> {
    let name = kind.name();
    match &input.data {
        Data::Struct(_) => Ok(()),
        Data::Union(data) => Err(syn::Error::new(
            data.union_token.span(),
            format!(
                "a union cannot be an `#[{name}]` type: use an enum, which knows what it holds"
            ),
        )),
        Data::Enum(data) if data.variants.is_empty() => Err(syn::Error::new(
            input.ident.span(),
            format!("an enum without variants has no values, so it cannot be `#[{name}]`"),
        )),
        Data::Enum(data) => match data.variants.iter().find(|one| !one.fields.is_empty()) {
            Some(one) if kind == AttributeKind::Key => Err(syn::Error::new(
                one.span(),
                "variants of a `#[key]` enum have no fields: use a struct of keys",
            )),
            _ => Ok(()),
        },
    }
}

/// Whether a type, as it is spelt, is seen through a view that borrows.
fn borrows(field: &Type) -> bool {
    match field {
        Type::Path(path) => path.path.segments.iter().any(|segment| {
            BORROWING.contains(&segment.ident.to_string().as_str()) || within(&segment.arguments)
        }),
        Type::Tuple(tuple) => tuple.elems.iter().any(borrows),
        Type::Array(array) => borrows(&array.elem),
        Type::Paren(inner) => borrows(&inner.elem),
        Type::Group(inner) => borrows(&inner.elem),
        _ => false,
    }
}

fn within(arguments: &PathArguments) -> bool {
    let PathArguments::AngleBracketed(arguments) = arguments else { return false };
    arguments.args.iter().any(|one| matches!(one, GenericArgument::Type(inner) if borrows(inner)))
}

/// The standard types whose views borrow.
const BORROWING: [&str; 3] = ["String", "Vec", "Box"];

/// A string literal at the place of the call.
pub fn literal(text: &impl ToString) -> TokenStream {
    syn::LitStr::new(&text.to_string(), Span::call_site()).into_token_stream()
}

//! Serde attributes decide what bytes a struct is written as, so those that would make them differ from the table's
//! definition are refused here rather than found out when the first record is read.

use syn::meta::ParseNestedMeta;
use syn::{Attribute, Error, Expr, LitStr, Result, Token, token};

/// Checks the attributes of the struct.
pub(crate) fn check_struct(attributes: &[Attribute]) -> Result<()> {
    each(attributes, |property, meta| match property {
        "rename" | "default" | "deny_unknown_fields" | "bound" | "crate" | "expecting" => skip_value(meta),
        "rename_all" => Err(meta
            .error("the table's fields would not have the names serde gives them: rename fields one by one")),
        _ => Err(meta
            .error("changes how the record is written, so its bytes would not fit the table's definition")),
    })
}

/// Checks the attributes of a field, and returns the name they give it.
pub(crate) fn field_name(attributes: &[Attribute]) -> Result<Option<LitStr>> {
    let mut name = None;
    each(attributes, |property, meta| match property {
        "rename" if meta.input.peek(Token![=]) => {
            name = Some(meta.value()?.parse()?);
            Ok(())
        }
        "rename" => Err(meta.error("the field has one name in the table: write #[serde(rename = \"…\")]")),
        "alias" | "default" | "bound" => skip_value(meta),
        "with" => {
            let module: LitStr = meta.value()?.parse()?;
            // serde_bytes writes a Vec<u8> as postcard does anyway, only faster.
            if module.value() == "serde_bytes" { Ok(()) } else { Err(changes_bytes(module.span())) }
        }
        _ => Err(changes_bytes(syn::spanned::Spanned::span(&meta.path))),
    })?;
    Ok(name)
}

fn changes_bytes(span: proc_macro2::Span) -> Error {
    let message = "changes how the field is written, so its bytes would not fit the table's definition; \
                   use a type that implements FieldShape, and convert in the program";
    Error::new(span, message)
}

fn each(
    attributes: &[Attribute],
    mut check: impl FnMut(&str, &ParseNestedMeta<'_>) -> Result<()>,
) -> Result<()> {
    for attribute in attributes.iter().filter(|attribute| attribute.path().is_ident("serde")) {
        attribute.parse_nested_meta(|meta| {
            let property = meta.path.get_ident().map(ToString::to_string).unwrap_or_default();
            check(&property, &meta)
        })?;
    }
    Ok(())
}

fn skip_value(meta: &ParseNestedMeta<'_>) -> Result<()> {
    if meta.input.peek(Token![=]) {
        meta.value()?.parse::<Expr>()?;
    } else if meta.input.peek(token::Paren) {
        let content;
        syn::parenthesized!(content in meta.input);
        content.parse::<proc_macro2::TokenStream>()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use syn::parse_quote;

    use super::*;

    #[test]
    fn attributes_that_change_the_bytes_are_refused() {
        for attribute in [
            parse_quote!(#[serde(skip)]),
            parse_quote!(#[serde(default, skip_serializing_if = "Option::is_none")]),
            parse_quote!(#[serde(flatten)]),
            parse_quote!(#[serde(with = "hex")]),
            parse_quote!(#[serde(serialize_with = "f")]),
            parse_quote!(#[serde(rename(serialize = "a", deserialize = "b"))]),
        ] {
            assert!(field_name(&[attribute]).is_err());
        }
        for attribute in [
            parse_quote!(#[serde(tag = "t")]),
            parse_quote!(#[serde(into = "X")]),
            parse_quote!(#[serde(rename_all = "camelCase")]),
        ] {
            assert!(check_struct(&[attribute]).is_err());
        }
    }

    #[test]
    fn attributes_that_do_not_are_allowed_and_rename_names_the_field() {
        let name = field_name(&[parse_quote!(#[serde(alias = "b", default = "f", rename = "a")])]).unwrap();
        assert_eq!(name.unwrap().value(), "a");
        assert!(field_name(&[parse_quote!(#[serde(with = "serde_bytes")])]).unwrap().is_none());
        assert!(
            check_struct(&[parse_quote!(#[serde(default, bound(serialize = "T: X"), crate = "s")])]).is_ok()
        );
    }
}

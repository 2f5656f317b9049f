//! The fields of the struct, with `#[key]` and `#[index]`.

use proc_macro2::Span;
use syn::ext::IdentExt as _;
use syn::spanned::Spanned as _;
use syn::{Attribute, Data, DeriveInput, Error, Fields, Ident, Meta, Result, Type};

use crate::{name, serde_attributes};

/// The limits of a table's definition; the schema crate has the same.
const FIELDS_MAX: usize = 1_024;
const KEY_FIELDS_MAX: usize = 8;
const INDEXES_MAX: usize = 64;

/// A field of the record.
pub(crate) struct Field {
    pub(crate) ident: Ident,
    /// Its name in the table.
    pub(crate) name: String,
    pub(crate) ty: Type,
    pub(crate) is_key: bool,
    pub(crate) index: Option<Index>,
}

/// A secondary index over a field.
#[derive(Default)]
pub(crate) struct Index {
    /// By default that of the field.
    pub(crate) name: Option<String>,
    pub(crate) unique: bool,
    /// Over the items of a list instead of the value itself.
    pub(crate) each: bool,
}

/// The fields of the struct, of which at least one is a key.
pub(crate) fn all(input: &DeriveInput) -> Result<Vec<Field>> {
    let Data::Struct(data) = &input.data else {
        return Err(Error::new(input.ident.span(), "only a struct can be a record"));
    };
    let Fields::Named(named) = &data.fields else {
        return Err(Error::new(
            input.ident.span(),
            "a record's fields have names: `struct Name { field: Type }`",
        ));
    };
    let fields = named.named.iter().map(Field::of).collect::<Result<Vec<_>>>()?;
    check(&fields).map_err(|message| Error::new(input.ident.span(), message))?;
    Ok(fields)
}

impl Field {
    fn of(field: &syn::Field) -> Result<Self> {
        let ident =
            field.ident.clone().ok_or_else(|| Error::new(field.span(), "a record's fields have names"))?;
        let (name, span) = match serde_attributes::field_name(&field.attrs)? {
            Some(renamed) => (renamed.value(), renamed.span()),
            None => (ident.unraw().to_string(), ident.span()),
        };
        if !name::is_valid(&name) {
            return Err(Error::new(span, format!("invalid field name: {}", name::RULE)));
        }
        let mut read = Self { ident, name, ty: field.ty.clone(), is_key: false, index: None };
        for attribute in &field.attrs {
            read.read(attribute)?;
        }
        Ok(read)
    }

    fn read(&mut self, attribute: &Attribute) -> Result<()> {
        if attribute.path().is_ident("key") {
            attribute.meta.require_path_only()?;
            if self.is_key {
                return Err(Error::new(attribute.span(), "the field is already a key"));
            }
            self.is_key = true;
        } else if attribute.path().is_ident("index") {
            if self.index.is_some() {
                return Err(Error::new(attribute.span(), "the field is already indexed"));
            }
            self.index = Some(Index::of(attribute)?);
        } else if attribute.path().is_ident("record") {
            return Err(Error::new(attribute.span(), "#[record(…)] belongs to the struct, not to a field"));
        }
        Ok(())
    }

    /// Errors about the field's type are shown where the type is written.
    pub(crate) fn type_span(&self) -> Span {
        self.ty.span()
    }
}

impl Index {
    fn of(attribute: &Attribute) -> Result<Self> {
        let mut index = Self::default();
        if matches!(attribute.meta, Meta::Path(_)) {
            return Ok(index);
        }
        attribute.parse_nested_meta(|meta| {
            if meta.path.is_ident("unique") {
                index.unique = true;
            } else if meta.path.is_ident("each") {
                index.each = true;
            } else if meta.path.is_ident("name") {
                index.name = Some(name::index(&meta)?);
            } else {
                return Err(meta.error("expected #[index], or #[index(…)] with unique, each or name = \"…\""));
            }
            Ok(())
        })?;
        Ok(index)
    }
}

fn check(fields: &[Field]) -> std::result::Result<(), String> {
    let mut names = std::collections::BTreeSet::new();
    if let Some(field) = fields.iter().find(|field| !names.insert(field.name.as_str())) {
        return Err(format!("two fields are named `{}`", field.name));
    }
    let keys = fields.iter().filter(|field| field.is_key).count();
    let indexes = fields.iter().filter(|field| field.index.is_some()).count();
    if keys == 0 {
        return Err("a record has a key: write #[key] above the field or fields it consists of".to_owned());
    }
    let limits = [
        ("fields", fields.len(), FIELDS_MAX),
        ("key fields", keys, KEY_FIELDS_MAX),
        ("indexes", indexes, INDEXES_MAX),
    ];
    match limits.iter().find(|(_, found, max)| found > max) {
        Some((what, found, max)) => Err(format!("a record has at most {max} {what}, this one has {found}")),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use syn::parse_quote;

    use super::*;

    fn message(input: &DeriveInput) -> String {
        all(input).err().map(|error| error.to_string()).unwrap_or_default()
    }

    #[test]
    fn fields_are_read_in_order_with_keys_and_indexes() {
        let fields = all(&parse_quote! {
            struct T {
                #[key]
                r#type: String,
                #[index]
                node: NodeName,
                #[index(unique)]
                #[serde(rename = "client-id")]
                client: String,
                #[index(each, name = "by_tag")]
                tags: Vec<String>,
            }
        })
        .unwrap();
        let names: Vec<_> = fields.iter().map(|field| field.name.as_str()).collect();
        assert_eq!(names, ["type", "node", "client-id", "tags"]);
        assert!(fields[0].is_key && !fields[1].is_key);
        assert!(!fields[1].index.as_ref().unwrap().unique && fields[2].index.as_ref().unwrap().unique);
        let tags = fields[3].index.as_ref().unwrap();
        assert!(tags.each && tags.name.as_deref() == Some("by_tag"));
    }

    #[test]
    fn mistakes_are_explained() {
        assert!(
            message(&parse_quote!(
                struct T {
                    a: u64,
                }
            ))
            .starts_with("a record has a key")
        );
        assert!(
            message(&parse_quote!(
                struct T(u64);
            ))
            .starts_with("a record's fields have names")
        );
        assert!(
            message(&parse_quote!(
                enum T {
                    A,
                }
            ))
            .starts_with("only a struct")
        );
        assert!(
            message(&parse_quote!(
                struct T {
                    #[key]
                    #[key]
                    a: u64,
                }
            ))
            .contains("already a key")
        );
        assert!(
            message(&parse_quote!(
                struct T {
                    #[key(1)]
                    a: u64,
                }
            ))
            .contains("unexpected token")
        );
        assert!(
            message(&parse_quote!(
                struct T {
                    #[index(uniq)]
                    a: u64,
                }
            ))
            .contains("with unique, each or name")
        );
        assert!(
            message(&parse_quote!(
                struct T {
                    #[record(table = "t")]
                    a: u64,
                }
            ))
            .contains("belongs to the struct")
        );
        assert!(
            message(&parse_quote!(
                struct T {
                    #[key]
                    é: u64,
                }
            ))
            .starts_with("invalid field name")
        );
        let twice = parse_quote!(
            struct T {
                #[key]
                a: u64,
                #[serde(rename = "a")]
                b: u64,
            }
        );
        assert_eq!(message(&twice), "two fields are named `a`");
        let keys = "#[key] a0: u8,".replace("a0", "{}");
        let keys: String = (0..9).map(|place| keys.replace("{}", &format!("a{place}"))).collect();
        let nine = syn::parse_str(&format!("struct T {{ {keys} }}")).unwrap();
        assert_eq!(message(&nine), "a record has at most 8 key fields, this one has 9");
    }
}

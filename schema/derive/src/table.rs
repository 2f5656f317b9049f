//! `#[record(…)]` of the struct.

use proc_macro2::TokenStream;
use quote::{format_ident, quote};
use syn::meta::ParseNestedMeta;
use syn::{Attribute, DeriveInput, Error, LitInt, LitStr, Path, Result, parse_quote};

use crate::name;

/// What the struct's attributes say of the table.
pub(crate) struct Table {
    pub(crate) crate_path: Path,
    pub(crate) name: String,
    /// The names of variants of `TableKind` and `CopyMode`.
    kind: &'static str,
    copy: &'static str,
    version: u32,
    owned: bool,
    local_content: bool,
    load_order: i32,
    record_bytes_max: Option<u32>,
    /// Secondary indexes over functions; those over fields stand at the fields.
    pub(crate) indexes: Vec<FunctionIndex>,
}

/// A secondary index over what a registered function makes of a record.
pub(crate) struct FunctionIndex {
    pub(crate) name: String,
    pub(crate) function: String,
    pub(crate) unique: bool,
}

const KINDS: [(&str, &str); 3] = [("set", "Set"), ("ordered-set", "OrderedSet"), ("bag", "Bag")];
const COPIES: [(&str, &str); 3] = [("ram", "Ram"), ("disc", "Disc"), ("disc-only", "DiscOnly")];

impl Table {
    pub(crate) fn of(input: &DeriveInput) -> Result<Self> {
        let mut table = Self {
            crate_path: parse_quote!(::tabularaft::schema),
            name: String::new(),
            kind: "Set",
            copy: "Disc",
            version: 1,
            owned: false,
            local_content: false,
            load_order: 0,
            record_bytes_max: None,
            indexes: Vec::new(),
        };
        for attribute in input.attrs.iter().filter(|attribute| attribute.path().is_ident("record")) {
            table.read(attribute)?;
        }
        if table.name.is_empty() {
            let message = "name the table: #[record(table = \"…\")]; it is not taken from the struct's name, \
                           because it outlives the program";
            return Err(Error::new(input.ident.span(), message));
        }
        Ok(table)
    }

    fn read(&mut self, attribute: &Attribute) -> Result<()> {
        attribute.parse_nested_meta(|meta| {
            let Some(property) = meta.path.get_ident().map(ToString::to_string) else {
                return Err(unknown(&meta));
            };
            match property.as_str() {
                "table" => self.name = table_name(&meta)?,
                "kind" => self.kind = one_of(&meta, KINDS)?,
                "copy" => self.copy = one_of(&meta, COPIES)?,
                "version" => self.version = positive(&meta)?,
                "owned" => self.owned = true,
                "local_content" => {
                    self.local_content = true;
                    if self.owned {
                        return Err(meta.error("owned and local_content exclude each other"));
                    }
                }
                "load_order" => self.load_order = meta.value()?.parse::<LitInt>()?.base10_parse()?,
                "record_bytes_max" => self.record_bytes_max = Some(positive(&meta)?),
                "index" => self.indexes.push(function_index(&meta)?),
                "crate" => {
                    let path: LitStr = meta.value()?.parse()?;
                    self.crate_path = path.parse_with(Path::parse_mod_style)?;
                }
                _ => return Err(unknown(&meta)),
            }
            Ok(())
        })
    }

    /// An expression of type `TableDefBuilder`, without fields yet.
    pub(crate) fn builder(&self) -> TokenStream {
        let Self { crate_path, name, version, .. } = self;
        let (kind, copy) = (format_ident!("{}", self.kind), format_ident!("{}", self.copy));
        quote! {
            #crate_path::__private::table(
                #name,
                #crate_path::TableKind::#kind,
                #crate_path::CopyMode::#copy,
                #version,
            )
        }
    }

    /// The arguments of `__private::options`, behind the builder.
    pub(crate) fn options(&self) -> TokenStream {
        let Self { owned, local_content, load_order, .. } = self;
        let record_bytes_max = match self.record_bytes_max {
            Some(bytes) => quote!(::core::option::Option::Some(#bytes)),
            None => quote!(::core::option::Option::None),
        };
        quote!(#owned, #local_content, #load_order, #record_bytes_max)
    }
}

fn unknown(meta: &ParseNestedMeta<'_>) -> Error {
    meta.error(
        "unknown property: expected table, kind, copy, version, owned, local_content, load_order, \
         record_bytes_max, index or crate",
    )
}

fn table_name(meta: &ParseNestedMeta<'_>) -> Result<String> {
    let literal: LitStr = meta.value()?.parse()?;
    if name::is_valid(&literal.value()) {
        return Ok(literal.value());
    }
    Err(Error::new(literal.span(), format!("invalid table name: {}", name::RULE)))
}

fn function_index(meta: &ParseNestedMeta<'_>) -> Result<FunctionIndex> {
    let (mut index_name, mut function, mut unique) = (None, None, false);
    meta.parse_nested_meta(|meta| {
        if meta.path.is_ident("name") {
            index_name = Some(name::index(&meta)?);
        } else if meta.path.is_ident("function") {
            function = Some(name::index(&meta)?);
        } else if meta.path.is_ident("unique") {
            unique = true;
        } else {
            return Err(meta.error("expected name = \"…\", function = \"…\" or unique"));
        }
        Ok(())
    })?;
    match (index_name, function) {
        (Some(name), Some(function)) => Ok(FunctionIndex { name, function, unique }),
        _ => Err(meta.error(
            "an index of the struct is over a function: index(name = \"…\", function = \"…\"); \
             write #[index] above a field for one over its value",
        )),
    }
}

fn one_of(meta: &ParseNestedMeta<'_>, variants: [(&'static str, &'static str); 3]) -> Result<&'static str> {
    let literal: LitStr = meta.value()?.parse()?;
    let found = variants.iter().find(|(text, _)| *text == literal.value());
    found.map(|(_, variant)| *variant).ok_or_else(|| {
        let [first, second, third] = variants.map(|(text, _)| text);
        Error::new(literal.span(), format!("expected \"{first}\", \"{second}\" or \"{third}\""))
    })
}

fn positive(meta: &ParseNestedMeta<'_>) -> Result<u32> {
    let literal: LitInt = meta.value()?.parse()?;
    match literal.base10_parse() {
        Ok(0) => Err(Error::new(literal.span(), "expected a number above 0")),
        parsed => parsed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(input: &DeriveInput) -> String {
        Table::of(input).err().map(|error| error.to_string()).unwrap_or_default()
    }

    #[test]
    fn properties_are_read() {
        let table = Table::of(&parse_quote! {
            #[record(table = "t", kind = "ordered-set", copy = "disc-only", version = 3)]
            #[record(owned, load_order = -2, record_bytes_max = 100, crate = "x::y")]
            struct T;
        })
        .unwrap();
        assert_eq!((table.name.as_str(), table.kind, table.copy), ("t", "OrderedSet", "DiscOnly"));
        assert_eq!((table.version, table.load_order, table.record_bytes_max), (3, -2, Some(100)));
        assert!(table.owned && !table.local_content);
        let path = table.crate_path;
        assert_eq!(quote!(#path).to_string(), "x :: y");
    }

    #[test]
    fn an_index_over_a_function_names_both() {
        let table = Table::of(&parse_quote! {
            #[record(table = "t", index(name = "by_domain", function = "domain", unique))]
            struct T;
        })
        .unwrap();
        let index = &table.indexes[0];
        assert_eq!(
            (index.name.as_str(), index.function.as_str(), index.unique),
            ("by_domain", "domain", true)
        );
        let nameless = message(&parse_quote!(
            #[record(table = "t", index(function = "domain"))]
            struct T;
        ));
        assert!(nameless.contains("over a function"), "{nameless}");
    }

    #[test]
    fn mistakes_are_explained() {
        assert!(
            message(&parse_quote!(
                struct T;
            ))
            .starts_with("name the table")
        );
        assert!(
            message(&parse_quote!(
                #[record(table = "a b")]
                struct T;
            ))
            .starts_with("invalid table name")
        );
        let kind = "expected \"set\", \"ordered-set\" or \"bag\"";
        assert_eq!(
            message(&parse_quote!(
                #[record(table = "t", kind = "list")]
                struct T;
            )),
            kind
        );
        assert!(
            message(&parse_quote!(
                #[record(name = "t")]
                struct T;
            ))
            .starts_with("unknown property")
        );
        assert!(
            message(&parse_quote!(
                #[record(table = "t", version = 0)]
                struct T;
            ))
            .contains("above 0")
        );
        let both = message(&parse_quote!(
            #[record(table = "t", owned, local_content)]
            struct T;
        ));
        assert!(both.contains("exclude each other"));
    }
}

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
    read_only: bool,
    ttl_ms: Option<u64>,
    records_max: Option<u64>,
    bytes_max: Option<u64>,
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
            read_only: false,
            ttl_ms: None,
            records_max: None,
            bytes_max: None,
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
                "read_only" => self.read_only = true,
                "ttl" => self.ttl_ms = Some(time_ms(&meta)?),
                "ttl_ms" => self.ttl_ms = Some(positive(&meta)?),
                "records_max" => self.records_max = Some(positive(&meta)?),
                "bytes_max" => self.bytes_max = Some(positive(&meta)?),
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

    /// An expression of type `TableOptions`.
    pub(crate) fn options(&self) -> TokenStream {
        let Self { crate_path, owned, local_content, load_order, read_only, .. } = self;
        let record_bytes_max = or_none(self.record_bytes_max);
        let (ttl_ms, records_max, bytes_max) =
            (or_none(self.ttl_ms), or_none(self.records_max), or_none(self.bytes_max));
        quote! {
            #crate_path::TableOptions {
                owned: #owned,
                local_content: #local_content,
                load_order: #load_order,
                record_bytes_max: #record_bytes_max,
                read_only: #read_only,
                ttl_ms: #ttl_ms,
                records_max: #records_max,
                bytes_max: #bytes_max,
            }
        }
    }
}

fn or_none<T: quote::ToTokens>(value: Option<T>) -> TokenStream {
    match value {
        Some(value) => quote!(::core::option::Option::Some(#value)),
        None => quote!(::core::option::Option::None),
    }
}

fn unknown(meta: &ParseNestedMeta<'_>) -> Error {
    meta.error(
        "unknown property: expected table, kind, copy, version, owned, local_content, load_order, \
         record_bytes_max, read_only, ttl, ttl_ms, records_max, bytes_max, index or crate",
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

fn positive<T: std::str::FromStr + Default + PartialEq>(meta: &ParseNestedMeta<'_>) -> Result<T>
where
    T::Err: std::fmt::Display,
{
    let literal: LitInt = meta.value()?.parse()?;
    match literal.base10_parse::<T>() {
        Ok(number) if number == T::default() => Err(Error::new(literal.span(), "expected a number above 0")),
        parsed => parsed,
    }
}

/// Milliseconds of a time such as `500ms`, `30s`, `5m`, `12h` or `7d`.
fn time_ms(meta: &ParseNestedMeta<'_>) -> Result<u64> {
    let literal: LitStr = meta.value()?.parse()?;
    let text = literal.value();
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let unit_ms = match text.get(digits..) {
        Some("ms") => Some(1),
        Some("s") => Some(1_000),
        Some("m") => Some(60_000),
        Some("h") => Some(3_600_000),
        Some("d") => Some(86_400_000),
        _ => None,
    };
    let number: Option<u64> = text.get(..digits).and_then(|number| number.parse().ok());
    let ms = number.zip(unit_ms).and_then(|(number, unit): (u64, u64)| number.checked_mul(unit));
    let problem = "expected a time above 0 such as \"500ms\", \"30s\", \"5m\", \"12h\" or \"7d\"";
    ms.filter(|ms| *ms > 0).ok_or_else(|| Error::new(literal.span(), problem))
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
        assert_eq!((table.read_only, table.ttl_ms), (false, None));
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
    fn what_a_table_may_hold_and_for_how_long_is_read() {
        let table = Table::of(&parse_quote! {
            #[record(table = "t", read_only, ttl = "30s", records_max = 5_000_000_000, bytes_max = 7)]
            struct T;
        })
        .unwrap();
        assert!(table.read_only);
        assert_eq!(
            (table.ttl_ms, table.records_max, table.bytes_max),
            (Some(30_000), Some(5_000_000_000), Some(7))
        );
        for wrong in ["30", "0s", "s", "1w", "99999999999999999999d", "-1s"] {
            let told = message(&parse_quote!(
                #[record(table = "t", ttl = #wrong)]
                struct T;
            ));
            assert!(told.contains("expected a time"), "{wrong}: {told}");
        }
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

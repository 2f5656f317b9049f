//! The rule for names of tables and fields, checked while the program is compiled. The schema crate has the same rule;
//! it cannot be shared, because that crate depends on this one.

use syn::meta::ParseNestedMeta;
use syn::{Error, LitStr, Result};

const BYTES_MAX: usize = 128;

pub(crate) fn is_valid(name: &str) -> bool {
    let starts_well = name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_');
    let made_of = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
    starts_well && name.len() <= BYTES_MAX && name.bytes().all(made_of)
}

pub(crate) const RULE: &str = "expected a letter or `_`, then at most 127 ASCII letters, digits and `_ . -`";

/// The name of an index or of a function for one.
pub(crate) fn index(meta: &ParseNestedMeta<'_>) -> Result<String> {
    let literal: LitStr = meta.value()?.parse()?;
    if is_valid(&literal.value()) {
        return Ok(literal.value());
    }
    Err(Error::new(literal.span(), format!("invalid name: {RULE}")))
}

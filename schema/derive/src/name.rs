//! The rule for names of tables and fields, checked while the program is compiled. The schema crate has the same rule;
//! it cannot be shared, because that crate depends on this one.

const BYTES_MAX: usize = 128;

pub(crate) fn is_valid(name: &str) -> bool {
    let starts_well = name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_');
    let made_of = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
    starts_well && name.len() <= BYTES_MAX && name.bytes().all(made_of)
}

pub(crate) const RULE: &str = "expected a letter or `_`, then at most 127 ASCII letters, digits and `_ . -`";

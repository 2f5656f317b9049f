//! What is wrong with names and with the texts of field types.

use thiserror::Error;

use super::shortened;

/// A name that breaks the rule for its kind of name.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("invalid {what} {name:?}: {rule}")]
#[non_exhaustive]
pub struct InvalidName {
    /// What was to be named.
    pub what: &'static str,
    /// The name, cut short if it is very long.
    pub name: String,
    /// What a name of this kind looks like.
    pub rule: &'static str,
}

impl InvalidName {
    pub(crate) fn new(what: &'static str, name: &str, rule: &'static str) -> Self {
        Self { what, name: shortened(name), rule }
    }
}

/// A text that is no field type, or a type nested in a way that is not allowed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("invalid field type {text:?}: {rule}")]
#[non_exhaustive]
pub struct InvalidFieldType {
    /// The type as written, cut short if it is very long.
    pub text: String,
    /// The rule it breaks.
    pub rule: &'static str,
}

impl InvalidFieldType {
    pub(crate) fn new(text: &str, rule: &'static str) -> Self {
        Self { text: shortened(text), rule }
    }
}

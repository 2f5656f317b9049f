//! What a table is a collection of.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::InvalidName;

/// How a table treats keys.
// Persistent: the order of the variants is their tag on disc and on the wire. Add at the end, never change or reuse.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TableKind {
    /// One record per key, in no particular order.
    Set,
    /// One record per key, in key order: ranges may be read.
    OrderedSet,
    /// Any number of different records per key.
    Bag,
}

impl TableKind {
    /// All kinds, in the order in which they are documented.
    pub const ALL: [Self; 3] = [Self::Set, Self::OrderedSet, Self::Bag];

    /// The kind as the command line writes it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Set => "set",
            Self::OrderedSet => "ordered-set",
            Self::Bag => "bag",
        }
    }
}

impl fmt::Display for TableKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for TableKind {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let found = Self::ALL.into_iter().find(|kind| kind.as_str() == text);
        found.ok_or_else(|| InvalidName::new("table kind", text, "expected set, ordered-set or bag"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_read_as_they_print_and_keep_their_tags() {
        for (tag, kind) in (0u8..).zip(TableKind::ALL) {
            assert_eq!(kind.to_string().parse::<TableKind>().unwrap(), kind);
            assert_eq!(postcard::to_stdvec(&kind).unwrap(), [tag]);
            assert_eq!(serde_json::to_string(&kind).unwrap(), format!("\"{kind}\""));
        }
        assert!("ordered_set".parse::<TableKind>().is_err());
    }
}

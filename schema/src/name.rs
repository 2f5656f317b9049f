//! Names of nodes and tables. Both are checked once, when made, so that every later use may rely on the rule.

use std::borrow::Borrow;
use std::fmt;
use std::ops::Deref;
use std::str::FromStr;
use std::sync::Arc;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::error::InvalidName;

/// The name of a node, written `name@host`.
///
/// The name is the node's place in the cluster as operators see it. It is independent of the address the node
/// listens on and of the number Raft knows it by, so a node may move to another machine and keep its name.
///
/// The part before the `@` consists of ASCII letters, digits, `_`, `.` and `-`; the host may also hold `:`, `[` and `]`
/// (for IPv6 addresses). The whole name is at most [`NodeName::BYTES_MAX`] bytes long.
///
/// ```
/// use tabularaft_schema::NodeName;
///
/// let node: NodeName = "emq1@10.0.0.1".parse()?;
/// assert_eq!(node.name(), "emq1");
/// assert_eq!(node.host(), "10.0.0.1");
/// assert!("emq1".parse::<NodeName>().is_err(), "a node name has a host");
/// # Ok::<(), tabularaft_schema::InvalidName>(())
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeName(Arc<str>);

impl NodeName {
    /// The longest node name, in bytes.
    pub const BYTES_MAX: usize = 255;

    const RULE: &'static str =
        "expected name@host of at most 255 letters, digits and `_ . -` (in the host also `: [ ]`)";

    /// Makes a node name of `text`.
    ///
    /// # Errors
    /// [`InvalidName`] if the text is not of the form `name@host`.
    pub fn new(text: &str) -> Result<Self, InvalidName> {
        let valid = text.len() <= Self::BYTES_MAX
            && text.split_once('@').is_some_and(|(name, host)| {
                is_made_of(name, |byte| matches!(byte, b'_' | b'.' | b'-'))
                    && is_made_of(host, |byte| matches!(byte, b'_' | b'.' | b'-' | b':' | b'[' | b']'))
            });
        if valid { Ok(Self(text.into())) } else { Err(InvalidName::new("node name", text, Self::RULE)) }
    }

    /// The part before the `@`.
    #[must_use]
    pub fn name(&self) -> &str {
        self.0.split_once('@').map_or("", |(name, _)| name)
    }

    /// The part after the `@`.
    #[must_use]
    pub fn host(&self) -> &str {
        self.0.split_once('@').map_or("", |(_, host)| host)
    }
}

/// The name of a table: `[A-Za-z_][A-Za-z0-9_.-]{0,127}`.
///
/// ```
/// use tabularaft_schema::TableName;
///
/// let table = TableName::new("retained_message")?;
/// assert_eq!(table.as_str(), "retained_message");
/// assert!(TableName::new("1st").is_err(), "a table name does not start with a digit");
/// # Ok::<(), tabularaft_schema::InvalidName>(())
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TableName(Arc<str>);

impl TableName {
    /// The longest table name, in bytes.
    pub const BYTES_MAX: usize = IDENTIFIER_BYTES_MAX;

    /// Makes a table name of `text`.
    ///
    /// # Errors
    /// [`InvalidName`] if the text breaks the rule above.
    pub fn new(text: &str) -> Result<Self, InvalidName> {
        check_identifier("table name", text)?;
        Ok(Self(text.into()))
    }
}

/// Tables, fields and indexes are all named by this rule. It keeps out what the command line uses as punctuation
/// (`:` and `=`), so no quoting is ever needed there.
pub(crate) fn check_identifier(what: &'static str, text: &str) -> Result<(), InvalidName> {
    let starts_well = text.bytes().next().is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'_');
    if starts_well
        && text.len() <= IDENTIFIER_BYTES_MAX
        && is_made_of(text, |byte| matches!(byte, b'_' | b'.' | b'-'))
    {
        Ok(())
    } else {
        Err(InvalidName::new(what, text, IDENTIFIER_RULE))
    }
}

const IDENTIFIER_BYTES_MAX: usize = 128;
const IDENTIFIER_RULE: &str = "expected a letter or `_`, then at most 127 letters, digits and `_ . -`";

fn is_made_of(text: &str, punctuation: impl Fn(u8) -> bool) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || punctuation(byte))
}

/// What both names share: they read, print, compare, borrow and serialise as their text.
macro_rules! impl_text {
    ($name:ident) => {
        impl $name {
            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = InvalidName;

            fn from_str(text: &str) -> Result<Self, InvalidName> {
                Self::new(text)
            }
        }

        impl TryFrom<&str> for $name {
            type Error = InvalidName;

            fn try_from(text: &str) -> Result<Self, InvalidName> {
                Self::new(text)
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidName;

            fn try_from(text: String) -> Result<Self, InvalidName> {
                Self::new(&text)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&*self.0, f)
            }
        }

        impl Deref for $name {
            type Target = str;

            fn deref(&self) -> &str {
                &self.0
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        // A map keyed by names may be searched by plain text: names order and hash as their text does.
        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl PartialEq<str> for $name {
            fn eq(&self, other: &str) -> bool {
                &*self.0 == other
            }
        }

        impl PartialEq<&str> for $name {
            fn eq(&self, other: &&str) -> bool {
                &*self.0 == *other
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                Self::new(&text).map_err(D::Error::custom)
            }
        }
    };
}

impl_text!(NodeName);
impl_text!(TableName);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_name_has_a_name_and_a_host() {
        for good in ["a@b", "emq1@10.0.0.1", "n-1.x@[::1]", "node_3@host.example.org"] {
            assert_eq!(NodeName::new(good).unwrap().to_string(), good);
        }
        for bad in ["", "@", "a", "a@", "@b", "a@b@c", "a b@c", "ä@b", "a@b/c", "a\0@b"] {
            assert!(NodeName::new(bad).is_err(), "{bad:?} was accepted");
        }
        assert!(NodeName::new(&format!("a@{}", "b".repeat(253))).is_ok());
        assert!(NodeName::new(&format!("a@{}", "b".repeat(254))).is_err());
    }

    #[test]
    fn a_table_name_starts_with_a_letter_and_is_bounded() {
        for good in ["a", "_x", "Route", "a.b-c_9"] {
            assert_eq!(TableName::new(good).unwrap().as_str(), good);
        }
        for bad in ["", "9", "-a", ".a", "a b", "a:b", "a=b", "é"] {
            assert!(TableName::new(bad).is_err(), "{bad:?} was accepted");
        }
        assert!(TableName::new(&"a".repeat(128)).is_ok());
        assert!(TableName::new(&"a".repeat(129)).is_err());
    }

    #[test]
    fn names_serialise_as_text_and_are_checked_when_read() {
        let node = NodeName::new("a@b").unwrap();
        assert_eq!(serde_json::to_string(&node).unwrap(), "\"a@b\"");
        assert_eq!(postcard::to_stdvec(&node).unwrap(), b"\x03a@b");
        assert_eq!(postcard::from_bytes::<NodeName>(b"\x03a@b").unwrap(), node);
        assert!(postcard::from_bytes::<NodeName>(b"\x03abc").is_err());
        assert!(serde_json::from_str::<TableName>("\"a b\"").is_err());
    }

    #[test]
    fn an_invalid_name_is_shown_shortened() {
        let error = TableName::new(&"x".repeat(10_000)).unwrap_err();
        assert!(error.to_string().len() < 300, "{error}");
    }
}

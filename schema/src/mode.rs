//! How one node holds a table.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::InvalidName;

/// How one node holds a table's records: its **copy**.
///
/// The mode is a property of a table on a node; a [`TableDef`](crate::TableDef) names the mode a node uses unless the
/// schema says otherwise for it.
// Persistent: the order of the variants is their tag on disc and on the wire. Add at the end, never change or reuse.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CopyMode {
    /// In memory only. After a restart of this node the records come from another node's copy.
    Ram,
    /// In memory, and on disc for the next start.
    Disc,
    /// On disc, read from there; for tables larger than memory.
    DiscOnly,
}

impl CopyMode {
    /// All modes, in the order in which they are documented.
    pub const ALL: [Self; 3] = [Self::Ram, Self::Disc, Self::DiscOnly];

    /// The mode as the command line writes it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ram => "ram",
            Self::Disc => "disc",
            Self::DiscOnly => "disc-only",
        }
    }

    /// Whether the records of this copy outlive the process.
    #[must_use]
    pub const fn is_on_disc(self) -> bool {
        matches!(self, Self::Disc | Self::DiscOnly)
    }
}

impl fmt::Display for CopyMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for CopyMode {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let found = Self::ALL.into_iter().find(|mode| mode.as_str() == text);
        found.ok_or_else(|| InvalidName::new("copy mode", text, "expected ram, disc or disc-only"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_read_as_they_print_and_keep_their_tags() {
        for (tag, mode) in (0u8..).zip(CopyMode::ALL) {
            assert_eq!(mode.to_string().parse::<CopyMode>().unwrap(), mode);
            assert_eq!(postcard::to_stdvec(&mode).unwrap(), [tag]);
            assert_eq!(serde_json::to_string(&mode).unwrap(), format!("\"{mode}\""));
        }
        assert!("disk".parse::<CopyMode>().is_err());
    }
}

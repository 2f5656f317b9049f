//! What a node knows, as far as anybody can ask for it.

use tabularaft_schema::TableId;
use tabularaft_store::log::{LogEntry, RaftLog};
use tabularaft_store::{Identity, LogIndex, Store, TableDigest, View};

/// Everything that a node gives back after a restart.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Content {
    /// Less the number of the life, which each start changes.
    pub(crate) identity: Identity,
    pub(crate) vote: Option<Vec<u8>>,
    pub(crate) entries: Vec<LogEntry>,
    pub(crate) applied: LogIndex,
    pub(crate) tables: Vec<TableContent>,
}

/// A table by both ways to its records: all of them one after the other, and each by its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TableContent {
    id: TableId,
    digest: TableDigest,
    by_key: TableDigest,
}

impl Content {
    pub(crate) fn of(
        identity: &Identity,
        log: &RaftLog,
        store: &Store,
        keys: &[String],
    ) -> Result<Self, String> {
        let said = |error: &dyn std::fmt::Display| error.to_string();
        let view = store.view();
        let tables = TableContent::all(&view, keys)?;
        Ok(Self {
            identity: Identity { life: 0, clean_shutdown: true, ..identity.clone() },
            vote: log.vote().map(|vote| vote.to_vec()),
            entries: log.read(0..u64::MAX, usize::MAX).map_err(|error| said(&error))?,
            applied: view.applied_index(),
            tables,
        })
    }
}

impl TableContent {
    /// All tables that can be read.
    pub(crate) fn all(view: &View, keys: &[String]) -> Result<Vec<Self>, String> {
        let said = |error: &dyn std::fmt::Display| error.to_string();
        let mut tables = Vec::new();
        for table in view.tables().filter(|table| table.is_ready()) {
            let digest = table.digest().map_err(|error| said(&error))?;
            let mut by_key = TableDigest::default();
            for key in keys {
                if let Some(row) = table.get(key.as_bytes()).map_err(|error| said(&error))? {
                    by_key.add(key.as_bytes(), row.version(), row.value());
                }
            }
            tables.push(Self { id: table.id(), digest, by_key });
        }
        Ok(tables)
    }

    pub(crate) fn id(&self) -> TableId {
        self.id
    }
}

/// What opening a node's files came to.
#[derive(Debug)]
pub(crate) enum Opened {
    Serves(Box<Content>),
    /// It refused, in these words.
    Refuses(String),
}

//! A change as its followers see it.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use tabularaft_schema::{Key, NodeName, Record, RecordError, TableDef, TableName};
use tabularaft_store::{LogIndex, MemberChange, TableEvent};

use super::feed::Given;
use crate::error::ReadError;

/// One change. `R` is the record type, or [`AnyRecord`] where all tables are followed.
#[derive(Debug, Clone, PartialEq)]
pub struct Change<R> {
    /// The log index of the change. All changes of one transaction have the same; others that were committed together
    /// with it may have it too.
    pub index: LogIndex,
    /// Another change of the same log index follows.
    pub more: bool,
    /// The table; `None` for a change of the members.
    pub table: Option<TableName>,
    /// What happened.
    pub kind: ChangeKind,
    /// The encoded key of the record, for a put or a delete.
    pub key: Option<Key>,
    /// The record that was there before.
    pub old: Option<R>,
    /// The record that is there now.
    pub new: Option<R>,
    /// The version of the record that is there now; 0 without one.
    pub version: u64,
}

/// What a change did.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ChangeKind {
    /// A record was inserted, or replaced if there is an old one.
    Put,
    /// A record was deleted.
    Delete,
    /// All records of the table were deleted; none of them is listed.
    Clear,
    /// The table was created, without records.
    Created,
    /// The table's definition was changed: its name, an option, an index, or the shape of its records.
    Altered,
    /// The table was dropped with its records. A subscription to it ends.
    Dropped,
    /// This node has completed a copy of the table. Its records are in the view; none of them is listed.
    CopyLoaded,
    /// This node has given its copy of the table up. A subscription to it ends.
    CopyGivenUp,
    /// The members of the cluster have changed.
    Member(MemberEvent),
}

/// How the members of the cluster have changed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum MemberEvent {
    /// The cluster was founded.
    Founded,
    /// A node got its place.
    Admitted {
        /// Its name.
        name: NodeName,
        /// Its id.
        node: u64,
        /// Where its peers reach it.
        address: String,
    },
    /// A node began a new life.
    Started {
        /// Its name.
        name: NodeName,
        /// Its id.
        node: u64,
        /// The life's number.
        life: u64,
        /// Where its peers reach it.
        address: String,
    },
    /// A node lost its place.
    Removed {
        /// Its name.
        name: NodeName,
        /// Its id, which never comes back.
        node: u64,
    },
}

/// A record of any table, with the definition by which it can be read.
#[derive(Clone, PartialEq)]
pub struct AnyRecord {
    def: Arc<TableDef>,
    bytes: Bytes,
}

impl AnyRecord {
    /// The definition of its table at the time of the change.
    pub fn def(&self) -> &Arc<TableDef> {
        &self.def
    }

    /// Its encoding.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The record as a value of its type.
    ///
    /// # Errors
    ///
    /// When it is no record of this type.
    pub fn decode<R: Record>(&self) -> Result<R, RecordError> {
        R::decode(&self.bytes)
    }

    /// The record as a JSON object.
    ///
    /// # Errors
    ///
    /// When the bytes do not fit the definition.
    pub fn to_json(&self) -> Result<serde_json::Value, RecordError> {
        self.def.shape.to_json(&self.bytes)
    }
}

impl fmt::Debug for AnyRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "record of {} with {} bytes", self.def.name, self.bytes.len())
    }
}

/// How the bytes of a record become what a subscriber is given.
pub(super) type Reading<R> = fn(&Arc<TableDef>, &[u8]) -> Result<R, ReadError>;

pub(super) fn as_type<R: Record>(_def: &Arc<TableDef>, bytes: &[u8]) -> Result<R, ReadError> {
    Ok(R::decode(bytes)?)
}

pub(super) fn as_any(def: &Arc<TableDef>, bytes: &[u8]) -> Result<AnyRecord, ReadError> {
    Ok(AnyRecord { def: Arc::clone(def), bytes: Bytes::copy_from_slice(bytes) })
}

impl<R> Change<R> {
    pub(super) fn of(given: &Given, reading: Reading<R>) -> Result<Self, ReadError> {
        let change = &given.change;
        let def = change.def();
        let read = |record: Option<(&[u8], u64)>| {
            let (Some(def), Some((bytes, _))) = (def, record) else { return Ok(None) };
            reading(def, bytes).map(Some)
        };
        Ok(Self {
            index: given.index,
            more: given.more,
            table: def.map(|def| def.name.clone()),
            kind: ChangeKind::of(change),
            key: change.key().map(|key| Key::from_bytes(key.to_vec())),
            old: read(change.old_record())?,
            new: read(change.new_record())?,
            version: change.new_record().map_or(0, |(_, version)| version),
        })
    }
}

impl ChangeKind {
    pub(crate) fn of(change: &tabularaft_store::Change) -> Self {
        use tabularaft_store::Change as Stored;
        match change {
            Stored::Put { .. } => Self::Put,
            Stored::Delete { .. } => Self::Delete,
            Stored::Clear { .. } => Self::Clear,
            Stored::Table { event, .. } => match event {
                TableEvent::Created => Self::Created,
                TableEvent::Dropped => Self::Dropped,
                TableEvent::CopyLoaded => Self::CopyLoaded,
                TableEvent::CopyGivenUp => Self::CopyGivenUp,
                _ => Self::Altered,
            },
            Stored::Member { change, name } => Self::Member(MemberEvent::of(change, name.as_ref())),
        }
    }
}

impl MemberEvent {
    fn of(change: &MemberChange, name: Option<&NodeName>) -> Self {
        let Some(name) = name.cloned() else { return Self::Founded };
        match change.clone() {
            MemberChange::Admit { node, address, .. } => Self::Admitted { name, node, address },
            MemberChange::Started { node, life, address } => Self::Started { name, node, life, address },
            MemberChange::Remove { node } => Self::Removed { name, node },
            _ => Self::Founded,
        }
    }
}

//! The administrative protocol: what `store-admin` asks a node and what the node answers.
//!
//! One request and one reply at a time, each a version byte followed by postcard. Work that takes long (a
//! join, a table copy, a comparison of all copies) is an *operation*: its request answers at once with an id,
//! and the client asks for [`Progress`](AdminRequest::Progress) until it is finished. So a broken connection
//! loses sight of an operation and not the operation.
//!
//! Records travel as their encoded bytes. The client converts from and to JSON with the shape in
//! [`TableInfo`], which lets it name the line and the field that are wrong; the node checks every record
//! again.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tabularaft_schema::{
    CopyMode, IndexDef, NodeName, RecordShape, TableDef, TableId, TableName, TableOption,
};
use tabularaft_store::ContentDigest;

use super::document::{ClusterStatus, IndexSummary, RecoveryStatus, TableInfo, TableSummary, VerifyReport};
use super::error::AdminError;
pub use super::scans::{
    Cursor, FieldFilter, PAGE_BYTES_MAX, PAGE_RECORDS_MAX, Page, ReadMode, ScanPlan, ScanRequest,
};
pub use super::table_ref::TableRef;
pub use super::watched::{
    WATCH_WAIT_MAX_MS, WatchPage, WatchPlace, WatchRecords, WatchRequest, WatchScope, WatchedChange,
    WatchedKind, WatchedMember,
};

/// Version of the bytes made here; the first byte of every request and reply.
///
/// Within a version variants are only added at the end of an enum and structs stay as they are: postcard has
/// no field names.
///
/// Persistent: add, never change or reuse.
pub const ADMIN_VERSION: u8 = 1;

/// Largest number of records in one [`AdminRequest::PutMany`].
pub const BATCH_RECORDS_MAX: usize = 10_000;

/// What an administrator asks of a node.
///
/// Persistent: add, never change or reuse.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum AdminRequest {
    /// How the cluster is. Answered with [`AdminReply::Status`] even when the node is not ready.
    Status,
    /// The asked node joins the cluster of `peer`. An operation that ends in [`Outcome::Joined`].
    Join {
        /// Address of any member, `host:port`.
        peer: String,
        /// What happens to the records the asked node has now.
        on_local_data: OnLocalData,
    },
    /// The asked node leaves its cluster and serves alone. An operation that ends in [`Outcome::Done`].
    Leave,
    /// A node is taken out of the cluster, dead or alive. An operation that ends in [`Outcome::Done`].
    Remove {
        /// The node to remove.
        name: NodeName,
        /// Remove it although it runs and did not agree, or although the remaining voters would have no
        /// majority.
        force: bool,
    },
    /// All tables. Answered with [`AdminReply::Tables`].
    TableList,
    /// One table. Answered with [`AdminReply::Table`].
    TableInfo {
        /// Its name.
        table: TableName,
    },
    /// A table is created; creating an identical one again is no error. Answered with
    /// [`AdminReply::TableCreated`].
    TableCreate {
        /// Its definition.
        def: TableDef,
    },
    /// A table and all its copies are deleted. Answered with [`AdminReply::Written`].
    TableDrop {
        /// Its name.
        table: TableName,
    },
    /// All records of a table are deleted. Answered with [`AdminReply::Written`].
    TableClear {
        /// Its name.
        table: TableName,
    },
    /// A node holds the table from now on, in this mode. An operation that ends in [`Outcome::Copied`].
    CopyTable {
        /// The table.
        table: TableName,
        /// The node that gets the copy, or whose copy changes its mode.
        to: NodeName,
        /// The node to copy from; any ready copy when absent.
        from: Option<NodeName>,
        /// The mode of the copy.
        mode: CopyMode,
    },
    /// A node gives up its copy of a table. An operation that ends in [`Outcome::Done`].
    DeleteCopy {
        /// The table.
        table: TableName,
        /// The node that gives it up.
        on: NodeName,
    },
    /// Records are written, all of them or none. Answered with [`AdminReply::Written`].
    PutMany {
        /// The table.
        table: TableRef,
        /// Encoded records, at most [`BATCH_RECORDS_MAX`].
        records: Vec<Bytes>,
    },
    /// The record of a key, or a bag's records of it. Answered with [`AdminReply::Records`].
    Get {
        /// The table.
        table: TableRef,
        /// The encoded key.
        key: Bytes,
        /// How fresh the answer must be.
        read: ReadMode,
    },
    /// All records of a key are deleted. Answered with [`AdminReply::Written`]; 0 records when there was
    /// none.
    Delete {
        /// The table.
        table: TableRef,
        /// The encoded key.
        key: Bytes,
    },
    /// The next page of a scan. Answered with [`AdminReply::Page`].
    Scan(ScanRequest),
    /// The copies of every table are compared at one log index. An operation that ends in
    /// [`Outcome::Verified`].
    Verify,
    /// How far an operation is. Answered with [`AdminReply::Progress`].
    Progress {
        /// The operation.
        operation: OperationId,
    },
    /// A table gets another name. Answered with [`AdminReply::Written`].
    TableRename {
        /// Its name.
        table: TableName,
        /// Its name from now on.
        to: TableName,
    },
    /// Options of a table change, one after the other. Answered with [`AdminReply::Written`].
    TableSet {
        /// Its name.
        table: TableName,
        /// The options with their new values.
        options: Vec<TableOption>,
    },
    /// All nodes hold the table in this mode from now on. An operation that ends in [`Outcome::Done`].
    TableCopyMode {
        /// The table.
        table: TableName,
        /// The mode.
        mode: CopyMode,
    },
    /// A node holds the table instead of another one. An operation that ends in [`Outcome::Copied`].
    MoveCopy {
        /// The table.
        table: TableName,
        /// The node that gives up its copy once the other one has it.
        from: NodeName,
        /// The node that gets it.
        to: NodeName,
    },
    /// A backup of the node's tables is begun, of one view that is held until the last part was given out, or
    /// nobody has asked for a part for a while. Answered with [`AdminReply::BackupBegun`].
    BackupBegin {
        /// The tables; all if empty.
        tables: Vec<TableName>,
        /// How fresh the view must be.
        read: ReadMode,
    },
    /// The next part of a backup, or the one before again. Answered with [`AdminReply::BackupPart`].
    BackupRead {
        /// The backup.
        backup: u64,
        /// The number of the part, from 0.
        part: u64,
    },
    /// No more parts are wanted. Answered with [`AdminReply::Done`].
    BackupEnd {
        /// The backup.
        backup: u64,
    },
    /// What the asked node's copy of a table says. Answered with [`AdminReply::ContentDigest`].
    ContentDigest {
        /// The table.
        table: TableRef,
    },
    /// Tables are given other names, and those that had them are dropped, all at one log index. Answered with
    /// [`AdminReply::Written`].
    SwapTables {
        /// One for each table.
        swaps: Vec<TableSwap>,
    },
    /// As [`AdminRequest::Verify`], but the digests are of what the records say, whichever writes have led to them,
    /// so that they can be compared with those of a backup or of another cluster.
    VerifyContent,
    /// What has changed after a place, waited for if there is nothing yet. Answered with [`AdminReply::Watched`].
    Watch(WatchRequest),
    /// The records of a table get another shape, of a higher record version. An operation that ends in
    /// [`Outcome::Done`].
    TableTransform {
        /// The table.
        table: TableName,
        /// The shape.
        shape: RecordShape,
        /// Whether it ends only when all records are rewritten, and not as soon as they are read through their
        /// migration.
        now: bool,
    },
    /// The shapes of former record versions that a table may have records of. Answered with
    /// [`AdminReply::FormerShapes`].
    FormerShapes {
        /// The table.
        table: TableName,
    },
    /// A table in use gets a secondary index. An operation that ends in [`Outcome::Done`].
    IndexAdd {
        /// The table.
        table: TableName,
        /// The index.
        index: IndexDef,
    },
    /// A secondary index is dropped. Answered with [`AdminReply::Written`].
    IndexDrop {
        /// The table.
        table: TableName,
        /// The index.
        index: String,
    },
    /// The secondary indexes of a table. Answered with [`AdminReply::Indexes`].
    IndexList {
        /// The table.
        table: TableName,
    },
    /// How a scan would find its records. Answered with [`AdminReply::Plan`].
    Explain(ScanRequest),
    /// As [`AdminRequest::SwapTables`], if at that log index none of these tables holds a record.
    SwapTablesIfEmpty {
        /// One for each table.
        swaps: Vec<TableSwap>,
        /// Tables that were empty when the swaps were planned.
        empty: Vec<TableId>,
    },
    /// The times that the cluster went on without its majority. Answered with [`AdminReply::Recoveries`].
    Recoveries,
}

/// What a node answers.
///
/// Persistent: add, never change or reuse.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum AdminReply {
    /// To [`AdminRequest::Status`].
    Status(ClusterStatus),
    /// To [`AdminRequest::TableList`], by name.
    Tables(Vec<TableSummary>),
    /// To [`AdminRequest::TableInfo`].
    Table(TableInfo),
    /// To [`AdminRequest::TableCreate`].
    TableCreated {
        /// Its id.
        id: TableId,
        /// False when an identical table was there already.
        new: bool,
    },
    /// To requests that write: the change is committed and applied on the asked node.
    Written {
        /// Records written or deleted.
        records: u64,
        /// The log index of the (last) entry that holds the change.
        log_index: u64,
    },
    /// To [`AdminRequest::Get`].
    Records(Vec<Bytes>),
    /// To [`AdminRequest::Scan`].
    Page(Page),
    /// To requests that start an operation.
    Started(OperationId),
    /// To [`AdminRequest::Progress`].
    Progress(Progress),
    /// To [`AdminRequest::BackupBegin`].
    BackupBegun {
        /// Its number on this node.
        backup: u64,
        /// Records of all its tables.
        records_total: u64,
    },
    /// To [`AdminRequest::BackupRead`].
    BackupPart {
        /// Bytes of the backup that follow those of the part before.
        bytes: Bytes,
        /// Records so far.
        records: u64,
        /// True for the last part.
        last: bool,
    },
    /// It is done, and there is nothing to tell.
    Done,
    /// To [`AdminRequest::ContentDigest`].
    ContentDigest(ContentDigest),
    /// To [`AdminRequest::Watch`].
    Watched(WatchPage),
    /// To [`AdminRequest::FormerShapes`], by ascending record version.
    FormerShapes(Vec<RecordShape>),
    /// To [`AdminRequest::IndexList`], in the order of the definition.
    Indexes(Vec<IndexSummary>),
    /// To [`AdminRequest::Explain`].
    Plan(ScanPlan),
    /// To [`AdminRequest::Recoveries`], the last one last.
    Recoveries(Vec<RecoveryStatus>),
}

/// A table gets another name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableSwap {
    /// The table as it is.
    pub table: TableRef,
    /// The name it gets.
    pub takes: TableName,
    /// The table that must have this name, and is dropped; none may have it if absent.
    pub replaces: Option<TableId>,
    /// Options that it gets at the same time.
    pub options: Vec<TableOption>,
}

/// What happens to the records a node has when it joins a cluster.
///
/// Persistent: add, never change or reuse.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnLocalData {
    /// The join is refused and names the tables.
    #[default]
    Refuse,
    /// They are written to files that `load` reads back.
    Export,
    /// They are discarded.
    Discard,
}

/// An operation on the asked node. Ids are not reused while the node runs; a finished operation is remembered
/// for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct OperationId(pub u64);

/// How far an operation is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// What is being done, in a few words for a human.
    pub phase: String,
    /// Records done in this phase.
    pub records_done: u64,
    /// Records to do in this phase, if known. It may grow while writes go on.
    pub records_total: Option<u64>,
    /// Bytes done in this phase.
    pub bytes_done: u64,
    /// Bytes to do in this phase, if known.
    pub bytes_total: Option<u64>,
    /// Present when the operation has ended.
    pub finished: Option<Result<Outcome, AdminError>>,
}

/// How an operation ended well.
///
/// Persistent: add, never change or reuse.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// There is nothing to tell.
    Done,
    /// Of [`AdminRequest::Join`].
    Joined {
        /// False when the peer was the node itself, so that nothing changed.
        changed: bool,
        /// Files on the joined node's machine to which its former records were exported.
        exported: Vec<String>,
    },
    /// Of [`AdminRequest::CopyTable`].
    Copied {
        /// Records of the copy.
        records: u64,
        /// Bytes of its encoded records and keys.
        bytes: u64,
        /// The digest both copies had at one log index, in hexadecimal.
        digest: String,
        /// The node it was copied from, if records travelled.
        from: Option<NodeName>,
    },
    /// Of [`AdminRequest::Verify`].
    Verified(VerifyReport),
}

impl AdminRequest {
    /// The bytes of this request.
    pub fn encode(&self) -> Bytes {
        encode(self)
    }

    /// Reads a request.
    ///
    /// # Errors
    /// [`Invalid`](super::AdminErrorKind::Invalid) when the bytes are of another version or no request.
    pub fn decode(bytes: &[u8]) -> Result<Self, AdminError> {
        decode(bytes, "request")
    }

    /// Whether asking twice is the same as asking once, so that a request whose reply was lost may be sent
    /// again.
    pub fn is_read(&self) -> bool {
        matches!(
            self,
            Self::Status
                | Self::TableList
                | Self::TableInfo { .. }
                | Self::Get { .. }
                | Self::Scan(_)
                | Self::IndexList { .. }
                | Self::Explain(_)
                | Self::Recoveries
                | Self::Watch(_)
                | Self::FormerShapes { .. }
                | Self::Progress { .. }
                | Self::BackupBegin { .. }
                | Self::BackupRead { .. }
                | Self::BackupEnd { .. }
                | Self::ContentDigest { .. }
        )
    }
}

impl AdminReply {
    /// The bytes of an answer, be it a reply or an error.
    pub fn encode(answer: &Result<Self, AdminError>) -> Bytes {
        encode(answer)
    }

    /// Reads an answer.
    ///
    /// # Errors
    /// The error the node answered; [`Invalid`](super::AdminErrorKind::Invalid) when the bytes are of another version or no answer.
    pub fn decode(bytes: &[u8]) -> Result<Self, AdminError> {
        decode::<Result<Self, AdminError>>(bytes, "reply")?
    }
}

fn encode(message: &impl Serialize) -> Bytes {
    let bytes = postcard::to_extend(message, vec![ADMIN_VERSION])
        .expect("only I/O and unsized sequences fail, and there are none");
    Bytes::from(bytes)
}

fn decode<'a, T: Deserialize<'a>>(bytes: &'a [u8], what: &str) -> Result<T, AdminError> {
    let Some((&version, body)) = bytes.split_first() else {
        return Err(AdminError::invalid(format!("empty administrative {what}")));
    };
    if version != ADMIN_VERSION {
        return Err(AdminError::invalid(format!(
            "administrative {what} of version {version}, but this side speaks version {ADMIN_VERSION}: \
             use a store-admin of the node's version"
        )));
    }
    match postcard::take_from_bytes(body) {
        Ok((message, [])) => Ok(message),
        Ok((_, rest)) => {
            Err(AdminError::invalid(format!("administrative {what} with {} bytes too many", rest.len())))
        }
        Err(error) => Err(AdminError::invalid(format!(
            "administrative {what} that this side does not understand ({error}): use a store-admin of the node's version"
        ))),
    }
}

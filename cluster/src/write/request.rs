//! What a caller asks for: guards that must hold, and operations that become effects if they do.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tabularaft_schema::{RecordShape, SchemaChange, TableId, TableName};
use tabularaft_store::MemberChange;

use super::change::Change;
use super::guard::Guard;
use super::locking::LockId;

/// One request: all of its operations happen at one log index, or none.
///
/// Wire format: add, never change or reuse a variant.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Request {
    pub(crate) guards: Vec<Guard>,
    pub(crate) ops: Vec<Op>,
    /// Nobody asks what the single operations came to, so the log does not keep it.
    pub(crate) silent: bool,
    /// A lock that is given back as soon as this is decided, either way.
    pub(crate) releases: Option<LockId>,
}

impl Request {
    pub(crate) fn one(op: Op) -> Self {
        Self { guards: Vec::new(), ops: vec![op], silent: false, releases: None }
    }

    pub(crate) fn guarded(guard: Guard, op: Op) -> Self {
        Self { guards: vec![guard], ops: vec![op], silent: false, releases: None }
    }

    /// A whole transaction.
    pub(crate) fn transaction(guards: Vec<Guard>, ops: Vec<Op>, releases: Option<LockId>) -> Self {
        Self { guards, ops, silent: true, releases }
    }

    /// Says that the records it writes to a table are of this record version; without, they are of version 1.
    #[must_use]
    pub(crate) fn with_record_version(mut self, table: TableId, version: u32) -> Self {
        if version != 1 {
            self.guards.push(Guard::RecordVersion { table, version });
        }
        self
    }

    /// Exclusive requests change what other decisions rest on, so they are decided with nothing else in flight.
    pub(crate) fn is_exclusive(&self) -> bool {
        let exclusive = |op: &Op| {
            matches!(
                op,
                Op::Clear { .. }
                    | Op::Restart { .. }
                    | Op::Schema(_)
                    | Op::Member(_)
                    | Op::Barrier { .. }
                    | Op::Transform { .. }
            )
        };
        self.ops.iter().any(exclusive)
    }

    /// An estimate of the bytes this request adds to a batch.
    pub(crate) fn bytes(&self) -> usize {
        let guards: usize = self.guards.iter().map(Guard::bytes).sum();
        32 + guards + self.ops.iter().map(Op::bytes).sum::<usize>()
    }
}

/// One operation on one record, table or the schema.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum Op {
    /// Inserts or replaces; in a bag adds the record unless it is there.
    Put {
        table: TableId,
        key: Bytes,
        value: Bytes,
    },
    /// Inserts, rejected if the key is taken.
    InsertNew {
        table: TableId,
        key: Bytes,
        value: Bytes,
    },
    /// Deletes the record, or in a bag all records, under the key.
    Delete {
        table: TableId,
        key: Bytes,
    },
    /// Deletes exactly this record.
    DeleteObject {
        table: TableId,
        key: Bytes,
        value: Bytes,
    },
    /// Changes the record by what it is.
    Update {
        table: TableId,
        key: Bytes,
        change: Change,
    },
    /// Deletes every record of the table.
    Clear {
        table: TableId,
    },
    /// Declares that no live copy of a ram table is left: it starts again, empty, on every node.
    Restart {
        table: TableId,
    },
    Schema(SchemaChange),
    Member(MemberChange),
    /// Marks an index at which every node captures a view.
    Barrier {
        token: u64,
    },
    /// Deletes the records under these storage keys that still have these versions: what a leader owes the table, also
    /// if it takes no writes.
    Reap {
        table: TableId,
        records: Vec<(Bytes, u64)>,
    },
    /// Gives the records of a table another shape. All records of versions up to `checked` are known to be fit for it.
    Transform {
        table: TableName,
        shape: RecordShape,
        checked: u64,
    },
    /// Puts records of former record versions into the form of this one, if they are still as they were found.
    Rewrite {
        table: TableId,
        record_version: u32,
        records: Vec<Rewritten>,
    },
    /// Logs the time, see `engine::expiry`.
    Clock {
        unix_ms: u64,
        forget_ms: u64,
    },
}

impl Op {
    /// The table whose records it changes, if it is one that changes records.
    pub(crate) fn table(&self) -> Option<TableId> {
        match self {
            Op::Put { table, .. }
            | Op::InsertNew { table, .. }
            | Op::Delete { table, .. }
            | Op::DeleteObject { table, .. }
            | Op::Update { table, .. }
            | Op::Clear { table }
            | Op::Reap { table, .. }
            | Op::Rewrite { table, .. } => Some(*table),
            Op::Restart { .. }
            | Op::Schema(_)
            | Op::Member(_)
            | Op::Barrier { .. }
            | Op::Transform { .. }
            | Op::Clock { .. } => None,
        }
    }

    /// An estimate of the bytes this operation adds to a batch.
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Op::Put { key, value, .. }
            | Op::InsertNew { key, value, .. }
            | Op::DeleteObject { key, value, .. } => key.len() + value.len(),
            Op::Delete { key, .. } => key.len(),
            Op::Rewrite { records, .. } => records.iter().map(Rewritten::bytes).sum(),
            Op::Reap { records, .. } => records.iter().map(|(key, _)| key.len() + 8).sum(),
            Op::Update { key, change, .. } => key.len() + change.bytes(),
            _ => 256,
        }
    }
}

/// A record of a former record version in its new form.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Rewritten {
    /// The storage key under which it was found, with this version.
    pub(crate) key: Bytes,
    pub(crate) version: u64,
    /// The storage key of the new form: another one in a bag.
    pub(crate) to: Bytes,
    pub(crate) value: Bytes,
}

impl Rewritten {
    pub(crate) fn bytes(&self) -> usize {
        16 + self.key.len() + self.to.len() + self.value.len()
    }
}

/// What a number changes by, or is compared with.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub enum Delta {
    /// For signed and unsigned integer fields.
    Integer(i64),
    /// For floating-point fields.
    Float(f64),
}

impl From<i64> for Delta {
    fn from(delta: i64) -> Self {
        Delta::Integer(delta)
    }
}

impl From<f64> for Delta {
    fn from(delta: f64) -> Self {
        Delta::Float(delta)
    }
}

/// Why a request did not and will not happen. Wire format: add, never change or reuse a variant.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Rejection {
    /// The table was dropped, or has never been.
    #[error("there is no table with id {0}; it may have been dropped")]
    NoSuchTable(u64),
    /// `insert_new` found a record under the key.
    #[error("table {table}: a record with this key exists (version {version})")]
    KeyExists {
        /// The table's name.
        table: String,
        /// The version of the record that is there.
        version: u64,
    },
    /// A compare-and-swap found another version; zero stands for no record.
    #[error("table {table}: expected version {expected}, found {found} (0 = no record)")]
    VersionDiffers {
        /// The table's name.
        table: String,
        /// The version asked for.
        expected: u64,
        /// The version found.
        found: u64,
    },
    /// A record was to be changed or replaced, and there is none.
    #[error("table {table}: there is no record with this key")]
    NoSuchRecord {
        /// The table's name.
        table: String,
    },
    /// The record is over the limit.
    #[error(
        "table {table}: the record has {bytes} bytes, the limit is {limit}; raise record_bytes_max or split the record"
    )]
    RecordTooLarge {
        /// The table's name.
        table: String,
        /// Bytes of key and record.
        bytes: u64,
        /// The limit in bytes.
        limit: u64,
    },
    /// The operation does not fit the table's kind or the field's type.
    #[error("table {table}: {why}")]
    NotApplicable {
        /// The table's name.
        table: String,
        /// What does not fit.
        why: String,
    },
    /// The leader has no loaded copy of the table yet.
    #[error("table {table} is still being loaded on the leader")]
    TableLoading {
        /// The table's name.
        table: String,
    },
    /// A change of the schema does not apply.
    #[error("{0}")]
    Schema(String),
    /// A change of the members does not apply.
    #[error("{0}")]
    Member(String),
    /// What a transaction has read has changed since, so it is to be run again.
    #[error("table {table}: a record that the transaction has read has changed since")]
    Conflict {
        /// The table's name.
        table: String,
        /// The storage key of the record that has changed; `None` if only the table is known.
        key: Option<Vec<u8>>,
        /// Whether the record was read by its key, and not as one of a range.
        by_key: bool,
        /// A view whose last version is this one or greater shows the change.
        version: u64,
    },
    /// The table takes no writes.
    #[error(
        "table {table} is read-only; `store-admin table set {table} --read-only off` allows writes again"
    )]
    ReadOnly {
        /// The table's name.
        table: String,
    },
    /// The write would make the table exceed what it may hold.
    #[error(
        "table {table} is full: it holds {now} of at most {limit} {of}; delete records, or raise {option}",
        option = of.option()
    )]
    TableFull {
        /// The table's name.
        table: String,
        /// What there is too much of.
        of: TableLimit,
        /// The limit.
        limit: u64,
        /// How much the table holds now, writes that were decided before this one included.
        now: u64,
    },
    /// Another record has a value that only one may have.
    #[error(
        "table {table}: the value {value} of the unique index {index} is taken by the record with key {key}"
    )]
    UniqueViolation {
        /// The table's name.
        table: String,
        /// The index.
        index: String,
        /// The value, as JSON.
        value: String,
        /// The key of the record that has it, as JSON.
        key: String,
    },
    /// The leader has not built the index yet.
    #[error("secondary index {index} of table {table} is still being built on the leader")]
    IndexBuilding {
        /// The table's name.
        table: String,
        /// The index.
        index: String,
    },
    /// An index cannot become unique, because of the records that there are.
    #[error("table {table}: index {index} cannot be unique, {values} values have more than one record: {}", listed(.first, *.values))]
    Duplicates {
        /// The table's name.
        table: String,
        /// The index.
        index: String,
        /// How many values occur more than once.
        values: u64,
        /// The first of them.
        first: Vec<DuplicateValue>,
    },
    /// The write is of another record version than the table, and cannot be brought to it.
    #[error(
        "table {table} has records of record version {present} now, and this write is of version {written}: {why}; \
         use the record type of version {present}"
    )]
    RecordVersion {
        /// The table's name.
        table: String,
        /// The record version of the write.
        written: u32,
        /// The table's.
        present: u32,
        /// What is in the way.
        why: String,
    },
    /// A record is not fit for the shape that the table was to get.
    #[error(
        "table {table}: the record with the key {key} cannot be transformed: {why}; the table is unchanged"
    )]
    Migration {
        /// The table's name.
        table: String,
        /// The key, as JSON.
        key: String,
        /// What the migration says.
        why: String,
    },
    /// A record was to be replaced, and it is another one, or there is none.
    #[error(
        "table {table}: the record is not the one that was to be replaced (its version is {version}, 0 = no record)"
    )]
    ValueDiffers {
        /// The table's name.
        table: String,
        /// The version of the record that is there; zero: there is none.
        version: u64,
    },
    /// The program of the leader has no function of this name.
    #[error("the leader has no function {function}; register it in the programs of all nodes")]
    NoSuchFunction {
        /// The function's name.
        function: String,
    },
    /// The function refused.
    #[error("function {function}: {why}")]
    Function {
        /// The function's name.
        function: String,
        /// What it said.
        why: String,
    },
}

/// What a table may hold only so much of. Wire format: add, never change or reuse a variant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum TableLimit {
    /// See [`records_max`](tabularaft_schema::TableOptions::records_max).
    Records,
    /// See [`bytes_max`](tabularaft_schema::TableOptions::bytes_max).
    Bytes,
}

impl TableLimit {
    fn option(self) -> &'static str {
        match self {
            TableLimit::Records => "records_max",
            TableLimit::Bytes => "bytes_max",
        }
    }
}

impl std::fmt::Display for TableLimit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            TableLimit::Records => "records",
            TableLimit::Bytes => "bytes",
        })
    }
}

/// A value that more than one record has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DuplicateValue {
    /// The value, as JSON.
    pub value: String,
    /// The keys of the first records that have it, as JSON.
    pub keys: Vec<String>,
}

fn listed(first: &[DuplicateValue], values: u64) -> String {
    let one =
        |duplicate: &DuplicateValue| format!("{} (keys {})", duplicate.value, duplicate.keys.join(", "));
    let mut text = first.iter().map(one).collect::<Vec<_>>().join("; ");
    if values > first.len() as u64 {
        text.push_str("; …");
    }
    text
}

impl Rejection {
    /// Whether the same request may succeed a little later.
    pub fn is_retryable(&self) -> bool {
        matches!(self, Rejection::TableLoading { .. } | Rejection::IndexBuilding { .. })
    }
}

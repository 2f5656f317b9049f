//! The storage of Tabularaft: views, copies in memory and on disc, and the Raft log. Blocking, with threads of its own;
//! it knows nothing of networks, of Raft's rules or of async.
//!
//! What goes in is a log of effects ([`Batch`]es at [`Position`]s), applied by the one [`Applier`]; what comes out are
//! [`View`]s, immutable states of all tables at one log index. Behind them a checkpoint on disc follows the log, so
//! that the log can be purged and a restart is quick.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::indexing_slicing))]

pub mod data_dir;
#[doc(hidden)]
pub mod decoders;
pub mod disc;
pub mod files;
pub mod identity;
pub mod log;
pub mod memory;
/// Records as the store keeps them.
pub mod row;
pub mod threads;

mod applier;
mod backup;
mod bag;
mod barrier;
mod batch;
mod changed_keys;
mod changes;
mod checkpoint;
mod cluster_state;
mod content_digest;
mod copy;
mod digest;
mod disc_records;
mod effect;
mod error;
mod history;
mod image;
mod incarnation;
mod indexes;
mod install;
mod key_order;
mod load_buffer;
mod local;
mod open;
mod options;
mod position;
mod reaper;
mod record_of;
mod recovery;
mod refill;
mod request;
mod schema_change;
mod sealed;
mod shared;
mod small_file;
mod staging;
mod state;
mod store;
mod stored_record;
mod system;
mod table_range;
mod table_state;
mod table_view;
mod version_clock;
mod view;
mod windows;

pub use applier::{Applied, Applier};
pub use backup::{
    BackedUp, BackupDecoder, BackupError, BackupFile, BackupHeader, BackupItem, BackupPart, BackupReader,
    BackupRecord, BackupSource, BackupSummary, BackupTable, BackupWriter, RESTORING_PREFIX, TableSummary,
};
pub use bag::{bag_storage_key, key_of_storage_key, record_of_storage_key};
pub use batch::{Batch, BatchError, batch_needs_sync};
pub use content_digest::ContentDigest;
pub use copy::{ChunkError, CopyChunk, LoadedTable, Progress, TableBuilder, UncheckedTable};
pub use data_dir::{DataDir, DataDirError, Retired};
pub use digest::TableDigest;
pub use effect::Effect;
pub use error::StoreError;
pub use history::{Change, History, HistoryEntry, HistoryError, HistoryPage, NewRow, TableEvent};
pub use identity::{Identity, IdentityError, KnownPeer, Removal, current_boot_id};
pub use incarnation::Incarnation;
pub use indexes::{Duplicates, IndexBounds, IndexEntries, IndexEntry, IndexReadError, IndexState, IndexView};
pub use options::{OnCheckpoint, StoreOptions};
pub use position::{LogIndex, Position};
pub use recovery::Recovery;
pub use request::{Decided, OpResult, RequestId, Seen};
pub use row::{Row, RowRef};
pub use sealed::SealError;
pub use staging::{HeldTable, Staging};
pub use store::{Store, TableStatus};
pub use stored_record::StoredRecord;
pub use system::{Cluster, Member, MemberChange, MemberError, RemovedMember, SystemState};
pub use table_range::{ALL_KEYS, KeyBounds, TableRange};
pub use table_view::{CopyState, TableView};
pub use version_clock::ClockMark;
pub use view::View;
pub use windows::OUTCOMES_PER_INCARNATION;

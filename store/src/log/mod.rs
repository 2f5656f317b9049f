//! The Raft log on disc: the one durable thing of a node.
//!
//! [`RaftLog`] holds entries, votes, truncations and purges in one sequence of *segments*, because two files synced one
//! after the other cost twice. Each group of operations is one *frame*, each operation one or more *records*.
//!
//! | file | says |
//! |---|---|
//! | `raft_log.rs` | the handle |
//! | `shared.rs`, `writer.rs` | the queue, and what empties it: a thread, or whoever appends |
//! | `table.rs`, `outline.rs` | what is known in memory of each entry and of the two ends |
//! | `segment.rs`, `frame.rs`, `record.rs` | the three layers of the format, from the outside in |
//! | `end_mark.rs` | up to where the log was written, kept beside it |
//! | `recovery.rs` | opening: replay, torn tails and damage |
//! | `reader.rs` | reading entries that are not in memory any more |
//!
//! ```
//! use tabularaft_store::Position;
//! use tabularaft_store::log::{Durability, LogEntry, LogOptions, RaftLog};
//!
//! let dir = tempfile::tempdir()?;
//! let (log, _) = RaftLog::open(dir.path(), LogOptions::default())?;
//! let (stored, wait) = std::sync::mpsc::sync_channel(1);
//! let entry = LogEntry { position: Position::new(1, 0), payload: "hello".into() };
//! log.append(vec![(entry, Durability::Synced)], Box::new(move |result| stored.send(result).expect("still waiting")))?;
//! wait.recv()??;
//! log.close()?;
//!
//! let (log, recovered) = RaftLog::open(dir.path(), LogOptions::default())?;
//! assert_eq!(recovered.last, Some(Position::new(1, 0)));
//! assert_eq!(log.read(0..1, usize::MAX)?.len(), 1);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod end_mark;
mod entry;
mod error;
mod fields;
mod frame;
mod options;
mod outline;
mod power_loss;
mod raft_log;
mod reader;
mod record;
mod recovery;
mod segment;
mod shared;
mod table;
mod writer;

pub use entry::{Durability, LogBounds, LogEntry, LogStats, OnDone, Recovered, SyncedMark, TornTail};
pub use error::LogError;
pub use options::LogOptions;
#[doc(hidden)]
pub use power_loss::{simulate_power_loss, simulate_torn_power_loss};
pub use raft_log::RaftLog;

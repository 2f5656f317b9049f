//! Transactions: a closure that reads one view and gathers writes, and the leader that accepts them only if nothing the
//! closure has read has changed.
//!
//! ```text
//! view -> closure -> guards (what was read) + operations (what was written) -> sequencer -> committed
//!  ^                                                                             |
//!  └────────────── a newer view ── conflict: something read has changed ─────────┘
//! ```
//!
//! | file | holds |
//! |---|---|
//! | `node.rs` | what a node offers: transactions and views |
//! | `run.rs` | attempts, until one is accepted |
//! | `tx.rs` | what the closure is given |
//! | `read_table.rs`, `scan.rs` | reading a table, with the transaction's own writes |
//! | `write_table.rs`, `update_table.rs` | writing to it |
//! | `reads.rs`, `writes.rs` | what the transaction has read, and written so far |

mod conflict;
mod error;
mod known;
mod node;
mod options;
mod read_table;
mod reading;
mod reading_index;
mod reads;
mod run;
mod scan;
mod state;
mod tx;
mod update_table;
mod view;
mod write_table;
mod writes;

pub use error::{TooLarge, TransactionError, TxError};
pub(crate) use known::KnownTypes;
pub use options::{Transacted, TransactionOptions};
pub use read_table::ReadTable;
pub(crate) use reading::Reading;
pub(crate) use reading_index::IndexSpan;
pub use scan::Scan;
pub use tx::Tx;
pub use view::ReadView;
pub use write_table::TxTable;

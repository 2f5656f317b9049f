//! Secondary indexes: beside the records of a table, under the same lock and in the same views.
//!
//! An index is an ordered map in memory, whatever the table's mode: each key is an encoded value followed by the
//! storage key of a record that has it, and nothing stands under it. Indexes are derived from the records, so they are
//! in no checkpoint and in no copy that travels; where records arrive as a whole they are built anew in the background
//! (`build`), while reads of the records and writes go on.

mod build;
mod entries;
mod entry;
mod error;
mod secondary_index;
mod table_indexes;
mod view;

pub(crate) use build::start_wanted;
pub(crate) use entries::values_of;
pub use entry::{IndexBounds, IndexEntries, IndexEntry};
pub use error::IndexReadError;
pub(crate) use table_indexes::TableIndexes;
pub use view::{Duplicates, IndexState, IndexView};

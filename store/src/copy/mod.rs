//! Copying a table from one node to another: chunks on the way, a builder where they arrive.

mod builder;
mod chunk;
mod disc_writer;

pub(crate) use builder::LoadedRecords;
pub use builder::{LoadedTable, Progress, TableBuilder, UncheckedTable};
pub(crate) use chunk::WireChunk;
pub use chunk::{ChunkError, CopyChunk};

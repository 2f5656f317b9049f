//! The guide, as it stands in `docs/guide/`. Its programs are compiled and run with the documentation's other examples.
#![doc = include_str!("../../docs/guide/README.md")]

#[doc = include_str!("../../docs/guide/tables.md")]
pub mod tables {}

#[doc = include_str!("../../docs/guide/reading-and-writing.md")]
pub mod reading_and_writing {}

#[doc = include_str!("../../docs/guide/indexes-and-queries.md")]
pub mod indexes_and_queries {}

#[doc = include_str!("../../docs/guide/transactions.md")]
pub mod transactions {}

#[doc = include_str!("../../docs/guide/events.md")]
pub mod events {}

#[doc = include_str!("../../docs/guide/backup.md")]
pub mod backup {}

#[doc = include_str!("../../docs/guide/membership.md")]
pub mod membership {}

#[doc = include_str!("../../docs/guide/operations.md")]
pub mod operations {}

#[doc = include_str!("../../docs/guide/failures.md")]
pub mod failures {}

#[doc = include_str!("../../docs/guide/coming-from-mnesia.md")]
pub mod coming_from_mnesia {}

//! Queries: which records, in which order, found in the quickest way that the table offers.
//!
//! ```text
//! filter -> checked against the table -> plan: key, key range, index or scan -> records -> the rest of the filter -> order, limit
//! ```
//!
//! | file | holds |
//! |---|---|
//! | `filter.rs` | conditions as a caller writes them |
//! | `compiled.rs` | the same, checked and ready to be asked of each record |
//! | `ranges.rs` | which conditions are ranges of values |
//! | `planner.rs` | the choice of a way to the records |
//! | `plan.rs` | the chosen way, for `explain` |
//! | `run.rs` | going it |
//! | `builder.rs`, `parallel.rs` | what a typed table offers |

mod builder;
mod compiled;
mod filter;
mod parallel;
mod plan;
mod planner;
mod ranges;
mod run;

pub use builder::Query;
pub use filter::{Condition, Filter, by_index, field};
pub use plan::{Access, Plan};

//! From records of one record version to those of a later one.

mod automatic;
mod registered;
mod upgrade;

pub use registered::{Migration, migrate_records};
pub use upgrade::Upgrade;

//! The reboot cycle: join, leave, removal and healing all take this one path.
//!
//! ```text
//! check -> prepare hooks -> stop -> retire local data -> admit -> copy -> start -> catch up -> promote -> reboot hooks
//! \______ nothing touched ______/   \_______________ a failure brings the retired data back ______________/
//! ```

mod check;
mod cycle;
mod export;
mod leader;
mod removal;

pub(crate) use check::{CheckReply, CheckRequest, check_joiner};
pub(crate) use cycle::{has_other_id, join, leave, remove_member};
pub use export::LocalData;
pub(crate) use leader::{admit, finish, not_leader};
pub(crate) use removal::{complete, remove};

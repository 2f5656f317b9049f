//! What the driver and the node programs of the comparison have in common: the lines they speak, and callers in a
//! closed loop.

pub mod callers;
pub mod content;
pub mod figures;
pub mod line;
pub mod served;

pub use figures::Figures;
pub use line::Line;

/// Why a figure could not be taken. A bench has no use for telling errors apart.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;

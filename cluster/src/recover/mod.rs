//! For operators, on stopped nodes: going on after the majority of the voters is lost for good, and rebuilding a node
//! whose data is damaged from its peers.
//!
//! ```no_run
//! use tabularaft::recover::Survivor;
//!
//! let survivor = Survivor::open("data".as_ref())?;
//! let plan = survivor.plan(&["n1@host".parse()?])?;
//! println!("{plan}");                       // what may be lost
//! let record = survivor.go_on(&plan)?;      // the other members never come back as such
//! println!("cluster {:032x} is {:032x} now", record.former_id, record.cluster_id);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod damaged;
mod error;
mod plan;
mod survivor;

pub use damaged::{Aside, DamagedNode};
pub use error::RecoverError;
pub use plan::{LostMember, Plan};
pub use survivor::Survivor;

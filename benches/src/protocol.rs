//! What the measuring process tells a node process, one JSON line each way.

use serde::{Deserialize, Serialize};

use crate::items::TableChoice;

/// What a node is told to do. Every command has one [`Reply`].
#[derive(Debug, Serialize, Deserialize)]
pub enum Command {
    /// Whether it leads.
    Status,
    /// Joins the cluster of this address.
    Join {
        /// `host:port`
        peer: String,
    },
    /// Leaves the cluster.
    Leave,
    /// Creates both tables, unless they are there.
    CreateTables,
    /// Waits until the table can be read here, writes have a leader, and it holds this many records.
    WaitFor {
        /// The table.
        table: TableChoice,
        /// How many records it will have at least.
        records: u64,
    },
    /// Inserts the records with these numbers, by this many callers.
    Load {
        /// The table.
        table: TableChoice,
        /// How many records.
        records: u64,
        /// How many callers insert at once, each one record at a time.
        callers: usize,
    },
    /// Reads random records.
    Read {
        /// The table.
        table: TableChoice,
        /// How the records are read.
        how: ReadKind,
        /// Random keys are below this number.
        records: u64,
        /// How many threads read.
        threads: usize,
        /// For how long.
        seconds: f64,
    },
    /// Starts callers that overwrite random records until [`Command::EndWrites`].
    BeginWrites {
        /// The table.
        table: TableChoice,
        /// Random keys are below this number.
        records: u64,
        /// How many callers write at once, each one record at a time.
        callers: usize,
        /// Writes that begin in this time are not counted.
        warm_up_seconds: f64,
    },
    /// Stops the callers and tells what they saw.
    EndWrites,
    /// Writes one record.
    WriteOne {
        /// The table.
        table: TableChoice,
    },
    /// Stops the node in order; the process ends.
    Shutdown,
}

/// How a record is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ReadKind {
    /// `Table::get`: looked up and decoded into the record type, with a string and a vector of its own.
    Get,
    /// `Table::contains`: looked up only.
    Contains,
}

/// What a node answers.
#[derive(Debug, Serialize, Deserialize)]
pub enum Reply {
    /// The node runs, and listens here. Sent once, unasked.
    Started {
        /// `host:port`
        address: String,
    },
    /// Whether the node leads.
    Status {
        /// It does.
        leader: bool,
    },
    /// It is done.
    Done {
        /// How long it took.
        seconds: f64,
    },
    /// The node is a member.
    Joined {
        /// From the call to its return.
        seconds: f64,
        /// From the first table's first record to the last one's last.
        copy_seconds: f64,
    },
    /// What the readers saw.
    Read(ReadFigures),
    /// What the writers saw.
    Written(WriteFigures),
    /// It did not work.
    Failed(String),
}

/// Reads of all threads.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct ReadFigures {
    /// Reads per second, of all threads together.
    pub per_second: f64,
    /// Nanoseconds per read, as one thread sees it.
    pub nanos: f64,
}

/// Writes of all callers of one node.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct WriteFigures {
    /// Writes per second.
    pub per_second: f64,
    /// Half of the writes took at most this long, in µs.
    pub p50_micros: u64,
    /// 99 of 100 writes took at most this long, in µs.
    pub p99_micros: u64,
    /// The longest write, in µs: how long a caller stalled.
    pub longest_micros: u64,
    /// The longest time in which none of the callers had a write acknowledged, in µs.
    pub longest_gap_micros: u64,
    /// Writes that were not acknowledged.
    pub failed: u64,
    /// Those of them that were refused because too many wait already.
    pub overloaded: u64,
    /// What one of them was told.
    pub first_failure: Option<String>,
}

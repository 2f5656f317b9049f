//! What a transaction gathers while its closure runs.

use crate::config::NodeConfig;
use crate::error::ReadError;
use crate::transaction::error::TooLarge;
use crate::transaction::reads::Reads;
use crate::transaction::writes::Writes;
use crate::write::{Guard, Op};

/// What was read and written so far, and how much of it there may be.
#[derive(Debug)]
pub(super) struct TxState {
    pub(super) reads: Reads,
    pub(super) writes: Writes,
    limits: Limits,
}

/// How much one transaction may read and write: it travels as one request, and becomes part of one entry of the log.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    pub(super) records_max: usize,
    pub(super) bytes_max: usize,
}

impl Limits {
    pub(super) fn of(config: &NodeConfig) -> Self {
        Self {
            records_max: config.transaction_records_max as usize,
            bytes_max: config.transaction_bytes_max as usize,
        }
    }
}

impl TxState {
    pub(super) fn new(limits: Limits) -> Self {
        Self { reads: Reads::default(), writes: Writes::default(), limits }
    }

    pub(super) fn check_size(&self) -> Result<(), TooLarge> {
        let records = self.reads.count() + self.writes.count();
        if records > self.limits.records_max {
            return Err(TooLarge {
                what: "reads and writes",
                found: records,
                setting: "transaction_records_max",
                limit: self.limits.records_max,
            });
        }
        let bytes = self.reads.bytes() + self.writes.bytes();
        if bytes > self.limits.bytes_max {
            return Err(TooLarge {
                what: "bytes of reads and writes",
                found: bytes,
                setting: "transaction_bytes_max",
                limit: self.limits.bytes_max,
            });
        }
        Ok(())
    }

    pub(super) fn check_reads(&self) -> Result<(), ReadError> {
        self.check_size().map_err(ReadError::TooLarge)
    }

    /// Guards of reads in a view whose last version is `at`, and the operations.
    pub(super) fn into_request(self, at: u64) -> (Vec<Guard>, Vec<Op>) {
        (self.reads.into_guards(at), self.writes.into_ops())
    }
}

//! What a transaction gathers while its closure runs.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use tabularaft_schema::TableId;
use tabularaft_store::View;

use crate::config::NodeConfig;
use crate::error::ReadError;
use crate::transaction::error::TooLarge;
use crate::transaction::reads::Reads;
use crate::transaction::writes::Writes;
use crate::write::Place;

/// What was read and written so far, and how much of it there may be.
#[derive(Debug)]
pub(super) struct TxState {
    pub(super) reads: Reads,
    pub(super) writes: Writes,
    /// The records that it is this transaction's turn to change, as those before it leave them.
    pub(super) turn: BTreeMap<Place, Option<Bytes>>,
    /// The records that were read for update without having a turn.
    pub(super) wanted: BTreeSet<Place>,
    /// The record versions of the tables in the view, where they are not 1.
    pub(super) record_versions: BTreeMap<TableId, u32>,
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
    pub(super) fn new(limits: Limits, turn: BTreeMap<Place, Option<Bytes>>) -> Self {
        let (reads, writes) = (Reads::default(), Writes::default());
        Self { reads, writes, turn, wanted: BTreeSet::new(), record_versions: BTreeMap::new(), limits }
    }

    /// The record is about to be changed, so it should be this transaction's turn.
    pub(super) fn want(&mut self, place: Place) {
        if !self.turn.contains_key(&place) {
            self.wanted.insert(place);
        }
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

    /// What the transaction leaves of the records that it was its turn to change, as far as it changes them.
    pub(super) fn left(&self, view: &View) -> Result<BTreeMap<Place, Option<Bytes>>, ReadError> {
        let mut left = BTreeMap::new();
        for (place, before) in &self.turn {
            let own = self.writes.shadow(place.0).and_then(|shadow| shadow.own(&place.1));
            if let (Some(own), Some(copy)) = (own, view.table(place.0)) {
                left.insert(place.clone(), self.writes.after(copy.def(), own, before.clone())?);
            }
        }
        Ok(left)
    }
}

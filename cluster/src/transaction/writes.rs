//! What a transaction has written so far, and what its own reads see of it.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use bytes::Bytes;
use tabularaft_schema::{TableDef, TableId, TableKind};
use tabularaft_store::bag_storage_key;

use crate::error::ReadError;
use crate::write::Op;

/// The operations in order, and by table what they leave of the records.
///
/// Invariant: `shadows` follows from `ops` alone, so that taking operations back is replaying the rest.
#[derive(Debug, Default)]
pub(super) struct Writes {
    ops: Vec<(Op, TableKind)>,
    shadows: BTreeMap<TableId, Shadow>,
    bytes: usize,
}

/// What the transaction has done to one table.
#[derive(Debug, Default)]
pub(super) struct Shadow {
    records: BTreeMap<Bytes, Own>,
    /// Keys of a bag under which everything that was there before is deleted.
    wiped: BTreeSet<Bytes>,
}

/// A record as the transaction leaves it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Own {
    /// It is these bytes, of a bag too.
    Record(Bytes),
    /// It is deleted.
    Gone,
    /// It comes of what is in the view, or of what the transaction had made of it before (`from`), by these operations,
    /// which are numbers in [`Writes`].
    Changed { from: Option<Option<Bytes>>, ops: Vec<usize> },
}

impl Own {
    /// Whether one has to know what is in the view.
    pub(super) fn rests_on_view(&self) -> bool {
        matches!(self, Own::Changed { from: None, .. })
    }
}

impl Writes {
    pub(super) fn push(&mut self, op: Op, kind: TableKind) {
        self.bytes += op.bytes() + 8;
        self.shade(self.ops.len(), &op, kind);
        self.ops.push((op, kind));
    }

    pub(super) fn count(&self) -> usize {
        self.ops.len()
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    fn op(&self, number: usize) -> Option<&Op> {
        self.ops.get(number).map(|(op, _)| op)
    }

    pub(super) fn shadow(&self, table: TableId) -> Option<&Shadow> {
        self.shadows.get(&table)
    }

    /// What is left of a record that was `before` in the view.
    pub(super) fn after(
        &self,
        def: &TableDef,
        own: &Own,
        before: Option<Bytes>,
    ) -> Result<Option<Bytes>, ReadError> {
        match own {
            Own::Record(record) => Ok(Some(record.clone())),
            Own::Gone => Ok(None),
            Own::Changed { from, ops } => {
                let mut ops = ops.iter().filter_map(|number| self.op(*number));
                ops.try_fold(from.clone().unwrap_or(before), |record, op| changed(def, record, op))
            }
        }
    }

    /// Takes back everything after the first `count` operations.
    pub(super) fn take_back(&mut self, count: usize) {
        if count >= self.ops.len() {
            return;
        }
        let mut kept = std::mem::take(self).ops;
        kept.truncate(count);
        kept.into_iter().for_each(|(op, kind)| self.push(op, kind));
    }

    pub(super) fn into_ops(self) -> Vec<Op> {
        self.ops.into_iter().map(|(op, _)| op).collect()
    }

    fn shade(&mut self, number: usize, op: &Op, kind: TableKind) {
        let Some(table) = op.table() else { return };
        let shadow = self.shadows.entry(table).or_default();
        let is_bag = kind == TableKind::Bag;
        match op {
            Op::Put { key, value, .. } | Op::InsertNew { key, value, .. } if is_bag => {
                shadow.records.insert(bag_storage_key(key, value), Own::Record(value.clone()));
            }
            Op::Put { key, value, .. } | Op::InsertNew { key, value, .. } => {
                shadow.records.insert(key.clone(), Own::Record(value.clone()));
            }
            Op::Delete { key, .. } if is_bag => shadow.wipe(key),
            Op::Delete { key, .. } => drop(shadow.records.insert(key.clone(), Own::Gone)),
            Op::DeleteObject { key, value, .. } if is_bag => {
                shadow.records.insert(bag_storage_key(key, value), Own::Gone);
            }
            Op::DeleteObject { key, .. } | Op::Update { key, .. } => shadow.change(key, number),
            _ => {}
        }
    }
}

impl Shadow {
    /// What the transaction has done to the record under a storage key.
    pub(super) fn own(&self, key: &Bytes) -> Option<&Own> {
        self.records.get(key)
    }

    /// The keys of a bag under which everything that the view has is deleted.
    pub(super) fn wiped(&self) -> &BTreeSet<Bytes> {
        &self.wiped
    }

    /// The changed records between the bounds. The lower one must not be above the other.
    pub(super) fn between(
        &self,
        low: &Bound<Bytes>,
        high: &Bound<Bytes>,
    ) -> impl DoubleEndedIterator<Item = (&Bytes, &Own)> {
        self.records.range((low.clone(), high.clone()))
    }

    /// One more operation changes the record by what it is.
    fn change(&mut self, key: &Bytes, number: usize) {
        let changed = match self.records.remove(key) {
            None => Own::Changed { from: None, ops: vec![number] },
            Some(Own::Record(record)) => Own::Changed { from: Some(Some(record)), ops: vec![number] },
            Some(Own::Gone) => Own::Changed { from: Some(None), ops: vec![number] },
            Some(Own::Changed { from, mut ops }) => {
                ops.push(number);
                Own::Changed { from, ops }
            }
        };
        self.records.insert(key.clone(), changed);
    }

    fn wipe(&mut self, key: &Bytes) {
        let under: Vec<Bytes> = self
            .records
            .range((Bound::Included(key.clone()), Bound::Unbounded))
            .take_while(|(storage_key, _)| storage_key.starts_with(key))
            .map(|(storage_key, _)| storage_key.clone())
            .collect();
        under.iter().for_each(|storage_key| drop(self.records.remove(storage_key)));
        self.wiped.insert(key.clone());
    }
}

/// The record after an operation whose outcome depends on what it was before.
fn changed(def: &TableDef, before: Option<Bytes>, op: &Op) -> Result<Option<Bytes>, ReadError> {
    match op {
        Op::DeleteObject { value, .. } if before.as_ref() == Some(value) => Ok(None),
        Op::Update { change, .. } => {
            let (after, _) = change.apply(def, before.as_ref()).map_err(ReadError::Refused)?;
            Ok(after)
        }
        _ => Ok(before),
    }
}

#[cfg(test)]
mod tests {
    use tabularaft_schema::FieldType;

    use super::*;

    const TABLE: TableId = TableId(1);

    fn bytes(text: &'static str) -> Bytes {
        Bytes::from_static(text.as_bytes())
    }

    fn put(key: &'static str, value: &'static str) -> Op {
        Op::Put { table: TABLE, key: bytes(key), value: bytes(value) }
    }

    fn delete(key: &'static str) -> Op {
        Op::Delete { table: TABLE, key: bytes(key) }
    }

    #[test]
    fn operations_that_are_taken_back_leave_what_was_before_them() {
        let mut writes = Writes::default();
        writes.push(put("a", "1"), TableKind::Set);
        let (mark, size) = (writes.count(), writes.bytes());
        writes.push(put("a", "2"), TableKind::Set);
        writes.push(delete("b"), TableKind::Set);
        let shadow = writes.shadow(TABLE).unwrap();
        assert_eq!(shadow.own(&bytes("a")), Some(&Own::Record(bytes("2"))));
        assert_eq!(shadow.own(&bytes("b")), Some(&Own::Gone));
        writes.take_back(mark);
        let shadow = writes.shadow(TABLE).unwrap();
        assert_eq!(shadow.own(&bytes("a")), Some(&Own::Record(bytes("1"))));
        assert_eq!(shadow.own(&bytes("b")), None);
        assert_eq!((writes.count(), writes.bytes()), (mark, size));
    }

    #[test]
    fn what_a_bag_gets_after_its_key_was_deleted_is_there() {
        let mut writes = Writes::default();
        writes.push(put("k", "1"), TableKind::Bag);
        writes.push(delete("k"), TableKind::Bag);
        writes.push(put("k", "2"), TableKind::Bag);
        let shadow = writes.shadow(TABLE).unwrap();
        assert!(shadow.wiped().contains(&bytes("k")));
        assert_eq!(shadow.own(&bytes("k1")), None);
        assert_eq!(shadow.own(&bytes("k2")), Some(&Own::Record(bytes("2"))));
    }

    #[test]
    fn an_object_is_deleted_if_it_is_what_the_transaction_or_the_view_has() {
        let def = TableDef::builder("t").unwrap().field("id", FieldType::U64).key("id").build().unwrap();
        let mut writes = Writes::default();
        let object = |value| Op::DeleteObject { table: TABLE, key: bytes("k"), value: bytes(value) };
        let left = |writes: &Writes, before| {
            let own = writes.shadow(TABLE).unwrap().own(&bytes("k")).unwrap().clone();
            writes.after(&def, &own, Some(bytes(before))).unwrap()
        };
        writes.push(object("1"), TableKind::Set);
        assert!(writes.shadow(TABLE).unwrap().own(&bytes("k")).unwrap().rests_on_view());
        assert_eq!((left(&writes, "1"), left(&writes, "2")), (None, Some(bytes("2"))));
        writes.push(put("k", "2"), TableKind::Set);
        writes.push(object("1"), TableKind::Set);
        assert_eq!(left(&writes, "1"), Some(bytes("2")));
        writes.push(object("2"), TableKind::Set);
        assert_eq!(left(&writes, "1"), None);
        assert!(!writes.shadow(TABLE).unwrap().own(&bytes("k")).unwrap().rests_on_view());
    }
}

//! The storage keys of bags: the encoded key, and the record's bytes after it.

use bytes::{BufMut, Bytes, BytesMut};
use tabularaft_schema::{TableDef, TableKind};

/// The storage key of a bag's record: what an effect carries, with an empty value.
pub fn bag_storage_key(key: &[u8], record: &[u8]) -> Bytes {
    let mut joined = BytesMut::with_capacity(key.len() + record.len());
    joined.put_slice(key);
    joined.put_slice(record);
    joined.freeze()
}

/// The encoded key at the beginning of a bag's storage key.
pub fn key_of_storage_key<'k>(def: &TableDef, storage_key: &'k [u8]) -> &'k [u8] {
    split(def, storage_key).0
}

/// The record in a bag's storage key; `None` if the table is no bag, whose records stand under their storage keys.
pub fn record_of_storage_key<'k>(def: &TableDef, storage_key: &'k [u8]) -> Option<&'k [u8]> {
    (def.kind == TableKind::Bag).then(|| split(def, storage_key).1)
}

/// Key and record of a bag's storage key. What is no key of the table is all key, so that nothing is made up.
pub(crate) fn split<'k>(def: &TableDef, storage_key: &'k [u8]) -> (&'k [u8], &'k [u8]) {
    let mut rest = storage_key;
    for field in def.key_fields() {
        match field.field_type.split_key(rest) {
            Some((_, after)) => rest = after,
            None => return (storage_key, &[]),
        }
    }
    storage_key.split_at(storage_key.len() - rest.len())
}

#[cfg(test)]
mod tests {
    use tabularaft_schema::{FieldType, TableDef, TableKind, Value};

    use super::*;

    #[test]
    fn a_storage_key_splits_where_its_key_ends() {
        let text = FieldType::String;
        let def = TableDef::builder("t").unwrap().kind(TableKind::Bag);
        let def =
            def.field("a", text.clone()).field("b", FieldType::optional(text)).field("c", FieldType::I64);
        let def = def.field("d", FieldType::Bool).key("a").key("b").key("c").key("d").build().unwrap();
        for b in [Value::Null, Value::String(String::new()), Value::String("\0\u{1}\0".into())] {
            let parts = [Value::String("x\0".into()), b, Value::I64(-7), Value::Bool(true)];
            let key = def.key_of_parts(&parts).unwrap();
            let joined = bag_storage_key(&key, b"\0\x01record");
            assert_eq!(split(&def, &joined), (key.as_bytes(), &b"\0\x01record"[..]));
            assert_eq!(split(&def, &key[..key.len() - 1]).1, b"", "a broken key is not split");
        }
    }
}

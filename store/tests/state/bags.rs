use bytes::Bytes;
use tabularaft_schema::{CopyMode, TableKind, Value};
use tabularaft_store::{Effect, bag_storage_key};

use crate::harness::*;

/// Storage keys as a proposer makes them: the key's encoding, and the record after it.
fn record_in(def: &tabularaft_schema::TableDef, id: &str, value: &str) -> (Bytes, Vec<u8>) {
    let values = [Value::String(id.into()), Value::Bytes(value.into())];
    let record = def.shape.encode(&values).unwrap();
    let key = def.key_of_record(&record).unwrap();
    (bag_storage_key(&key, &record), record)
}

#[test]
fn a_bag_keeps_every_different_record_of_a_key_once() {
    for mode in [CopyMode::Ram, CopyMode::Disc, CopyMode::DiscOnly] {
        let dir = tempfile::tempdir().unwrap();
        let store = on_disc(dir.path());
        let mut log = Log::new();
        let id = log.create("t", TableKind::Bag, mode);
        let def = def("t", TableKind::Bag, mode);
        let mut version = 0;
        let mut put = |log: &mut Log, key: &str, value: &str| {
            version += 1;
            let key = record_in(&def, key, value).0;
            log.append(vec![Effect::Put { table: id, key, value: Bytes::new(), version, owner: None }]);
        };
        put(&mut log, "a", "1");
        put(&mut log, "a", "2");
        put(&mut log, "a", "1");
        put(&mut log, "ab", "3");
        log.feed(&store);
        if mode == CopyMode::DiscOnly {
            store.checkpoint_now(true).unwrap();
        }

        let table = table(&store, id);
        assert_eq!(table.len(), 3, "{mode}");
        let (_, first) = record_in(&def, "a", "1");
        let (_, second) = record_in(&def, "a", "2");
        let key = def.key_of_record(&first).unwrap();
        let found = table.get_all(&key).unwrap();
        let records: Vec<&[u8]> = found.iter().map(|record| table.stored_bytes(record)).collect();
        assert_eq!(records, [&first[..], &second[..]], "{mode}");
        assert!(found.iter().all(|record| table.record_key(record) == key.as_bytes()));
        let all: Vec<Vec<u8>> =
            table.rows().map(|record| table.stored_bytes(&record.unwrap()).to_vec()).collect();
        assert_eq!(all.len(), 3);
        assert_eq!(all[2], record_in(&def, "ab", "3").1);
    }
}

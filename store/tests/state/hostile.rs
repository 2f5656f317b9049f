//! No bytes panic, whoever sent them.

use bytes::Bytes;
use proptest::prelude::*;
use tabularaft_schema::{CopyMode, TableKind};
use tabularaft_store::{Batch, BatchError, Position, StoreError, TableBuilder, batch_needs_sync};

use crate::harness::*;

/// Real bytes, damaged: cut, with changed bytes, or with others behind.
fn damaged(original: Vec<u8>) -> impl Strategy<Value = Vec<u8>> {
    let length = original.len();
    let changes = proptest::collection::vec((0..length, any::<u8>()), 1..4);
    (changes, 0..=length, proptest::collection::vec(any::<u8>(), 0..4)).prop_map(
        move |(changes, cut, behind)| {
            let mut bytes = original.clone();
            for (place, byte) in changes {
                bytes[place] = byte;
            }
            if cut % 3 == 0 {
                bytes.truncate(cut);
            }
            bytes.extend(behind);
            bytes
        },
    )
}

fn batch() -> Vec<u8> {
    let mut log = Log::new();
    let id = log.create("t", TableKind::Bag, CopyMode::Disc);
    let effects = vec![
        log.put_effect(id, "key", "value"),
        log.delete_effect(id, "key"),
        log.clear_effect(id),
        tabularaft_store::Effect::Schema(def("other", TableKind::Set, CopyMode::Ram).into()),
    ];
    Batch { term: TERM, decided: Vec::new(), effects, rests_on: None }.encode(true).to_vec()
}

fn image_and_chunk() -> (Vec<u8>, Vec<u8>) {
    let store = diskless();
    let mut log = Log::new();
    let id = log.create("t", TableKind::OrderedSet, CopyMode::Ram);
    log.fill(id, 5);
    log.feed(&store);
    let chunk = table(&store, id).chunk_after(None, 1 << 20).unwrap();
    (store.view().image().to_vec(), chunk.bytes.to_vec())
}

proptest! {
    #[test]
    fn any_bytes_are_a_batch_or_an_error(bytes: Vec<u8>) {
        let _ = Batch::decode(&Bytes::from(bytes.clone()));
        let _ = batch_needs_sync(&bytes);
    }

    #[test]
    fn a_damaged_batch_is_applied_or_refused_and_never_panics(bytes in damaged(batch())) {
        let store = diskless();
        let mut writer = store.writer();
        match writer.apply(Position::new(TERM, 0), &Bytes::from(bytes)) {
            Err(StoreError::Batch { .. }) => prop_assert_eq!(writer.applied(), None),
            Err(error) => panic!("{error}"),
            Ok(_) => {}
        }
        writer.publish();
    }

    #[test]
    fn a_damaged_image_is_refused(bytes in damaged(image_and_chunk().0)) {
        let original = image_and_chunk().0;
        let store = diskless();
        prop_assert!(bytes == original || store.begin_install(&bytes).is_err());
    }

    #[test]
    fn a_damaged_chunk_is_refused_and_the_builder_is_as_it_was(bytes in damaged(image_and_chunk().1)) {
        let original = image_and_chunk().1;
        let store = diskless();
        let def = std::sync::Arc::new(def("t", TableKind::OrderedSet, CopyMode::Ram));
        let mut builder = TableBuilder::new(tabularaft_schema::TableId(1), def, CopyMode::Ram, &store);
        if bytes != original {
            prop_assert!(builder.push(&bytes).is_err());
        }
        prop_assert!(builder.push(&original).is_ok());
    }
}

#[test]
fn a_batch_of_a_newer_format_says_so() {
    let mut bytes = batch();
    bytes[0] = 7;
    assert_eq!(Batch::decode(&bytes.into()), Err(BatchError::NewerFormat { found: 7 }));
    assert!(batch_needs_sync(&[7, 0]), "what is not understood is synced");
    assert!(!batch_needs_sync(&[1, 0]) && batch_needs_sync(&[1, 1]) && batch_needs_sync(&[]));
}

#[test]
fn decoded_keys_and_values_lie_in_the_payload() {
    let mut log = Log::new();
    let effect = log.put_effect(tabularaft_schema::TableId(1), "a key", "a value");
    let payload = Batch { term: 1, decided: Vec::new(), effects: vec![effect], rests_on: None }.encode(false);
    let batch = Batch::decode(&payload).unwrap();
    let tabularaft_store::Effect::Put { key, value, .. } = &batch.effects[0] else { panic!() };
    let inside = |bytes: &Bytes| payload.as_ptr_range().contains(&bytes.as_ptr());
    assert!(inside(key) && inside(value));
}

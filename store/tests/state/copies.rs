use proptest::prelude::*;
use tabularaft_schema::{CopyMode, TableKind};
use tabularaft_store::{ChunkError, StoreError, TableBuilder, TableDigest};

use crate::harness::*;

#[test]
fn a_copy_resumes_from_its_cursor_and_takes_no_chunk_twice() {
    for (kind, mode) in [
        (TableKind::Set, CopyMode::Ram),
        (TableKind::OrderedSet, CopyMode::Ram),
        (TableKind::Set, CopyMode::DiscOnly),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let source = on_disc(dir.path());
        let mut log = Log::new();
        let id = log.create("t", kind, mode);
        log.fill(id, 500);
        log.feed(&source);
        source.checkpoint_now(true).unwrap();
        log.put(id, "k00100", "changed after the checkpoint");
        log.delete(id, "k00200");
        log.feed(&source);
        let held = table(&source, id);
        log.put(id, "k00300", "changed after the view was taken");
        log.feed(&source);

        let receiver = diskless();
        let mut builder = TableBuilder::new(id, held.def().clone(), CopyMode::Ram, &receiver);
        let first = held.chunk_after(None, 1000).unwrap();
        assert!(first.records > 1 && first.next.is_some());
        builder.push(&first.bytes).unwrap();
        let twice = builder.push(&first.bytes).unwrap_err();
        assert!(matches!(twice, StoreError::Chunk { source: ChunkError::OutOfOrder, .. }), "{twice}");
        // A broken stream: the next chunk was made but never arrived.
        let lost = held.chunk_after(first.next.as_deref(), 1000).unwrap();
        let skipped = held.chunk_after(lost.next.as_deref(), 1000).unwrap();
        assert!(builder.push(&skipped.bytes).is_err());
        copy_into(&mut builder, &held, 1000);
        let progress = builder.progress().clone();
        assert_eq!((progress.records, progress.complete), (499, true));
        assert!(builder.push(&first.bytes).is_err(), "nothing follows the last chunk");
        let loaded = builder.finish(held.digest().unwrap()).unwrap();
        assert_eq!(loaded.digest(), held.digest().unwrap());
    }
}

#[test]
fn a_copy_that_is_not_what_the_source_holds_is_refused() {
    let source = diskless();
    let mut log = Log::new();
    let id = log.create("t", TableKind::OrderedSet, CopyMode::Ram);
    log.fill(id, 10);
    log.feed(&source);
    let held = table(&source, id);
    let builder = || TableBuilder::new(id, held.def().clone(), CopyMode::Ram, &source);

    let mut whole = builder();
    copy_into(&mut whole, &held, 100);
    let error = whole.finish(TableDigest { records: 10, sum: 1 }).err().unwrap();
    assert!(matches!(error, StoreError::CopyDiffers { .. }), "{error}");
    let mut half = builder();
    half.push(&held.chunk_after(None, 100).unwrap().bytes).unwrap();
    let error = half.finish(held.digest().unwrap()).err().unwrap();
    let incomplete = ChunkError::Completeness { complete: false };
    assert!(matches!(error, StoreError::Chunk { source, .. } if source == incomplete));
    let other = TableBuilder::new(tabularaft_schema::TableId(9), held.def().clone(), CopyMode::Ram, &source);
    let mut other = other;
    let error = other.push(&held.chunk_after(None, 100).unwrap().bytes).err().unwrap();
    assert!(
        matches!(error, StoreError::Chunk { source: ChunkError::OtherTable { found }, .. } if found == id)
    );
}

#[test]
fn an_unfinished_copy_leaves_nothing_on_disc() {
    let dir = tempfile::tempdir().unwrap();
    let source = diskless();
    let receiver = on_disc(dir.path());
    let mut log = Log::new();
    let id = log.create("t", TableKind::OrderedSet, CopyMode::DiscOnly);
    let values = (0..200).map(|n| log.put_effect(id, &format!("k{n:05}"), &"x".repeat(100_000)));
    let values = values.collect();
    log.append(values);
    log.feed(&source);
    let held = table(&source, id);
    let tables_on_disc = || {
        let file = dir.path().join("tables.redb");
        let copy = dir.path().join("copy.redb");
        std::fs::copy(file, &copy).unwrap();
        let database = redb::Database::open(&copy).unwrap();
        let transaction = database.begin_write().unwrap();
        let tables = transaction.list_tables().unwrap();
        tables.filter(|table| redb::TableHandle::name(table).starts_with('t')).count()
    };
    let mut builder = TableBuilder::new(id, held.def().clone(), CopyMode::DiscOnly, &receiver);
    copy_into(&mut builder, &held, 1 << 20);
    assert_eq!(tables_on_disc(), 1, "the copy is written as it comes");
    drop(builder);
    assert_eq!(tables_on_disc(), 0);
}

proptest! {
    #[test]
    fn chunks_of_any_size_carry_the_whole_table(records in 0..60usize, bytes_max in 0..3000usize) {
        let source = diskless();
        let mut log = Log::new();
        let id = log.create("t", TableKind::Set, CopyMode::Ram);
        log.fill(id, records);
        log.feed(&source);
        let held = table(&source, id);
        let mut builder = TableBuilder::new(id, held.def().clone(), CopyMode::Ram, &source);
        copy_into(&mut builder, &held, bytes_max);
        prop_assert!(builder.finish(held.digest().unwrap()).is_ok());
    }
}

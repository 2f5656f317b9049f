//! Bytes of every released format, read by every build. `TABULARAFT_WRITE_FIXTURES=1` writes those of the present one;
//! written once, they do not change.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use tabularaft_schema::{CopyMode, TableId, TableKind};
use tabularaft_store::{
    Batch, Decided, Effect, Incarnation, LogIndex, MemberChange, OpResult, RequestId, Seen, TableBuilder,
};

use crate::harness::*;

const LIFE: Incarnation = Incarnation { node: 2, life: 3 };

fn dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/store-v1")
}

fn batch() -> Batch {
    let key = Bytes::from_static(b"key");
    let request = RequestId { incarnation: LIFE, sequence: 5 };
    let results = vec![
        OpResult::Done,
        OpResult::Version(300),
        OpResult::Count(1),
        OpResult::Integer(-7),
        OpResult::Unsigned(7),
        OpResult::Float(0.5),
        OpResult::Found(true),
    ];
    let (name, address) = (node("a@b"), "host:7100".to_owned());
    let members = [
        MemberChange::Found { cluster_id: 1 << 100, cluster_name: "cluster".into() },
        MemberChange::Admit { node: 2, name, address: address.clone() },
        MemberChange::Started { node: 2, life: 3, address },
        MemberChange::Remove { node: 2 },
    ];
    let mut effects = vec![
        Effect::Put {
            table: TableId(1),
            key: key.clone(),
            value: Bytes::from_static(b"value"),
            version: 300,
            owner: Some(LIFE),
        },
        Effect::Delete { table: TableId(1), key, version: 301 },
        Effect::Clear { table: TableId(1), version: 302 },
        Effect::Schema(def("t", TableKind::Set, CopyMode::Disc).into()),
        Effect::Barrier { token: 9 },
    ];
    effects.extend(members.map(Effect::Member));
    Batch {
        term: 4,
        decided: vec![Decided { request, completed_below: 2, results }],
        effects,
        rests_on: None,
    }
}

/// The second format of a batch, of the same release.
fn resting_batch() -> Batch {
    Batch { rests_on: Some(299), ..batch() }
}

/// The entries behind `tables.redb`.
fn log() -> Log {
    let mut log = Log::new();
    let disc = log.create("disc", TableKind::Set, CopyMode::Disc);
    let disc_only = log.create("disc_only", TableKind::OrderedSet, CopyMode::DiscOnly);
    log.create("ram", TableKind::Set, CopyMode::Ram);
    for id in [disc, disc_only] {
        log.fill(id, 20);
        log.delete(id, "k00007");
    }
    let owned = Effect::Put {
        table: disc,
        key: Bytes::from_static(b"owned"),
        value: Bytes::from_static(b"by a life"),
        version: 1000,
        owner: Some(LIFE),
    };
    let request = RequestId { incarnation: LIFE, sequence: 5 };
    let decided = Decided { request, completed_below: 2, results: vec![OpResult::Version(1000)] };
    log.append_decided(vec![decided], vec![owned]);
    let found = MemberChange::Found { cluster_id: 7, cluster_name: "cluster".into() };
    let admit = MemberChange::Admit { node: 2, name: node("a@b"), address: "host:7100".into() };
    log.append(vec![Effect::Member(found), Effect::Member(admit)]);
    log
}

fn write_if_asked() {
    if std::env::var_os("TABULARAFT_WRITE_FIXTURES").is_none() {
        return;
    }
    let resting = dir().join("batch-resting.bin");
    if dir().exists() && !resting.exists() {
        std::fs::write(resting, resting_batch().encode(true)).unwrap();
    }
    if dir().exists() {
        return;
    }
    std::fs::create_dir_all(dir()).unwrap();
    std::fs::write(dir().join("batch.bin"), batch().encode(true)).unwrap();
    let store = on_disc(&dir());
    log().feed(&store);
    std::fs::write(dir().join("image.bin"), store.view().image()).unwrap();
    let chunk = table(&store, TableId(2)).chunk_after(None, 1 << 20).unwrap();
    std::fs::write(dir().join("chunk.bin"), chunk.bytes).unwrap();
    store.close().unwrap();
}

#[test]
fn every_released_format_is_read() {
    write_if_asked();
    let read = |file: &str| std::fs::read(dir().join(file)).unwrap();

    assert_eq!(Batch::decode(&read("batch.bin").into()).unwrap(), batch());
    assert_eq!(batch().encode(true), read("batch.bin"), "the encoding has not changed either");
    assert_eq!(Batch::decode(&read("batch-resting.bin").into()).unwrap(), resting_batch());
    assert_eq!(resting_batch().encode(true), read("batch-resting.bin"));

    let model = diskless();
    log().feed(&model);
    let copy = tempfile::tempdir().unwrap();
    std::fs::copy(dir().join("tables.redb"), copy.path().join("tables.redb")).unwrap();
    let store = on_disc(copy.path());
    assert_eq!(digests(&store), digests(&model)[..2]);
    assert_eq!(store.view().applied(), model.view().applied());
    assert_eq!(store.view().schema(), model.view().schema());
    assert_eq!(store.view().system(), model.view().system());
    assert_eq!(store.view().last_version(), 1000);
    let request = RequestId { incarnation: LIFE, sequence: 5 };
    let results = vec![OpResult::Version(1000)];
    assert_eq!(store.outcome(&request), Seen::Done { index: LogIndex(7), results });
    assert_eq!(table(&store, TableId(1)).get(b"owned").unwrap().unwrap().owner(), Some(LIFE));

    let staging = model.begin_install(&read("image.bin")).unwrap();
    assert_eq!(staging.applied(), model.view().applied());
    assert_eq!(staging.tables().len(), 3);
    let of_model = table(&model, TableId(2));
    let mut builder = TableBuilder::new(TableId(2), of_model.def().clone(), CopyMode::Ram, &model);
    assert!(builder.push(&read("chunk.bin")).unwrap().complete);
    builder.finish(of_model.digest().unwrap()).unwrap();
}

//! What the sequencer's core accepts and rejects.

use std::ops::Bound;
use std::sync::Arc;

use bytes::Bytes;
use tabularaft_schema::{FieldType, TableDef, TableId};
use tabularaft_store::{
    Batch, Effect, Incarnation, MemberChange, OpResult, Position, Store, StoreOptions, View,
};

use super::decide::Decider;
use super::guard::{Guard, Space};
use super::overlay::Overlay;
use super::recent::Recent;
use super::request::{Op, Rejection, Request};

const OWNER: Incarnation = Incarnation { node: 1, life: 1 };

/// A leader's state in one term, over a view of one table.
struct Leader {
    view: Arc<View>,
    table: TableId,
    overlay: Overlay,
    recent: Recent,
    next_version: u64,
}

fn leader() -> Leader {
    let store = Store::open(StoreOptions::new("n1@localhost".parse().unwrap())).unwrap();
    let def = TableDef::builder("t").unwrap().field("id", FieldType::U64).field("n", FieldType::U64);
    let def = def.key("id").build().unwrap();
    let batch =
        Batch { term: 1, decided: Vec::new(), effects: vec![Effect::Schema(def.into())], rests_on: None };
    let mut writer = store.writer();
    writer.apply(Position::new(1, 1), &batch.encode(true)).unwrap();
    writer.publish();
    drop(writer);
    let view = store.view();
    let table = view.schema().table("t").unwrap().id;
    let recent = Recent::since(view.last_version());
    Leader { next_version: view.last_version() + 1, view, table, overlay: Overlay::default(), recent }
}

impl Leader {
    fn decide(&mut self, request: &Request) -> Result<Vec<OpResult>, Rejection> {
        let mut decider = Decider {
            view: &self.view,
            overlay: &mut self.overlay,
            recent: &mut self.recent,
            entry: 0,
            next_version: &mut self.next_version,
            record_bytes_max: 1_000,
            local: false,
            checks_reads: true,
        };
        decider.decide(OWNER, request, &mut Vec::new())
    }

    fn put(&mut self, id: u64, n: u64) -> u64 {
        let op = Op::Put { table: self.table, key: key(id), value: record(id, n) };
        match self.decide(&Request::one(op)).unwrap()[..] {
            [OpResult::Version(version)] => version,
            ref other => panic!("{other:?}"),
        }
    }

    fn check(&mut self, guard: Guard) -> Result<(), Rejection> {
        self.decide(&Request::transaction(vec![guard], Vec::new(), None)).map(drop)
    }
}

fn key(id: u64) -> Bytes {
    Bytes::copy_from_slice(&id.to_be_bytes())
}

fn record(id: u64, n: u64) -> Bytes {
    Bytes::from(vec![id as u8, n as u8])
}

#[test]
fn a_record_that_was_read_must_still_have_its_version_in_flight_or_not() {
    let mut leader = leader();
    let table = leader.table;
    let unchanged = |version| Guard::Unchanged { table, key: key(1), version };
    assert_eq!(leader.check(unchanged(0)), Ok(()));
    let version = leader.put(1, 10);
    assert_eq!(leader.check(unchanged(version)), Ok(()));
    let conflict =
        Rejection::Conflict { table: "t".to_owned(), key: Some(key(1).to_vec()), by_key: true, version };
    assert_eq!(leader.check(unchanged(0)), Err(conflict));
}

/// A leader grants a lock on a record that it has decided and not committed. The entry is lost, another leader writes
/// another record, and gives it the same version. A guard by version would hold by accident.
#[test]
fn what_was_granted_by_one_leader_is_checked_by_content_at_the_next() {
    let (mut old, mut new) = (leader(), leader());
    let table = old.table;
    let granted = old.put(1, 10);
    assert_eq!(new.put(1, 99), granted, "the new leader uses the version of the lost entry again");
    let by_version = Guard::Unchanged { table, key: key(1), version: granted };
    assert_eq!(new.check(by_version), Ok(()), "this is what must not be relied on");
    let by_content = Guard::Content { table, key: key(1), record: Some(record(1, 10)) };
    assert_eq!(old.check(by_content.clone()), Ok(()));
    assert!(matches!(new.check(by_content), Err(Rejection::Conflict { by_key: true, .. })));
    let absent = Guard::Content { table, key: key(1), record: None };
    assert!(new.check(absent.clone()).is_err());
    assert_eq!(leader().check(absent), Ok(()));
}

#[test]
fn a_range_that_was_read_must_not_have_changed_since_the_view() {
    let mut leader = leader();
    let table = leader.table;
    let at = leader.view.last_version();
    let range = |low, high| Guard::Range {
        table,
        space: Space::Primary,
        low: Bound::Included(key(low)),
        high: Bound::Included(key(high)),
        at,
    };
    leader.put(5, 1);
    assert!(leader.check(range(1, 9)).is_err());
    assert_eq!(leader.check(range(6, 9)), Ok(()));
    let delete = Op::Delete { table, key: key(7) };
    leader.decide(&Request::one(delete)).unwrap();
    assert_eq!(leader.check(range(6, 9)), Ok(()), "what was not there cannot be deleted");
}

#[test]
fn a_rejected_request_leaves_nothing_behind() {
    let mut leader = leader();
    let table = leader.table;
    let taken = leader.put(2, 1);
    let put = Op::Put { table, key: key(1), value: record(1, 1) };
    let insert = Op::InsertNew { table, key: key(2), value: record(2, 2) };
    let request = Request::transaction(Vec::new(), vec![put, insert], None);
    assert!(matches!(leader.decide(&request), Err(Rejection::KeyExists { version, .. }) if version == taken));
    assert!(leader.overlay.get(table, &key(1)).is_none());
    assert_eq!(leader.check(Guard::Unchanged { table, key: key(1), version: 0 }), Ok(()));
    assert_eq!(leader.put(3, 1), taken + 1, "the versions of what did not happen are not used up");
}

#[test]
fn one_request_replaces_a_member_by_another_one_of_its_name() {
    let mut leader = leader();
    let admit = |node: u64| {
        let (name, address) = ("n2@localhost".parse().unwrap(), "127.0.0.1:1".to_owned());
        Op::Member(MemberChange::Admit { node, name, address })
    };
    let taken = Request::transaction(Vec::new(), vec![admit(2), admit(3)], None);
    assert!(matches!(leader.decide(&taken), Err(Rejection::Member(why)) if why.contains("already called")));
    let remove = Op::Member(MemberChange::Remove { node: 2 });
    let replaced = Request::transaction(Vec::new(), vec![admit(2), remove, admit(3)], None);
    assert!(leader.decide(&replaced).is_ok());
}

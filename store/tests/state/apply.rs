use bytes::Bytes;
use tabularaft_schema::{CopyMode, TableKind};
use tabularaft_store::{
    Applied, Batch, Decided, Effect, Incarnation, LogIndex, MemberChange, OpResult, Position, RequestId,
    Seen, StoreError,
};

use crate::harness::*;

#[test]
fn nothing_staged_is_visible_before_it_is_published() {
    let store = diskless();
    let mut log = Log::new();
    let id = log.create("t", TableKind::Set, CopyMode::Ram);
    log.feed(&store);
    let put = log.put(id, "a", "1");

    let mut writer = store.writer();
    writer.apply(put, &log.entries[1].1).unwrap();
    assert_eq!(value(&store, id, "a"), None);
    drop(writer);
    assert_eq!(value(&store, id, "a"), None, "letting go of the writer publishes nothing");
    store.writer().publish();
    assert_eq!(value(&store, id, "a").as_deref(), Some("1"));
    assert_eq!(store.view().applied(), Some(put));
}

#[test]
fn two_stores_that_apply_the_same_entries_hold_the_same_records() {
    let dir = tempfile::tempdir().unwrap();
    let (one, other) = (diskless(), on_disc(dir.path()));
    let mut log = Log::new();
    for (name, kind, mode) in [
        ("set", TableKind::Set, CopyMode::Ram),
        ("ordered", TableKind::OrderedSet, CopyMode::Disc),
        ("bag", TableKind::Bag, CopyMode::DiscOnly),
    ] {
        let id = log.create(name, kind, mode);
        log.fill(id, 200);
        log.delete(id, "k00007");
        log.put(id, "k00008", "changed");
    }
    log.feed(&one);
    log.feed(&other);
    assert_eq!(digests(&one).len(), 3);
    assert_eq!(digests(&one), digests(&other));
    assert!(digests(&one).iter().all(|(_, digest)| digest.records == 199));
}

#[test]
fn a_batch_decided_under_another_term_is_dropped_whole_and_the_log_goes_on() {
    let store = diskless();
    let mut log = Log::new();
    let id = log.create("t", TableKind::Set, CopyMode::Ram);
    log.feed(&store);
    let effect = log.put_effect(id, "a", "1");
    let payload =
        Batch { term: TERM - 1, decided: Vec::new(), effects: vec![effect], rests_on: None }.encode(false);

    let mut writer = store.writer();
    let applied = writer.apply(Position::new(TERM, 1), &payload).unwrap();
    assert_eq!(applied, Applied::Fenced { decided_in: TERM - 1, log_term: TERM });
    writer.publish();
    drop(writer);
    assert_eq!(value(&store, id, "a"), None);
    assert_eq!(store.view().applied_index(), LogIndex(1));
    assert_eq!(store.view().last_version(), 0, "its versions may be given again");
}

#[test]
fn a_batch_that_rests_on_one_that_was_refused_is_dropped_whole_and_the_log_goes_on() {
    let store = diskless();
    let mut log = Log::new();
    let id = log.create("t", TableKind::Set, CopyMode::Ram);
    log.feed(&store);
    let refused = log.put_effect(id, "a", "1");
    let resting = log.put_effect(id, "b", "2");
    let (first, second) = (refused.version().unwrap(), resting.version().unwrap());
    let batch = |effect, rests_on| {
        let effects = vec![effect];
        Batch { term: TERM, decided: Vec::new(), effects, rests_on: Some(rests_on) }.encode(false)
    };

    let mut writer = store.writer();
    let applied = writer.apply(Position::new(TERM, 1), &batch(resting.clone(), first)).unwrap();
    assert_eq!(applied, Applied::Unfounded { rests_on: first, last_version: 0 });
    let accepted = Applied::Accepted { decided: Vec::new() };
    assert_eq!(writer.apply(Position::new(TERM, 2), &batch(refused, 0)).unwrap(), accepted);
    assert_eq!(writer.apply(Position::new(TERM, 3), &batch(resting, first)).unwrap(), accepted);
    writer.publish();
    drop(writer);
    assert_eq!(value(&store, id, "b").as_deref(), Some("2"));
    assert_eq!(store.view().last_version(), second);
}

#[test]
fn an_entry_that_was_applied_is_skipped_and_a_gap_is_refused() {
    let store = diskless();
    let mut log = Log::new();
    let id = log.create("t", TableKind::Set, CopyMode::Ram);
    let put = log.put(id, "a", "1");
    log.feed(&store);
    let payload = log.entries[1].1.clone();
    let mut writer = store.writer();
    assert_eq!(writer.apply(put, &payload).unwrap(), Applied::Skipped);
    let gap = writer.apply(Position::new(TERM, 5), &payload).unwrap_err();
    assert!(matches!(gap, StoreError::Gap { expected: 2, found: 5 }), "{gap}");
}

#[test]
fn the_outcome_of_a_request_is_known_once_its_entry_is_published() {
    let store = diskless();
    let mut log = Log::new();
    let request = RequestId { incarnation: Incarnation { node: 1, life: 1 }, sequence: 9 };
    let results = vec![OpResult::Version(4), OpResult::Found(true)];
    let decided = Decided { request, completed_below: 3, results: results.clone() };
    let at = log.append_decided(vec![decided.clone()], Vec::new());

    let mut writer = store.writer();
    let applied = writer.apply(at, &log.entries[0].1).unwrap();
    assert_eq!(applied, Applied::Accepted { decided: vec![decided] });
    assert_eq!(store.outcome(&request), Seen::No);
    writer.publish();
    assert_eq!(store.outcome(&request), Seen::Done { index: at.log_index(), results });
    assert_eq!(store.outcome(&RequestId { sequence: 2, ..request }), Seen::Forgotten);
}

#[test]
fn members_come_and_go_through_the_log_and_a_removed_id_never_comes_back() {
    let store = diskless();
    let mut log = Log::new();
    let admit = |node, name: &str| {
        Effect::Member(MemberChange::Admit { node, name: self::node(name), address: "host:1".into() })
    };
    log.append(vec![Effect::Member(MemberChange::Found { cluster_id: 7, cluster_name: "c".into() })]);
    log.append(vec![admit(1, "a@x"), admit(2, "b@x")]);
    log.append(vec![Effect::Member(MemberChange::Started { node: 2, life: 1, address: "host:2".into() })]);
    log.append(vec![Effect::Member(MemberChange::Remove { node: 2 })]);
    log.append(vec![admit(2, "b@x"), admit(3, "b@x")]);
    log.feed(&store);

    let view = store.view();
    let system = view.system();
    assert_eq!(system.cluster.as_ref().map(|cluster| cluster.id), Some(7));
    assert_eq!(system.members.keys().collect::<Vec<_>>(), [&1, &3]);
    assert_eq!(system.removed[&2].last_life, 1);
    assert_eq!(system.removed[&2].at, LogIndex(3));
    assert_eq!(system.free_node_id(), 4);
    assert_eq!(system.member_named(&node("b@x")).map(|(id, _)| id), Some(3));
}

#[test]
fn effects_on_tables_that_this_node_does_not_hold_change_nothing_but_the_version() {
    let store = diskless();
    let mut log = Log::new();
    let id = log.create("t", TableKind::Set, CopyMode::Ram);
    log.delete_copy("t");
    log.put(id, "a", "1");
    log.feed(&store);
    assert!(store.view().table(id).is_none());
    assert_eq!(store.view().last_version(), 1);
}

#[test]
fn a_membership_and_a_blank_entry_take_their_places_in_the_log() {
    let store = diskless();
    let mut writer = store.writer();
    writer.apply_blank(Position::new(1, 0)).unwrap();
    writer.apply_membership(Position::new(1, 1), Bytes::from_static(b"members")).unwrap();
    writer.publish();
    assert_eq!(store.view().membership().map(|bytes| &bytes[..]), Some(&b"members"[..]));
    assert_eq!(store.view().applied(), Some(Position::new(1, 1)));
}

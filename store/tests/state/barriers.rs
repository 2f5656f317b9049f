use tabularaft_schema::{CopyMode, TableKind};
use tabularaft_store::Effect;

use crate::harness::*;

#[test]
fn a_barrier_keeps_the_view_right_after_its_entry() {
    let store = diskless();
    let mut log = Log::new();
    let id = log.create("t", TableKind::Set, CopyMode::Ram);
    log.put(id, "a", "before");
    let same_entry = log.put_effect(id, "b", "with");
    log.append(vec![Effect::Barrier { token: 5 }, same_entry]);
    log.put(id, "a", "after");
    log.feed(&store);

    let kept = store.barrier_view(5).unwrap();
    assert_eq!(kept.applied_index().0, 2);
    let kept = kept.table(id).unwrap();
    assert_eq!(value_in(kept, "a").as_deref(), Some("before"));
    assert_eq!(value_in(kept, "b").as_deref(), Some("with"));
    assert_eq!(value(&store, id, "a").as_deref(), Some("after"));
    store.release_barrier(5);
    assert!(store.barrier_view(5).is_none());
}

#[test]
fn only_the_newest_barriers_are_kept() {
    let store = diskless();
    let mut log = Log::new();
    for token in 0..20 {
        log.append(vec![Effect::Barrier { token }]);
    }
    log.feed(&store);
    assert!(store.barrier_view(3).is_none());
    assert_eq!(store.barrier_view(4).unwrap().applied_index().0, 4);
    assert_eq!(store.barrier_view(19).unwrap().applied_index().0, 19);
}

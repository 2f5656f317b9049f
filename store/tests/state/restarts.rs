use std::sync::Arc;

use proptest::prelude::*;
use tabularaft_schema::{CopyMode, TableId, TableKind};
use tabularaft_store::{Decided, Effect, Incarnation, OpResult, RequestId, Seen, Store, StoreOptions};

use crate::harness::*;

#[test]
fn everything_of_disc_tables_is_there_after_a_close_without_any_log() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = Log::new();
    let request = RequestId { incarnation: Incarnation { node: 1, life: 2 }, sequence: 1 };
    let ids = [
        log.create("set", TableKind::Set, CopyMode::Disc),
        log.create("ordered", TableKind::OrderedSet, CopyMode::Disc),
        log.create("disc_only", TableKind::OrderedSet, CopyMode::DiscOnly),
    ];
    for id in ids {
        log.fill(id, 300);
    }
    let decided = Decided { request, completed_below: 0, results: vec![OpResult::Done] };
    let at = log.append_decided(vec![decided], Vec::new());
    let store = on_disc(dir.path());
    log.feed(&store);
    let before = digests(&store);
    store.close().unwrap();
    drop(store);

    let store = on_disc(dir.path());
    assert_eq!(digests(&store), before);
    assert_eq!(store.view().applied(), Some(at));
    assert_eq!(store.checkpointed(), Some(at));
    assert_eq!(store.view().last_version(), 900);
    assert_eq!(store.outcome(&request), Seen::Done { index: at.log_index(), results: vec![OpResult::Done] });
    assert!(keys(&table(&store, ids[1])).is_sorted());
}

#[test]
fn ram_tables_are_loading_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = Log::new();
    let id = log.create("t", TableKind::Set, CopyMode::Ram);
    log.fill(id, 10);
    let store = on_disc(dir.path());
    log.feed(&store);
    assert!(table(&store, id).is_ready(), "a new table has no records anywhere else");
    store.close().unwrap();
    drop(store);
    let store = on_disc(dir.path());
    assert!(table(&store, id).is_loading());
    assert!(table(&store, id).get(b"k00001").is_err());
}

#[test]
fn the_log_of_an_earlier_life_fills_disc_tables_and_no_ram_tables() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = Log::new();
    let [ram, disc] =
        [CopyMode::Ram, CopyMode::Disc].map(|mode| log.create(&format!("{mode}"), TableKind::Set, mode));
    for id in [ram, disc] {
        log.fill(id, 10);
        log.clear(id);
        log.fill(id, 7);
    }
    let replayed_upto = log.entries.last().map(|(position, _)| position.log_index());
    let options = || StoreOptions { replayed_upto, ..options().with_dir(dir.path()) };
    let store = Store::open(options()).unwrap();
    log.feed(&store);
    assert!(table(&store, ram).is_loading());
    assert_eq!(table(&store, disc).len(), 7);
    let new = log.create("new", TableKind::Set, CopyMode::Ram);
    log.clear(ram);
    log.fill(ram, 3);
    log.fill(new, 2);
    log.feed(&store);
    assert_eq!(table(&store, ram).len(), 3, "what all nodes clear in this life is complete again");
    assert_eq!(table(&store, new).len(), 2, "a table of this life has no records anywhere else");
}

#[derive(Debug, Clone)]
enum Step {
    Put(u8, u8, u8),
    Delete(u8, u8),
    Clear(u8),
    SetMode(u8, CopyMode),
    Checkpoint,
    /// The disc hangs in the middle of the checkpoint, until the next one or a kill.
    HangingCheckpoint,
    /// As if the process had been killed.
    Kill,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let durable = prop_oneof![Just(CopyMode::Disc), Just(CopyMode::DiscOnly)];
    let step = prop_oneof![
        12 => (0..4u8, 0..20u8, any::<u8>()).prop_map(|(table, key, value)| Step::Put(table, key, value)),
        4 => (0..4u8, 0..20u8).prop_map(|(table, key)| Step::Delete(table, key)),
        1 => (0..4u8).prop_map(Step::Clear),
        1 => (0..4u8, durable).prop_map(|(table, mode)| Step::SetMode(table, mode)),
        2 => Just(Step::Checkpoint),
        2 => Just(Step::HangingCheckpoint),
        1 => Just(Step::Kill),
    ];
    proptest::collection::vec(step, 1..80)
}

const TABLES: [(&str, TableKind, CopyMode); 4] = [
    ("a", TableKind::Set, CopyMode::Disc),
    ("b", TableKind::OrderedSet, CopyMode::Disc),
    ("c", TableKind::Set, CopyMode::DiscOnly),
    ("d", TableKind::OrderedSet, CopyMode::DiscOnly),
];

fn effect(log: &mut Log, step: &Step) -> Option<Effect> {
    let table = |number: &u8| TableId(u64::from(*number) + 1);
    Some(match step {
        Step::Put(number, key, value) => log.put_effect(table(number), &key.to_string(), &value.to_string()),
        Step::Delete(number, key) => log.delete_effect(table(number), &key.to_string()),
        Step::Clear(number) => log.clear_effect(table(number)),
        _ => return None,
    })
}

/// Each case syncs a disc many times, so there are few unless more are asked for.
fn env_cases(default: u32) -> u32 {
    std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(default)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: env_cases(24), ..ProptestConfig::default() })]

    #[test]
    fn checkpoint_and_log_together_bring_back_what_was_there(steps in steps()) {
        let dir = tempfile::tempdir().unwrap();
        let disc = Arc::new(HeldDisc::default());
        let open = || Store::open(StoreOptions { disc: disc.clone(), ..options().with_dir(dir.path()) }).unwrap();
        let model = diskless();
        let mut store = open();
        let mut held = None;
        let mut log = Log::new();
        for (name, kind, mode) in TABLES {
            log.create(name, kind, mode);
        }
        log.feed(&store);
        for step in &steps {
            if matches!(step, Step::Checkpoint | Step::HangingCheckpoint | Step::Kill) {
                held = None;
            }
            match step {
                Step::SetMode(number, mode) => drop(log.set_copy(TABLES[usize::from(*number)].0, *mode)),
                Step::Checkpoint => store.checkpoint_now(true).unwrap(),
                Step::Kill => {
                    drop(store);
                    store = open();
                }
                Step::HangingCheckpoint => {
                    held = Some(disc.hold());
                    log.put(TableId(1), "0", "just before the checkpoint");
                    log.feed(&store);
                    store.checkpoint_now(false).unwrap();
                    disc.wait_until_reached();
                }
                step => {
                    let effect = effect(&mut log, step).unwrap();
                    log.append(vec![effect]);
                }
            }
            log.feed(&store);
            log.feed(&model);
            for id in 1..=4 {
                let (one, other) = (table(&store, TableId(id)), table(&model, TableId(id)));
                prop_assert_eq!(one.digest().unwrap(), other.digest().unwrap(), "table {} after {:?}", id, step);
                prop_assert_eq!(one.len(), other.len());
                for key in 0..20 {
                    prop_assert_eq!(value_in(&one, &key.to_string()), value_in(&other, &key.to_string()));
                }
            }
        }
        drop(held);
    }
}

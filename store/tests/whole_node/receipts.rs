//! What a node receives from a peer, cut off at each operation of its disc: the state of the whole store, in place or in the
//! course of a join, and copies of single tables.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use tabularaft_schema::{CopyMode, NodeName, SchemaChange, TableId};
use tabularaft_store::disc::OsDisc;
use tabularaft_store::{Batch, DataDir, Effect, Identity, Position, Store, StoreOptions, TableBuilder, View};

use crate::content::{Content, TableContent};
use crate::cut::CutDisc;
use crate::flips::{copy, scratch};
use crate::life::{BOOT, Life, ids, keys, put, tables};

const TERM: u64 = 3;
/// Behind everything that the receiving nodes have in their logs.
const FIRST: u64 = 1_000;
/// Small, so that a table comes in several.
const CHUNK_BYTES: usize = 600;
const JOINED_AS: u64 = 9;

/// A peer that is ahead, with the same tables and other records.
fn peer() -> Arc<Store> {
    let store = Store::open(StoreOptions::new("peer@there".parse().unwrap())).unwrap();
    let created = tables().into_iter().map(|def| vec![Effect::Schema(def.into())]);
    let replicated = ids().into_iter().filter(|(_, local)| !local);
    let written = replicated.flat_map(|(id, _)| {
        keys().into_iter().zip(1..).map(move |(key, version)| {
            vec![put(id, &key, &format!("the peer's value of {key}"), id.0 * 100 + version)]
        })
    });
    for (effects, index) in created.chain(written).zip(FIRST..) {
        apply(&store, Position::new(TERM, index), effects);
    }
    store
}

fn apply(store: &Store, position: Position, effects: Vec<Effect>) {
    let payload = Batch { term: position.term, decided: Vec::new(), effects, rests_on: None }.encode(true);
    let mut writer = store.writer();
    writer.apply(position, &payload).unwrap();
    writer.publish();
}

/// A node with records of its own in all tables, some of them in its checkpoint.
fn behind(dir: &Path) -> Content {
    let life = Life::begin(dir, Arc::new(OsDisc)).unwrap();
    for def in tables() {
        life.write(vec![Effect::Schema(def.into())]).unwrap();
    }
    for (version, key) in (1..).zip(keys().iter().step_by(5)) {
        for (id, local) in ids() {
            match local {
                true => life.write_local(id, key, "a local value").unwrap(),
                false => life.write(vec![put(id, key, "an old value", version)]).unwrap(),
            }
        }
        if version == 6 {
            life.checkpoint_and_purge().unwrap();
        }
    }
    let content = life.content().unwrap();
    life.end().unwrap();
    content
}

/// What the node has once it has received the peer's state: its local tables are still its own.
fn received(old: &Content, peer: &View) -> Vec<TableContent> {
    let local = ids().into_iter().filter(|(_, local)| *local).map(|(id, _)| id);
    let local: Vec<TableId> = local.collect();
    let from_peer = TableContent::all(peer, &keys()).unwrap();
    let own = |id| old.tables.iter().find(|table| table.id() == id).cloned().unwrap();
    from_peer
        .into_iter()
        .map(|table| if local.contains(&table.id()) { own(table.id()) } else { table })
        .collect()
}

fn fill(builder: &mut TableBuilder, source: &View) -> Result<(), String> {
    let table = source.table(builder.table()).unwrap();
    loop {
        let cursor = builder.progress().cursor.clone();
        let chunk = table.chunk_after(cursor.as_deref(), CHUNK_BYTES).map_err(|error| error.to_string())?;
        if builder.push(&chunk.bytes).map_err(|error| error.to_string())?.complete {
            return Ok(());
        }
    }
}

/// Takes the peer's state in place of its own; the log then begins there.
fn receive(life: &Life, source: &View) -> Result<(), String> {
    let said = |error: tabularaft_store::StoreError| error.to_string();
    let mut staging = life.store.begin_install(&source.image()).map_err(said)?;
    for held in staging.tables() {
        let mut builder = staging.builder(held.id).map_err(said)?;
        fill(&mut builder, source)?;
        let digest = source.table(held.id).unwrap().digest().map_err(said)?;
        staging.add(builder.finish(digest).map_err(said)?).map_err(said)?;
    }
    life.store.install(staging).map_err(said)?;
    life.purge(source.applied().unwrap())
}

/// The node has one of two states, whole, and can be written to.
fn has_either(life: &Life, old: &Content, new: &[TableContent], peer: &View, at: u64) -> bool {
    let content = life.content().unwrap();
    let is_new = content.applied == peer.applied_index();
    let expected = if is_new { new } else { &old.tables };
    assert!(is_new || content.applied == old.applied, "cut {at}: applied up to {}", content.applied);
    assert!(
        content.tables == expected,
        "cut {at}: neither what was there nor what was received (new: {is_new})"
    );
    let (table, _) = ids()[0];
    life.write(vec![put(table, "afterwards", "a value", 100_000)]).unwrap();
    is_new
}

#[test]
fn the_receipt_of_a_snapshot_that_is_cut_off_leaves_the_old_state_or_the_new_one() {
    let (peer, source) = (peer(), scratch());
    let old = behind(source.path());
    let view = peer.view();
    let new = received(&old, &view);
    for at in 1.. {
        let dir = scratch();
        copy(source.path(), dir.path());
        let disc = Arc::new(CutDisc::at(at));
        let life = Life::begin(dir.path(), Arc::clone(&disc) as _);
        let done = life.and_then(|life| {
            let done = receive(&life, &view);
            life.die();
            done
        });
        let life =
            Life::begin(dir.path(), Arc::new(OsDisc)).unwrap_or_else(|error| panic!("cut {at}: {error}"));
        let is_new = has_either(&life, &old, &new, &view, at);
        assert!(done.is_err() || is_new, "cut {at}: what was received is gone");
        // What was cut off leaves nothing in the way of the next attempt.
        if !is_new {
            receive(&life, &view).unwrap();
            assert!(has_either(&life, &old, &new, &view, at));
        }
        life.end().unwrap();
        if done.is_ok() && !disc.is_cut() {
            assert!(at > 50, "a receipt has many operations, not {at}");
            return;
        }
    }
}

/// Puts the data aside, begins anew, receives the peer's state, and lets go of the old data.
fn join(path: &Path, disc: Arc<CutDisc>, source: &View) -> Result<(), String> {
    let said = |error: tabularaft_store::DataDirError| error.to_string();
    let dir = DataDir::open_on(path, Arc::clone(&disc) as _).map_err(said)?;
    let retired = dir.retire("join").map_err(said)?;
    let identity = Identity::new("c", 8, "me@here".parse().unwrap(), JOINED_AS);
    identity.save(&dir).map_err(|error| error.to_string())?;
    let life = Life::begin_in(BOOT, dir, disc)?;
    let received = receive(&life, source);
    let discarded = received.and_then(|()| life.dir.discard(&retired).map_err(said));
    life.die();
    discarded
}

#[test]
fn a_join_that_is_cut_off_comes_back_as_it_was_or_is_complete() {
    let (peer, source) = (peer(), scratch());
    let old = behind(source.path());
    let view = peer.view();
    let new = received(&old, &view);
    for at in 1.. {
        let dir = scratch();
        copy(source.path(), dir.path());
        let disc = Arc::new(CutDisc::at(at));
        let done = join(dir.path(), Arc::clone(&disc), &view);
        let life =
            Life::begin(dir.path(), Arc::new(OsDisc)).unwrap_or_else(|error| panic!("cut {at}: {error}"));
        let is_new = has_either(&life, &old, &new, &view, at);
        assert!(done.is_err() || is_new, "cut {at}: the join is undone");
        let node = life.content().unwrap().identity.node_id;
        assert_eq!(node == JOINED_AS, is_new, "cut {at}: the identity belongs to the data");
        assert_eq!(life.dir.pending_retirement().unwrap(), None, "cut {at}");
        life.end().unwrap();
        if done.is_ok() && !disc.is_cut() {
            assert!(at > 80, "a join has many operations, not {at}");
            return;
        }
    }
}

/// A node to which copies of two tables were added, which it waits for, and a peer that has them.
fn waiting(dir: &Path) -> (Arc<Store>, Vec<TableId>) {
    let peer = Store::open(StoreOptions::new("peer@there".parse().unwrap())).unwrap();
    let life = Life::begin(dir, Arc::new(OsDisc)).unwrap();
    let both = |effects: Vec<Effect>| {
        let index = life.log.bounds().last.map_or(0, |last| last.index + 1);
        life.write(effects.clone()).unwrap();
        apply(&peer, life.log.position_at(index).unwrap(), effects);
    };
    let me = || "me@here".parse::<NodeName>().unwrap();
    let replicated = || tables().into_iter().filter(|def| !def.options.local_content);
    let of_each_mode = [CopyMode::Disc, CopyMode::DiscOnly].map(|mode| {
        let def = replicated().find(|def| def.copy == mode);
        def.unwrap()
    });
    let copies: Vec<TableId> = (1..).map(TableId).take(of_each_mode.len()).collect();
    for def in of_each_mode.clone() {
        both(vec![Effect::Schema(def.clone().into())]);
        both(vec![Effect::Schema(SchemaChange::DeleteCopy { table: def.name, node: me() })]);
    }
    for (key, version) in keys().into_iter().zip(1..) {
        both(copies.iter().map(|id| put(*id, &key, &format!("value of {key}"), version)).collect());
    }
    for (def, mode) in of_each_mode.into_iter().zip([CopyMode::Disc, CopyMode::DiscOnly]) {
        both(vec![Effect::Schema(SchemaChange::SetCopy { table: def.name, node: me(), mode })]);
    }
    life.checkpoint_and_purge().unwrap();
    life.end().unwrap();
    (peer, copies)
}

/// Copies a table, if it is still waited for, and writes a checkpoint of it.
fn copy_table(life: &Life, id: TableId, source: &View) -> Result<(), String> {
    let said = |error: tabularaft_store::StoreError| error.to_string();
    if !life.store.view().table(id).unwrap().is_loading() {
        return Ok(());
    }
    let mut builder = life.store.table_builder(id).map_err(said)?;
    fill(&mut builder, source)?;
    let loaded = builder.finish(source.table(id).unwrap().digest().unwrap()).map_err(said)?;
    let mut writer = life.store.writer();
    writer.install_table(loaded, source.applied_index()).map_err(said)?;
    writer.publish();
    drop(writer);
    life.checkpoint_and_purge()
}

#[test]
fn the_receipt_of_a_table_that_is_cut_off_leaves_it_waiting_or_whole() {
    let source = scratch();
    let (peer, copies) = waiting(source.path());
    let view = peer.view();
    for at in 1.. {
        let dir = scratch();
        copy(source.path(), dir.path());
        let disc = Arc::new(CutDisc::at(at));
        let mut done = Vec::new();
        if let Ok(life) = Life::begin(dir.path(), Arc::clone(&disc) as _) {
            let all = copies.iter().try_for_each(|id| {
                copy_table(&life, *id, &view)?;
                done.push(*id);
                Ok::<(), String>(())
            });
            drop(all);
            life.die();
        }
        let life =
            Life::begin(dir.path(), Arc::new(OsDisc)).unwrap_or_else(|error| panic!("cut {at}: {error}"));
        for id in &copies {
            let is_loading = life.store.view().table(*id).unwrap().is_loading();
            assert!(
                !is_loading || !done.contains(id),
                "cut {at}: {id:?} was received and is waited for again"
            );
            copy_table(&life, *id, &view).unwrap();
            let digest = life.store.view().table(*id).unwrap().digest().unwrap();
            assert_eq!(digest, view.table(*id).unwrap().digest().unwrap(), "cut {at}: {id:?}");
        }
        life.end().unwrap();
        if done.len() == copies.len() && !disc.is_cut() {
            assert!(at > 50, "two copies have many operations, not {at}");
            return;
        }
    }
}

#[test]
fn every_kind_of_table_is_received() {
    let (peer, dir) = (peer(), scratch());
    behind(dir.path());
    let life = Life::begin(dir.path(), Arc::new(OsDisc)).unwrap();
    receive(&life, &peer.view()).unwrap();
    for (id, _) in ids().into_iter().filter(|(_, local)| !local) {
        let view = life.store.view();
        let row = view.table(id).unwrap().get(keys()[3].as_bytes()).unwrap().unwrap();
        assert_eq!(Bytes::copy_from_slice(row.value()), format!("the peer's value of {}", keys()[3]));
    }
    life.end().unwrap();
}

//! Changes of the members in the middle of which somebody dies: whoever leads next completes them, or they have not begun.

use std::collections::BTreeSet;

use futures::FutureExt as _;
use tabularaft::{Node, NodeName, simulation};

use super::network::Host;
use super::tests::form_of;
use super::world::World;
use crate::tables::DiscWord;

/// The leader of a cluster that has just formed.
const LEADER: Host = 0;
/// The machine that comes or goes.
const OTHER: Host = 3;
const STAY: [Host; 2] = [1, 2];
/// How long it takes until another leader is there, and has completed what there is.
const SETTLING_MS: u64 = 5_000;

/// Four machines, of which so many have formed a cluster with a table.
fn formed(seed: u64, nodes: usize) -> World {
    let mut world = form_of(seed, nodes, 4);
    let created = world.machine(1).spawn(|node| async move { node.create_table::<DiscWord>().await });
    let created = created.unwrap();
    assert!(world.wait(5_000, |_| created.is_finished()));
    created.now_or_never().unwrap().unwrap().unwrap();
    let leads = node(&world, LEADER).and_then(Node::standing).is_some_and(|standing| standing.leads);
    assert!(leads, "who founded the cluster leads it");
    world
}

fn node(world: &World, host: Host) -> Option<&Node> {
    world.machines()[host].node()
}

/// The members and the Raft group, if all of those that stay agree on them.
fn agreed(world: &World) -> Option<(BTreeSet<NodeName>, BTreeSet<u64>)> {
    let told = STAY.iter().map(|host| {
        let node = node(world, *host)?;
        node.leader()?;
        Some((node.members().into_iter().collect(), node.raft_group().into_iter().collect()))
    });
    let told: Vec<_> = told.collect::<Option<_>>()?;
    told.windows(2).all(|two| two[0] == two[1]).then(|| told[0].clone())
}

/// Whether the cluster is whole again after the machine has come or gone: every member is in the Raft group, and nobody else.
fn is_whole(world: &World) -> bool {
    agreed(world).is_some_and(|(members, group)| members.len() == group.len())
}

fn is_member(world: &World) -> bool {
    agreed(world).is_some_and(|(members, _)| members.contains(&world.machines()[OTHER].name))
}

/// Whether the machine's node serves as a member of the cluster.
fn serves(world: &mut World) -> bool {
    let read = world.machine(OTHER).spawn(|node| async move {
        let words = node.table::<DiscWord>().map_err(|error| error.to_string())?;
        words.linearize().await.map(drop).map_err(|error| error.to_string())
    });
    let Some(read) = read else { return false };
    world.wait(10_000, |_| read.is_finished()) && matches!(read.now_or_never(), Some(Ok(Ok(()))))
}

fn completed_by_the_next() -> u64 {
    simulation::counted().get("removal completed by the next leader").copied().unwrap_or(0)
}

#[test]
fn a_removal_whose_leader_dies_is_completed_by_the_next_one_or_has_not_begun() {
    let (mut completed, mut removed, mut stayed) = (0, 0, 0);
    for killed_after_ms in (0..40).step_by(2) {
        let mut world = formed(killed_after_ms, 4);
        let name = world.machines()[OTHER].name.clone();
        // Who asks dies too, so that nobody asks the next leader.
        drop(world.machine(LEADER).spawn(|node| async move { node.remove(&name, true).await }));
        world.wait(killed_after_ms, |_| false);
        world.machine(LEADER).kill();
        world.wait(SETTLING_MS, |_| false);
        let context = format!("killed after {killed_after_ms} ms: {:?}", agreed(&world));
        assert!(world.wait(20_000, is_whole), "not completed; {context}");
        if is_member(&world) {
            assert!(serves(&mut world), "a member that does not serve; {context}");
            stayed += 1;
        } else {
            let is_told = |world: &World| node(world, OTHER).is_some_and(|node| node.standing().is_none());
            assert!(world.wait(10_000, is_told), "it is not told; {context}");
            removed += 1;
        }
        completed += completed_by_the_next();
    }
    assert!(stayed > 0 && completed > 0 && removed >= completed, "{stayed} {completed} {removed}");
}

#[test]
fn a_node_whose_leader_dies_while_it_leaves_has_left() {
    for killed_after_ms in (0..40).step_by(4) {
        let mut world = formed(killed_after_ms, 4);
        let leaving = world.machine(OTHER).spawn(|node| async move { node.leave().await }).unwrap();
        world.wait(killed_after_ms, |_| false);
        world.machine(LEADER).kill();
        assert!(world.wait(60_000, |_| leaving.is_finished()), "killed after {killed_after_ms} ms");
        let left = leaving.now_or_never().unwrap().unwrap();
        assert!(left.is_ok(), "killed after {killed_after_ms} ms: {left:?}");
        assert!(world.wait(20_000, is_whole), "killed after {killed_after_ms} ms: {:?}", agreed(&world));
        assert!(!is_member(&world));
        world.wait(SETTLING_MS, |_| false);
        let alone = node(&world, OTHER).unwrap();
        assert!(alone.standing().is_some_and(|standing| standing.leads), "it is a cluster of its own");
        assert_eq!(alone.members().len(), 1);
    }
}

#[test]
fn a_join_in_the_middle_of_which_somebody_dies_comes_to_be() {
    for dies in [LEADER, OTHER] {
        for killed_after_ms in (0..120).step_by(8) {
            let mut world = formed(killed_after_ms, 3);
            world.start(OTHER, Some(1));
            world.wait(killed_after_ms, |_| false);
            world.machine(dies).kill();
            let context = format!("machine {dies} killed after {killed_after_ms} ms");
            let is_decided = |world: &World| {
                let machine = &world.machines()[OTHER];
                machine.node().is_some() || machine.start_error().is_some()
            };
            if dies == LEADER {
                assert!(world.wait(60_000, is_decided), "{context}");
            }
            if node(&world, OTHER).is_none() {
                // It was told that it has not joined, or knows nothing: it tries again.
                if world.machine(OTHER).has_process() {
                    world.machine(OTHER).kill();
                }
                world.start(OTHER, Some(1));
                assert!(world.wait(60_000, is_decided), "{context}");
            }
            let error = world.machines()[OTHER].start_error();
            assert!(error.is_none(), "{context}: {error:?}");
            let is_fourth = |world: &World| {
                is_whole(world)
                    && is_member(world)
                    && node(world, 1).is_some_and(|node| node.voters().len() == 4)
            };
            assert!(world.wait(20_000, is_fourth), "{context}: {:?}", agreed(&world));
            assert!(serves(&mut world), "{context}");
        }
    }
}

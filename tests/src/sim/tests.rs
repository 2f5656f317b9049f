//! What a simulated cluster must be able to do before anything goes wrong, and that it does it the same way each time.

use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures::FutureExt as _;
use tabularaft::NodeConfig;

use super::network::SimNetwork;
use super::random::Random;
use super::world::World;
use crate::tables::{DiscWord, RamWord};

fn fast() -> NodeConfig {
    NodeConfig { heartbeat_ms: 50, election_ms: 1_000, ram_grace_ms: 500, ..NodeConfig::default() }
}

/// Three nodes form a cluster.
fn form(seed: u64) -> World {
    form_of(seed, 3, 3)
}

/// So many nodes form a cluster; there are so many machines.
pub(super) fn form_of(seed: u64, nodes: usize, machines: usize) -> World {
    let mut world = World::new(seed, machines, fast());
    world.start(0, None);
    assert!(world.wait(5_000, |world| world.nodes().count() == 1), "{:?}", world.machines()[0].start_error());
    for host in 1..nodes {
        world.start(host, Some(0));
        assert!(
            world.wait(20_000, |world| world.nodes().count() == host + 1),
            "{:?}",
            world.machines()[host].start_error()
        );
    }
    world
}

/// The machine loses what was not synced, and can be started again.
fn crash(world: &mut World, host: usize) {
    world.machine(host).lose_power();
    world.machine(host).power_up();
}

/// Three nodes form a cluster and write. Returns what the network saw.
fn form_and_write(seed: u64) -> (u32, u64, u64) {
    let mut world = form(seed);
    let creating = world.machine(1).spawn(|node| async move {
        node.create_table::<RamWord>().await.unwrap();
        node.create_table::<DiscWord>().await.unwrap();
    });
    let creating = creating.unwrap();
    assert!(world.wait(5_000, |_| creating.is_finished()));
    let writers: Vec<_> = (0..3)
        .map(|host| {
            let writer = world.machine(host).spawn(move |node| async move {
                node.wait_for_tables(&[], std::time::Duration::from_secs(5)).await.unwrap();
                for number in 0..20 {
                    let key = format!("{host} {number}");
                    node.table::<RamWord>().unwrap().insert(&RamWord::new(&key, number)).await.unwrap();
                    node.table::<DiscWord>().unwrap().insert(&DiscWord::new(&key, number)).await.unwrap();
                }
            });
            writer.unwrap()
        })
        .collect();
    assert!(world.wait(20_000, |_| writers.iter().all(|writer| writer.is_finished())));
    let (digest, delivered) = world.network.wires().digest();
    (digest, delivered, world.now_ms())
}

#[test]
fn a_simulated_cluster_forms_and_writes_in_the_same_way_each_time() {
    let first = form_and_write(7);
    let second = form_and_write(7);
    assert_eq!(first, second);
    assert_ne!(first, form_and_write(8));
}

/// Its first attempt takes its id away from it, and gives it another that it never gets to know.
#[test]
fn a_node_that_is_killed_while_it_comes_back_after_a_crash_comes_back_again() {
    for killed_after_ms in (20..220).step_by(40) {
        let mut world = form(killed_after_ms);
        crash(&mut world, 2);
        world.start(2, Some(0));
        world.wait(killed_after_ms, |_| false);
        world.machine(2).kill();
        world.start(2, Some(0));
        let is_back = |world: &World| {
            let standing = world.machines()[2].node().and_then(tabularaft::Node::standing);
            standing.is_some_and(|standing| {
                standing.node > 3 && standing.applied > 0 && standing.failure.is_none()
            })
        };
        let came_back = world.wait(20_000, is_back);
        assert!(
            came_back,
            "killed {killed_after_ms} ms after its start: {:?}",
            world.machines()[2].start_error()
        );
    }
}

/// The leader takes its former place from it, and then hears nothing of the others before it can give it another one.
#[test]
fn a_node_that_is_killed_while_its_place_is_replaced_comes_back_again() {
    for killed_after_ms in (20..220).step_by(10) {
        let mut world = form(killed_after_ms);
        crash(&mut world, 2);
        world.start(2, Some(0));
        world.wait(killed_after_ms, |_| false);
        world.network.wires().block(0, 1);
        world.network.wires().block(1, 0);
        world.machine(2).kill();
        world.start(2, Some(0));
        world.wait(700, |_| false);
        world.network.wires().heal();
        let is_back = |world: &World| {
            let standing = world.machines()[2].node().and_then(tabularaft::Node::standing);
            standing.is_some_and(|standing| standing.applied > 0 && standing.failure.is_none())
        };
        assert!(
            world.wait(30_000, is_back),
            "killed {killed_after_ms} ms after its start: {:?}",
            world.machines()[2].start_error()
        );
    }
}

/// The voters are about to become four, or have just become four, and the fourth forgets that it was to be one.
#[test]
fn a_cluster_that_dies_while_a_node_joins_goes_on_although_another_ones_machine_had_crashed() {
    for killed_after_ms in (0..160).step_by(4) {
        let mut world = form_of(killed_after_ms, 3, 4);
        world.start(3, Some(0));
        world.wait(killed_after_ms, |_| false);
        crash(&mut world, 2);
        for host in [0, 1, 3] {
            world.machine(host).kill();
        }
        for host in 0..4 {
            world.start(host, (host > 0).then_some(0));
        }
        let is_whole = |world: &World| {
            let members = |host: usize| {
                let node = world.machines()[host].node()?;
                node.standing().filter(|_| node.leader().is_some()).map(|_| node.members().len())
            };
            (0..4).all(|host| members(host) == Some(4))
        };
        let began_ms = world.now_ms();
        while !is_whole(&world) {
            assert!(world.now_ms() < began_ms + 60_000, "all killed after {killed_after_ms} ms");
            // Whoever watches over a process starts it again when it has not joined.
            if world.machine(3).start_error().is_some() {
                world.machine(3).kill();
                world.start(3, Some(1));
            }
            world.wait(200, is_whole);
        }
    }
}

#[test]
fn a_read_that_was_asked_of_a_leader_without_power_is_asked_of_its_successor() {
    let mut world = form(3);
    let created = world.machine(1).spawn(|node| async move { node.create_table::<DiscWord>().await });
    let created = created.unwrap();
    assert!(world.wait(5_000, |_| created.is_finished()));
    let reads: Vec<_> = (0..40)
        .map(|number| {
            let read = world.machine(1 + number % 2).spawn(move |node| async move {
                tokio::time::sleep(Duration::from_millis(2 * number as u64)).await;
                let words = node.table::<DiscWord>().unwrap().with_timeout(Duration::from_secs(8));
                words.linearize().await.map(drop)
            });
            read.unwrap()
        })
        .collect();
    world.wait(30, |_| false);
    world.machine(0).lose_power();
    assert!(world.wait(10_000, |_| reads.iter().all(|read| read.is_finished())));
    for read in reads {
        read.now_or_never().unwrap().unwrap().unwrap();
    }
}

/// All that the listener's end of a connection can read.
fn received(network: &SimNetwork, connection: u64) -> Vec<u8> {
    let context = Context::from_waker(Waker::noop());
    match network.wires().poll_read(connection, 1, 1_000, &context) {
        Poll::Ready(bytes) => bytes.unwrap(),
        Poll::Pending => Vec::new(),
    }
}

#[test]
fn what_a_partition_has_held_back_arrives_before_what_was_sent_later() {
    for seed in 0..50 {
        let network = SimNetwork::new(Random::new(seed, "network"));
        let addresses: Vec<_> = (1..3).map(|n| std::net::SocketAddr::from(([127, 0, 0, n], 7100))).collect();
        for (host, address) in addresses.iter().enumerate() {
            network.wires().add_machine(host, *address);
            network.wires().listen(*address).unwrap();
        }
        let connection = network.wires().dial(0, addresses[1]);
        (1..100).for_each(|now_ms| network.wires().advance(now_ms));
        network.wires().disturb(20, 3);
        let mut random = Random::new(seed, "test");
        for sent in 0..200_u8 {
            let now_ms = 100 + u64::from(sent);
            network.wires().advance(now_ms);
            if random.once_in(4) {
                network.wires().block(0, 1);
            } else if random.once_in(4) {
                network.wires().heal();
            }
            let context = Context::from_waker(Waker::noop());
            assert!(network.wires().poll_write(connection, 0, &[sent], &context).is_ready());
        }
        network.wires().heal();
        (300..10_000).for_each(|now_ms| network.wires().advance(now_ms));
        assert_eq!(received(&network, connection), (0..200).collect::<Vec<u8>>(), "seed {seed}");
    }
}

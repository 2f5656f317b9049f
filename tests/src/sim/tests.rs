//! What a simulated cluster must be able to do before anything goes wrong, and that it does it the same way each time.

use tabularaft::NodeConfig;

use super::world::World;
use crate::tables::{DiscWord, RamWord};

fn fast() -> NodeConfig {
    NodeConfig { heartbeat_ms: 50, election_ms: 400, ram_grace_ms: 500, ..NodeConfig::default() }
}

/// Three nodes form a cluster and write. Returns what the network saw.
fn form_and_write(seed: u64) -> (u32, u64, u64) {
    let mut world = World::new(seed, 3, fast());
    world.start(0, None);
    assert!(world.wait(5_000, |world| world.nodes().count() == 1), "{:?}", world.machines()[0].start_error());
    for host in 1..3 {
        world.start(host, Some(0));
        assert!(
            world.wait(20_000, |world| world.nodes().count() == host + 1),
            "{:?}",
            world.machines()[host].start_error()
        );
    }
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

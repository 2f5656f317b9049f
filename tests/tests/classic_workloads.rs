//! TPC-B and the telecom workload on three nodes, one of which is killed in the middle: afterwards every copy has the
//! same sums.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

use tabularaft::CopyMode;
use tabularaft_benches::workloads::telecom::{self, Generator};
use tabularaft_benches::workloads::tpcb::{self, Driver, Form, Scale};
use tabularaft_tests::{Callers, PATIENCE, TestCluster};

/// Committed transactions between two events.
const STRETCH: u64 = 150;

/// One of the configurations in which TPC-B is run.
struct Configuration {
    name: &'static str,
    drivers_per_node: u64,
    scale: Scale,
}

/// One driver that meets nobody.
const REPLICA: Configuration = Configuration {
    name: "replica",
    drivers_per_node: 1,
    scale: Scale { branches: 1, accounts_per_branch: 100 },
};
/// Everybody changes the one branch.
const CONFLICT: Configuration = Configuration {
    name: "conflict",
    drivers_per_node: 4,
    scale: Scale { branches: 1, accounts_per_branch: 10 },
};
/// Hardly anybody meets anybody.
const DISTRIBUTED: Configuration = Configuration {
    name: "distributed",
    drivers_per_node: 4,
    scale: Scale { branches: 40, accounts_per_branch: 10 },
};

async fn balances_agree(configuration: Configuration, mode: CopyMode, form: Form) {
    let Configuration { name, drivers_per_node, scale } = configuration;
    let mut cluster = TestCluster::start(3).await;
    tpcb::create(cluster[0].node(), mode).await.unwrap();
    tpcb::load(cluster[0].node(), scale).await.unwrap();
    cluster.wait_ready().await;
    let leader = cluster.wait_leader().await;
    let mut callers = Callers::new();
    let driver =
        |at: usize, number: u64, life: u64| Driver::new((at as u64 * 100 + number) * 10 + life, scale, form);
    // In the replica configuration one driver is all there is, and it is not on the node that dies.
    let with_drivers = if drivers_per_node == 1 { vec![(leader + 1) % 3] } else { vec![0, 1, 2] };
    for &at in &with_drivers {
        (0..drivers_per_node).for_each(|number| callers.start(&cluster, at, driver(at, number, 0)));
    }
    callers.wait_for_more(STRETCH).await;
    cluster.kill(leader).await;
    callers.wait_for_more(STRETCH).await;
    cluster.restart(leader).await;
    cluster[leader].node().wait_for_tables(&["tpcb_branch"], PATIENCE).await.unwrap();
    if with_drivers.contains(&leader) {
        (0..drivers_per_node).for_each(|number| callers.start(&cluster, leader, driver(leader, number, 1)));
    }
    callers.wait_for_more(STRETCH).await;
    callers.stop().await;
    cluster.wait_ready().await;
    cluster.wait_equal_copies().await;
    for node in cluster.handles() {
        let sums = tpcb::sums(&node).unwrap();
        assert!(sums.agree(), "{name}, {}: {sums:?}", node.name());
        assert!(sums.transactions >= callers.committed(), "{name}: an acknowledged transaction is missing");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn balances_agree_after_one_driver_met_nobody() {
    balances_agree(REPLICA, CopyMode::Ram, Form::ReadModifyWrite).await;
    balances_agree(REPLICA, CopyMode::Disc, Form::ReadModifyWrite).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn balances_agree_after_all_drivers_changed_one_branch() {
    balances_agree(CONFLICT, CopyMode::Ram, Form::ReadModifyWrite).await;
    balances_agree(CONFLICT, CopyMode::Disc, Form::ReadModifyWrite).await;
    balances_agree(CONFLICT, CopyMode::Ram, Form::ForUpdate).await;
    balances_agree(CONFLICT, CopyMode::Disc, Form::ForUpdate).await;
    balances_agree(CONFLICT, CopyMode::Ram, Form::Add).await;
    balances_agree(CONFLICT, CopyMode::Disc, Form::Add).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn balances_agree_after_drivers_spread_over_many_branches() {
    balances_agree(DISTRIBUTED, CopyMode::Ram, Form::ReadModifyWrite).await;
    balances_agree(DISTRIBUTED, CopyMode::Disc, Form::ReadModifyWrite).await;
}

async fn sessions_match(mode: CopyMode) {
    let scale = telecom::Scale { subscribers: 200, servers: 2 };
    let mut cluster = TestCluster::start(3).await;
    telecom::create(cluster[0].node(), mode).await.unwrap();
    telecom::load(cluster[0].node(), scale).await.unwrap();
    cluster.wait_ready().await;
    let leader = cluster.wait_leader().await;
    let mut callers = Callers::new();
    let start = |callers: &mut Callers, cluster: &TestCluster, at: usize, life: u64| {
        (0..2).for_each(|number| {
            callers.start(cluster, at, Generator::new(life * 10 + at as u64 * 2 + number, scale))
        });
    };
    (0..3).for_each(|at| start(&mut callers, &cluster, at, 0));
    callers.wait_for_more(3 * STRETCH).await;
    cluster.kill(leader).await;
    callers.wait_for_more(3 * STRETCH).await;
    cluster.restart(leader).await;
    cluster[leader].node().wait_for_tables(&["telecom_session"], PATIENCE).await.unwrap();
    start(&mut callers, &cluster, leader, 1);
    callers.wait_for_more(3 * STRETCH).await;
    callers.stop().await;
    cluster.wait_ready().await;
    cluster.wait_equal_copies().await;
    for node in cluster.handles() {
        assert_eq!(telecom::inconsistencies(&node).unwrap(), Vec::<String>::new(), "{}", node.name());
        let (made, ended) = telecom::sessions_made_and_ended(&node).unwrap();
        assert!(made > 20 && ended > 20, "hardly anything happened: {made} sessions made, {ended} ended");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn session_rows_match_the_subscribers_bits_and_the_servers_counters() {
    sessions_match(CopyMode::Ram).await;
    sessions_match(CopyMode::Disc).await;
}

//! TPC-B and the telecom workload. Each scene has tables of its own, which are checked after the last round.

use super::workload;
use crate::peers::Peer::{Mnesia, Tabularaft};
use crate::workload::{CallersOn, Contender, Group, Scene, Table};

/// Accounts of a branch where there is one, or ten.
const FEW: &[(&str, u64)] = &[("branches", 1), ("accounts", 100_000)];
const TEN: &[(&str, u64)] = &[("branches", 10), ("accounts", 10_000)];
/// Every transaction changes the same branch, and one of ten accounts.
const CONFLICT: &[(&str, u64)] = &[("branches", 1), ("accounts", 10)];
/// Transactions hardly ever meet.
const DISTRIBUTED: &[(&str, u64)] = &[("branches", 3_000), ("accounts", 10)];
/// The aim for TPC-B's conflict, and for the telecom mix.
const CONFLICT_AIM: f64 = 20.0;
const TELECOM_AIM: f64 = 10.0;
const SUBSCRIBERS: u64 = 25_000;

/// The four configurations of TPC-B.
pub(super) fn tpcb(copy: &'static str) -> Vec<Scene> {
    let title = |ram, disc| if copy == "ram" { ram } else { disc };
    vec![
        bank(
            title("TPC-B, one node, ram: 1 driver", "TPC-B, one node, disc: 1 driver"),
            copy,
            1,
            1,
            FEW,
            None,
        ),
        bank(
            title("TPC-B, one node, ram: 10 drivers", "TPC-B, one node, disc: 10 drivers"),
            copy,
            1,
            10,
            TEN,
            None,
        ),
        bank(
            title(
                "TPC-B, three nodes, ram: conflict (1 branch, 30 drivers)",
                "TPC-B, three nodes, disc: conflict (1 branch, 30 drivers)",
            ),
            copy,
            3,
            10,
            CONFLICT,
            Some(CONFLICT_AIM),
        ),
        bank(
            title(
                "TPC-B, three nodes, ram: distributed (3000 branches, 30 drivers)",
                "TPC-B, three nodes, disc: distributed (3000 branches, 30 drivers)",
            ),
            copy,
            3,
            10,
            DISTRIBUTED,
            None,
        ),
    ]
}

fn bank(
    title: &'static str,
    copy: &'static str,
    nodes: usize,
    drivers: usize,
    fields: &'static [(&'static str, u64)],
    aim: Option<f64>,
) -> Scene {
    let mnesia = Contender { aim, ..Contender::new(Mnesia, "tpcb") };
    let ours = [
        Contender::new(Tabularaft, "tpcb").form("for-update").remark("get_for_update"),
        Contender::new(Tabularaft, "tpcb").form("add").remark("add at the leader"),
        Contender::new(Tabularaft, "tpcb").form("rmw").remark("get, tried again on conflict"),
    ];
    let all = fields.iter().fold(workload("transactions", "tpcb", 0, drivers), |all, (name, value)| {
        all.with_field(name, *value)
    });
    Scene {
        title,
        group: Group::Tpcb,
        nodes,
        synced: copy == "disc",
        tables: vec![Table { name: "tpcb", copy, records: 0, fields, peers: &[Tabularaft, Mnesia] }],
        callers_on: CallersOn::EveryNode,
        workloads: vec![ours.into_iter().fold(all, |all, own| all.against(own)).against(mnesia)],
    }
}

/// The register on one node and on three.
pub(super) fn telecom(copy: &'static str) -> Vec<Scene> {
    let title = |ram, disc| if copy == "ram" { ram } else { disc };
    vec![
        register(title("Telecom T1 to T5, one node, ram", "Telecom T1 to T5, one node, disc"), copy, 1),
        register(title("Telecom T1 to T5, three nodes, ram", "Telecom T1 to T5, three nodes, disc"), copy, 3),
    ]
}

fn register(title: &'static str, copy: &'static str, nodes: usize) -> Scene {
    let generators = |callers| {
        workload(format!("transactions, {callers} generators per node"), "telecom", SUBSCRIBERS, callers)
            .against(Contender::new(Tabularaft, "telecom"))
            .against(Contender::new(Mnesia, "telecom").aim(TELECOM_AIM))
    };
    let records = SUBSCRIBERS;
    Scene {
        title,
        group: Group::Telecom,
        nodes,
        synced: copy == "disc",
        tables: vec![Table { name: "telecom", copy, records, fields: &[], peers: &[Tabularaft, Mnesia] }],
        callers_on: CallersOn::EveryNode,
        workloads: vec![generators(2), generators(16)],
    }
}

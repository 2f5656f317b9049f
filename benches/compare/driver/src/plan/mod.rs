//! The comparison: every scene with its workloads, contenders and aims.

use crate::peers::Peer::{Etcd, Hiqlite, Mnesia, Tabularaft};
use compare_lines::Line;
use compare_lines::content::{BAG_RECORDS, GROUP_RECORDS, RANGE_RECORDS};

use crate::workload::{CallersOn, Contender, Group, Measure, Scene, Table, Workload};

mod classics;

/// How large the tables are.
#[derive(Debug, Clone, Copy)]
pub struct Sizes {
    /// Records of the tables that are read.
    pub read: u64,
    /// Records of the tables that are written to.
    pub written: u64,
}

/// Keys of the read-modify-write workload.
const HOT_KEYS: u64 = 100;

/// Everything, in the order in which it is run.
pub fn scenes(sizes: Sizes) -> Vec<Scene> {
    let mut all = vec![reads(sizes), ram_writes(sizes), disc_writes(sizes)];
    for copy in ["ram", "disc"] {
        all.extend(classics::tpcb(copy));
        all.extend(classics::telecom(copy));
    }
    all
}

fn reads(sizes: Sizes) -> Scene {
    let table = |name, records, peers| Table { name, copy: "ram", records, fields: &[], peers };
    Scene {
        title: "Reads and a bag, one node, ram",
        group: Group::Reads,
        nodes: 1,
        synced: false,
        callers_on: CallersOn::Leader,
        tables: vec![
            table("item", sizes.read, &[Tabularaft, Mnesia, Hiqlite]),
            table("ordered_item", sizes.read, &[Tabularaft, Mnesia]),
            table("prefix_item", sizes.read, &[Mnesia]),
            table("bag_item", sizes.written, &[Tabularaft, Mnesia]),
            table("indexed_item", sizes.written, &[Tabularaft, Mnesia]),
            table("item", sizes.written, &[Etcd]),
            table("ordered_item", sizes.written, &[Etcd]),
        ],
        workloads: vec![
            workload("one record, 1 thread", "read", sizes.read, 1)
                .against(Contender::new(Tabularaft, "item"))
                .against(Contender::new(Mnesia, "item").aim(10.0).remark("dirty_read"))
                .against(Contender::new(Hiqlite, "item").aim(10.0).remark("cache get")),
            workload("one record, 2 threads", "read", sizes.read, 2)
                .against(Contender::new(Tabularaft, "item"))
                .against(Contender::new(Mnesia, "item").aim(10.0).remark("dirty_read"))
                .against(Contender::new(Hiqlite, "item").aim(10.0).remark("cache get")),
            workload("one record, 16 callers", "read", sizes.written, 16)
                .against(Contender::new(Tabularaft, "item"))
                .against(Contender::new(Etcd, "item").remark("serializable get")),
            workload("ordered range of 1000, records", "range", sizes.read, 1)
                .of_records(RANGE_RECORDS)
                .against(Contender::new(Tabularaft, "ordered_item"))
                .against(Contender::new(Mnesia, "ordered_item").remark("dirty_next, dirty_read"))
                .against(
                    Contender::new(Mnesia, "prefix_item").form("prefix").remark("dirty_select of a prefix"),
                ),
            workload("ordered range of 1000, records, 16 callers", "range", sizes.written, 16)
                .of_records(RANGE_RECORDS)
                .against(Contender::new(Tabularaft, "ordered_item"))
                .against(Contender::new(Etcd, "ordered_item").remark("serializable get")),
            workload("index: 10 records of a value", "index-read", sizes.written, 1)
                .of_records(GROUP_RECORDS)
                .against(Contender::new(Tabularaft, "indexed_item"))
                .against(Contender::new(Mnesia, "indexed_item").remark("dirty_index_read")),
            workload("bag: 10 records of a key", "bag-read", sizes.written, 1)
                .of_records(BAG_RECORDS)
                .against(Contender::new(Tabularaft, "bag_item"))
                .against(Contender::new(Mnesia, "bag_item").remark("dirty_read")),
            workload("bag: insert, 16 callers", "bag-insert", sizes.written, 16)
                .against(Contender::new(Tabularaft, "bag_item"))
                .against(Contender::new(Mnesia, "bag_item").remark("transaction")),
        ],
    }
}

fn ram_writes(sizes: Sizes) -> Scene {
    let (item, hiqlite) =
        ("item", Contender::new(Hiqlite, "item").remark("cache put, log synced each 200 ms"));
    let transaction = Contender::new(Mnesia, item).remark("transaction");
    Scene {
        title: "Writes, three nodes, ram",
        group: Group::Writes,
        nodes: 3,
        synced: false,
        callers_on: CallersOn::Leader,
        tables: vec![Table {
            name: item,
            copy: "ram",
            records: sizes.written,
            fields: &[],
            peers: &[Tabularaft, Mnesia, Hiqlite],
        }],
        workloads: vec![
            workload("write, 1 caller", "write", sizes.written, 1)
                .by(Measure::Latency)
                .against(Contender::new(Tabularaft, item))
                .against(transaction.aim(1.0))
                .against(hiqlite),
            workload("write, 16 callers", "write", sizes.written, 16)
                .against(Contender::new(Tabularaft, item))
                .against(transaction)
                .against(hiqlite.aim(5.0)),
            workload("write, 64 callers", "write", sizes.written, 64)
                .against(Contender::new(Tabularaft, item))
                .against(transaction.aim(10.0))
                .against(hiqlite.aim(5.0)),
            modify(1).by(Measure::Latency).against(transaction.aim(1.0)),
            modify(16).against(transaction),
            modify(64).against(transaction.aim(10.0)),
        ],
    }
}

fn disc_writes(sizes: Sizes) -> Scene {
    let item = "item";
    let mnesia = Contender::new(Mnesia, item).remark("transaction, disc_copies, never synced");
    let etcd = Contender::new(Etcd, item).remark("put");
    let swap = Contender::new(Etcd, item).remark("compare and swap");
    let cache = Contender::new(Hiqlite, item).remark("cache put");
    let sql = Contender::new(Hiqlite, "sql_item").remark("SQL upsert");
    let update = Contender::new(Hiqlite, "sql_item").remark("SQL update");
    let table = |name, peers| Table { name, copy: "disc", records: sizes.written, fields: &[], peers };
    let write = |title, callers| {
        workload(title, "write", sizes.written, callers).against(Contender::new(Tabularaft, item))
    };
    Scene {
        title: "Writes, three nodes, disc: synced on a majority before the answer, but for Mnesia",
        group: Group::Writes,
        nodes: 3,
        synced: true,
        callers_on: CallersOn::Leader,
        tables: vec![
            table(item, &[Tabularaft, Mnesia, Etcd]),
            Table {
                name: "sql_item",
                copy: "disc",
                records: sizes.written / 10,
                fields: &[],
                peers: &[Hiqlite],
            },
        ],
        workloads: vec![
            write("write, 1 caller", 1)
                .by(Measure::Latency)
                .against(mnesia)
                .against(etcd)
                .against(cache)
                .against(sql),
            write("write, 16 callers", 16).against(mnesia).against(etcd).against(cache).against(sql),
            write("write, 64 callers", 64)
                .against(mnesia.aim(1.0))
                .against(etcd.aim(5.0))
                .against(cache.aim(10.0))
                .against(sql.aim(10.0)),
            modify(1).by(Measure::Latency).against(mnesia).against(swap).against(update),
            modify(16).against(mnesia).against(swap).against(update),
            modify(64).against(mnesia.aim(1.0)).against(swap.aim(5.0)).against(update.aim(10.0)),
        ],
    }
}

/// Read-modify-write of random ones of few records.
fn modify(callers: usize) -> Workload {
    let noun = if callers == 1 { "caller" } else { "callers" };
    workload(format!("read-modify-write, {HOT_KEYS} keys, {callers} {noun}"), "rmw", HOT_KEYS, callers)
        .against(Contender::new(Tabularaft, "item").form("for-update").remark("transaction, get_for_update"))
        .against(Contender::new(Tabularaft, "item").form("swap").remark("compare and swap"))
}

pub(super) fn workload(title: impl Into<String>, verb: &str, records: u64, callers: usize) -> Workload {
    Workload {
        title: title.into(),
        measure: Measure::Rate,
        command: Line::new(verb).with("records", records).with("callers", callers),
        records_per_call: 1.0,
        contenders: Vec::new(),
    }
}

impl Workload {
    pub(super) fn against(mut self, contender: Contender) -> Self {
        self.contenders.push(contender);
        self
    }

    fn by(self, measure: Measure) -> Self {
        Self { measure, ..self }
    }

    fn with_field(mut self, name: &str, value: u64) -> Self {
        self.command = self.command.with(name, value);
        self
    }

    fn of_records(self, records_per_call: u64) -> Self {
        Self { records_per_call: records_per_call as f64, ..self }
    }
}

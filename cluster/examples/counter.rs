//! One node alone, with a table on disc that outlives it: each run adds one to a counter.
//!
//! `cargo run -p tabularaft --example counter -- some-directory`

use serde::{Deserialize, Serialize};
use tabularaft::{Boot, Error, Module, Node, Record, Sum, register_module, schema};

#[derive(Record, Serialize, Deserialize)]
#[record(table = "counter", kind = "ordered-set", copy = "disc")]
struct Counter {
    #[key]
    name: String,
    value: u64,
}

/// Linking this module is enough: its table exists before the node serves.
struct Counters;

impl Module for Counters {
    fn name(&self) -> &'static str {
        "counters"
    }

    fn boot(&self, boot: &mut Boot) -> schema::Result<()> {
        boot.create_table::<Counter>()
    }
}

register_module!(Counters);

#[tokio::main]
async fn main() -> Result<(), Error> {
    let dir = std::env::args().nth(1).unwrap_or_else(|| "counter-data".to_owned());
    let node = Node::builder("counter@localhost").data_dir(dir).listen("127.0.0.1:0").start().await?;
    let counters = node.table::<Counter>()?;
    // Adding happens at the leader, so that additions from many nodes never conflict.
    let first = Counter { name: "runs".to_owned(), value: 0 };
    if let Sum::Unsigned(runs) = counters.add("runs", "value", 1, Some(&first)).await? {
        println!("run number {runs}");
    }
    node.shutdown().await;
    Ok(())
}

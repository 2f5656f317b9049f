//! The module, in a file of its own that nothing refers to, as it would be in an application.

use serde::{Deserialize, Serialize};
use tabularaft_schema::{Boot, Copy, CopyMode, Module, NodeName, Record, Result, register_module};

#[derive(Record, Serialize, Deserialize)]
#[record(table = "route", kind = "bag", copy = "ram", owned, crate = "tabularaft_schema")]
struct Route {
    #[key]
    topic: String,
    #[index]
    node: NodeName,
}

struct Router;

impl Module for Router {
    fn name(&self) -> &'static str {
        "router"
    }

    fn boot(&self, boot: &mut Boot) -> Result<()> {
        boot.create_table::<Route>()
    }

    fn copy(&self, copy: &mut Copy) -> Result<()> {
        copy.copy_table::<Route>(CopyMode::Ram)
    }
}

register_module!(Router);

//! What the leader owes indexes whose adder is gone.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};
use std::time::Instant;

use tabularaft_schema::{SchemaChange, TableId, TableName};

use super::report::{self, ReportedState};
use crate::door;
use crate::engine::Engine;
use crate::error::WriteError;
use crate::write::{Op, Rejection, Request};

const LOOK_EVERY_MS: u64 = 1_000;
/// How long the node that has added an index is left to activate it.
const ADDER_MS: u64 = 10_000;
const WRITE_MS: u64 = 5_000;

type Place = (TableId, String);

/// While this node leads: finishes what the adder of an index has begun, if it has not done so itself.
pub(crate) async fn lead(engine: Weak<Engine>) {
    let mut built_since: BTreeMap<Place, Instant> = BTreeMap::new();
    loop {
        door::sleep(door::ms(LOOK_EVERY_MS)).await;
        let Some(engine) = engine.upgrade() else { return };
        if !engine.is_leading() {
            built_since.clear();
            continue;
        }
        let building = building(&engine);
        built_since.retain(|place, _| building.iter().any(|(known, _)| known == place));
        for (place, table) in building {
            let states = report::of_members(&engine, place.0, &place.1).await;
            if !states.iter().all(|(_, state)| *state == ReportedState::Ready) {
                continue;
            }
            let since = *built_since.entry(place.clone()).or_insert_with(door::now);
            if door::now().saturating_duration_since(since) >= door::ms(ADDER_MS) {
                finish(&engine, &table, &place.1).await;
            }
        }
    }
}

fn building(engine: &Engine) -> Vec<(Place, TableName)> {
    let view = engine.store.view();
    let places = view.schema().tables().flat_map(|table| {
        table.building.iter().map(|index| ((table.id, index.clone()), table.def.name.clone()))
    });
    places.collect()
}

async fn finish(engine: &Arc<Engine>, table: &TableName, index: &str) {
    let (table_name, index_name) = (table.clone(), index.to_owned());
    let activation = SchemaChange::ActivateIndex { table: table_name, index: index_name };
    match write(engine, activation).await {
        Ok(()) => tracing::info!(%table, index, "an index was activated in place of its adder"),
        Err(WriteError::Rejected(Rejection::Duplicates { values, .. })) => {
            tracing::warn!(%table, index, values, "an index cannot be unique and is dropped again");
            let dropped = SchemaChange::DropIndex { table: table.clone(), index: index.to_owned() };
            if let Err(error) = write(engine, dropped).await {
                tracing::debug!(%error, %table, index, "the index is not dropped yet");
            }
        }
        Err(error) => tracing::debug!(%error, %table, index, "an index is not activated yet"),
    }
}

async fn write(engine: &Arc<Engine>, change: SchemaChange) -> Result<(), WriteError> {
    let request = Request::one(Op::Schema(change));
    engine.write(request, door::now() + door::ms(WRITE_MS)).await.map(drop)
}

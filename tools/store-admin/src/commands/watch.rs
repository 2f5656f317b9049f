//! `watch`: changes as NDJSON, as they come.

use std::time::Instant;

use serde_json::{Map, Value, json};
use tabularaft::admin::protocol::{
    WATCH_WAIT_MAX_MS, WatchPage, WatchPlace, WatchRecords, WatchRequest, WatchScope, WatchedChange,
};
use tabularaft::admin::{AdminClient, AdminErrorKind};

use super::node_run::Signals;
use crate::args::{GlobalArgs, WatchArgs};
use crate::failure::{Context, Failure, Outcome};
use crate::output;
use crate::session::{OpenTable, connect};

/// Prints changes until a signal, the table's end, or until nobody reads them any more.
pub(super) async fn run(global: &GlobalArgs, args: &WatchArgs) -> Outcome {
    let mut signals = Signals::new()?;
    let (client, scope) = tokio::select! {
        opened = open(global, args) => opened?,
        _ = signals.next() => return Ok(()),
    };
    let after = args.from.map(|index| WatchPlace { index, given: 0 });
    let mut watch = Watch { client, global, scope, after, cluster_id: None };
    loop {
        // A request that is dropped has no effect, and nothing is printed half.
        let page = tokio::select! {
            page = watch.next() => page?,
            _ = signals.next() => return Ok(()),
        };
        output::print(&lines(&page)?)?;
        if page.ended {
            return Ok(());
        }
    }
}

async fn open(global: &GlobalArgs, args: &WatchArgs) -> Outcome<(AdminClient, WatchScope)> {
    let Some(name) = &args.table else { return Ok((connect(global).await?, WatchScope::Members)) };
    let table = OpenTable::open(global, name).await?;
    let records = match (&args.key, &args.prefix) {
        (Some(key), _) => WatchRecords::Key(table.key(key)?),
        (None, Some(prefix)) => WatchRecords::Prefix(table.key_prefix(prefix)?),
        (None, None) => WatchRecords::All,
    };
    Ok((table.client, WatchScope::Table { table: table.reference, records }))
}

struct Watch<'a> {
    client: AdminClient,
    global: &'a GlobalArgs,
    scope: WatchScope,
    after: Option<WatchPlace>,
    cluster_id: Option<u128>,
}

impl Watch<'_> {
    /// The next page. A node that is away for a while is asked again, from the same place, for `--timeout`.
    async fn next(&mut self) -> Outcome<WatchPage> {
        let began = Instant::now();
        loop {
            let request =
                WatchRequest { scope: self.scope.clone(), after: self.after, wait_ms: WATCH_WAIT_MAX_MS };
            match self.client.watch(&request).await {
                Ok(page) => return self.take(page),
                Err(error)
                    if error.kind == AdminErrorKind::NotReady && began.elapsed() < self.global.timeout =>
                {
                    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
                }
                Err(error) => return Err(self.lost(&error)),
            }
        }
    }

    fn take(&mut self, page: WatchPage) -> Outcome<WatchPage> {
        if self.cluster_id.is_some_and(|known| known != page.cluster_id) {
            return Err(Failure::new("the node belongs to another cluster now, whose changes are not these"));
        }
        self.cluster_id = Some(page.cluster_id);
        self.after = Some(page.next);
        Ok(page)
    }

    fn lost(&self, error: &tabularaft::admin::AdminError) -> Failure {
        match (error.kind, self.after) {
            (AdminErrorKind::Unreachable | AdminErrorKind::NotReady, Some(place)) => {
                Failure::new(format_args!(
                    "{error}; every change up to log index {0} was printed: go on with --from {0}",
                    place.index
                ))
            }
            _ => Failure::new(error),
        }
    }
}

fn lines(page: &WatchPage) -> Outcome<String> {
    let mut text = String::new();
    for change in &page.changes {
        text.push_str(&Value::Object(line(change)?).to_string());
        text.push('\n');
    }
    Ok(text)
}

fn line(change: &WatchedChange) -> Outcome<Map<String, Value>> {
    let mut line = Map::new();
    let mut put = |name: &str, value: Value| drop(line.insert(name.to_owned(), value));
    put("index", change.index.into());
    put("more", change.more.into());
    put("change", json!(change.kind));
    if change.key.is_some() {
        put("key", record(change.key.as_deref())?);
        put("old", record(change.old.as_deref())?);
        put("new", record(change.new.as_deref())?);
        put("version", change.version.into());
    }
    if let Some(member) = &change.member {
        put("name", member.name.to_string().into());
        put("node", member.node.into());
        put("life", json!(member.life));
        put("address", json!(member.address));
    }
    Ok(line)
}

fn record(text: Option<&str>) -> Outcome<Value> {
    let Some(text) = text else { return Ok(Value::Null) };
    serde_json::from_str(text).context("a change that the node sent")
}

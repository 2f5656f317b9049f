//! `watch`: changes as NDJSON, as they come.

use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};
use tabularaft::admin::protocol::{
    WATCH_WAIT_MAX_MS, WatchPage, WatchPlace, WatchRecords, WatchRequest, WatchScope, WatchedChange,
};
use tabularaft::admin::{AdminClient, AdminError, AdminErrorKind};

use super::node_run::Signals;
use crate::args::{GlobalArgs, WatchArgs};
use crate::failure::{Context, Failure, Outcome};
use crate::output;
use crate::session::{OpenTable, connect};

/// How long one node is waited for before another one is asked.
const NODE_PATIENCE: Duration = Duration::from_secs(3);
const RETRY_EVERY: Duration = Duration::from_millis(100);

/// Prints changes until a signal, the table's end, or until nobody reads them any more.
pub(super) async fn run(global: &GlobalArgs, args: &WatchArgs) -> Outcome {
    let mut signals = Signals::new()?;
    let (client, scope) = tokio::select! {
        opened = open(global, args) => opened?,
        _ = signals.next() => return Ok(()),
    };
    let after = args.from.map(|index| WatchPlace { index, given: 0 });
    let addresses = vec![global.node.clone()];
    let mut watch = Watch { client, global, addresses, scope, after, cluster_id: None };
    watch.learn_addresses().await;
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
    let client =
        connect(&GlobalArgs { timeout: global.timeout.min(NODE_PATIENCE), ..global.clone() }).await?;
    let Some(name) = &args.table else { return Ok((client, WatchScope::Members)) };
    let table = OpenTable::on(client, name).await?;
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
    /// Where the nodes of the cluster are, that of the client first: any of them can go on from any place.
    addresses: Vec<String>,
    scope: WatchScope,
    after: Option<WatchPlace>,
    cluster_id: Option<u128>,
}

impl Watch<'_> {
    /// The next page. If the node is away, others are asked, from the same place, for `--timeout`.
    async fn next(&mut self) -> Outcome<WatchPage> {
        let (began, mut moved) = (Instant::now(), false);
        loop {
            let request =
                WatchRequest { scope: self.scope.clone(), after: self.after, wait_ms: WATCH_WAIT_MAX_MS };
            let error = match self.client.watch(&request).await {
                Ok(page) => return self.take(page),
                Err(error) => error,
            };
            // What another node refuses, a third one may grant.
            if !(moved || is_away(&error)) || began.elapsed() >= self.global.timeout {
                return Err(self.lost(&error));
            }
            tokio::time::sleep(RETRY_EVERY).await;
            moved |= self.move_on().await;
        }
    }

    /// Connects to the next node that lets itself be connected to; false if there is none.
    async fn move_on(&mut self) -> bool {
        for _ in 0..self.addresses.len() {
            self.addresses.rotate_left(1);
            let Some(node) = self.addresses.first().cloned() else { return false };
            let timeout = self.global.timeout.min(NODE_PATIENCE);
            if let Ok(client) = connect(&GlobalArgs { node, timeout, ..self.global.clone() }).await {
                self.client = client;
                self.learn_addresses().await;
                return true;
            }
        }
        false
    }

    /// Asks who belongs to the cluster. A node that cannot say leaves what is known.
    async fn learn_addresses(&mut self) {
        let Ok(status) = self.client.status().await else { return };
        for node in status.nodes {
            if !self.addresses.contains(&node.address) && node.name != status.node {
                self.addresses.push(node.address);
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

    fn lost(&self, error: &AdminError) -> Failure {
        match self.after {
            Some(place) if is_away(error) => Failure::new(format_args!(
                "{error}; every change up to log index {0} was printed: go on with --from {0}",
                place.index
            )),
            _ => Failure::new(error),
        }
    }
}

fn is_away(error: &AdminError) -> bool {
    matches!(error.kind, AdminErrorKind::Unreachable | AdminErrorKind::NotReady)
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

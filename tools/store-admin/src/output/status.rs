//! `cluster status` for people.

use std::fmt::Display;

use serde::Serialize;
use tabularaft::admin::{ClusterStatus, NodeStatus, NotReadyStatus, RecoveryStatus};

use super::{Columns, bytes, count};

/// What `cluster status` shows. With `--json` the fields of the status and the list of recoveries stand side by side.
#[derive(Debug, Serialize)]
pub(crate) struct ShownStatus {
    #[serde(flatten)]
    pub(crate) status: ClusterStatus,
    /// The times that the cluster went on without its majority.
    pub(crate) recoveries: Vec<RecoveryStatus>,
}

impl ShownStatus {
    /// A status without recoveries.
    pub(crate) fn of(status: ClusterStatus) -> Self {
        Self { status, recoveries: Vec::new() }
    }
}

/// The status as lines and aligned columns.
pub(crate) fn status_text(shown: &ShownStatus) -> String {
    let status = &shown.status;
    let mut text = head(status, &shown.recoveries);
    text.push('\n');
    text.push_str(&nodes(status).text());
    let copies = copies(status);
    if !copies.is_empty() {
        text.push('\n');
        text.push_str(&copies.text());
    }
    text
}

fn head(status: &ClusterStatus, recoveries: &[RecoveryStatus]) -> String {
    let leader = match &status.leader {
        Some(leader) => format!("{leader}, term {}, committed {}", status.term, status.committed),
        None => format!("none known, term {}, committed {}", status.term, status.committed),
    };
    let ready = match &status.not_ready {
        None if status.ready => "yes".into(),
        None => "no".into(),
        Some(reason) => not_ready(reason),
    };
    let mut lines =
        Columns::new(["cluster", &format!("{}, schema version {}", status.cluster, status.schema_version)]);
    lines.row(["node".into(), format!("{}, version {}", status.node, status.version)]);
    lines.row(["leader".into(), leader]);
    lines.row(["ready".into(), ready]);
    if !status.removed.is_empty() {
        lines.row(["removed".into(), list(&status.removed)]);
    }
    for recovery in recoveries {
        let RecoveryStatus { by, at_log_index, without, .. } = recovery;
        let text = format!("by {by} at log index {at_log_index}, without {}", list(without));
        lines.row(["recovered".into(), text]);
    }
    lines.text()
}

fn not_ready(reason: &NotReadyStatus) -> String {
    let mut text = format!("no: {}", reason.why);
    if reason.have < reason.need {
        text.push_str(&format!("; {} of the {} voters needed are here", reason.have, reason.need));
    }
    if !reason.missing.is_empty() {
        text.push_str(&format!("; waiting for {}", list(&reason.missing)));
    }
    if !reason.tables.is_empty() {
        text.push_str(&format!("; not served: {}", list(&reason.tables)));
    }
    text
}

fn nodes(status: &ClusterStatus) -> Columns {
    let heading = ["NODE", "ROLE", "STATE", "ID", "INCARNATION", "APPLIED", "LAG", "ADDRESS"];
    let mut columns = Columns::new(heading).right(&[3, 4, 5, 6]);
    for node in &status.nodes {
        columns.row([
            node_name(status, node),
            word(&node.role),
            word(&node.state),
            node.id.to_string(),
            known(node.incarnation != 0, node.incarnation),
            option(node.applied),
            option(node.lag),
            node.address.clone(),
        ]);
    }
    columns
}

/// A star marks the leader.
fn node_name(status: &ClusterStatus, node: &NodeStatus) -> String {
    let mark = if status.leader.as_ref() == Some(&node.name) { " *" } else { "" };
    format!("{}{mark}", node.name)
}

fn copies(status: &ClusterStatus) -> Columns {
    let mut copies: Vec<_> = status.nodes.iter().flat_map(|node| &node.tables).collect();
    copies.sort_by(|a, b| (&a.table, &a.node).cmp(&(&b.table, &b.node)));
    let mut columns = Columns::new(["TABLE", "NODE", "COPY", "STATE", "RECORDS", "BYTES"]).right(&[4, 5]);
    for copy in copies {
        columns.row([
            copy.table.to_string(),
            copy.node.to_string(),
            copy.mode.to_string(),
            word(&copy.state),
            copy.records.map_or_else(|| "-".into(), count),
            copy.bytes.map_or_else(|| "-".into(), bytes),
        ]);
    }
    columns
}

/// The word that `--json` uses for this value, so that people and programs read the same words.
pub(super) fn word(value: &impl Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => word,
        _ => "?".into(),
    }
}

pub(super) fn list(items: &[impl Display]) -> String {
    items.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

fn option(value: Option<u64>) -> String {
    value.map_or_else(|| "-".into(), |value| value.to_string())
}

fn known(known: bool, value: u64) -> String {
    if known { value.to_string() } else { "-".into() }
}

#[cfg(test)]
mod tests {
    use tabularaft::admin::{CopyState, CopyStatus, NodeRole, NodeState};
    use tabularaft::schema::CopyMode;

    use super::*;

    fn node(name: &str, state: NodeState, applied: Option<u64>) -> NodeStatus {
        NodeStatus {
            name: name.parse().unwrap(),
            id: 1,
            address: "127.0.0.1:7100".into(),
            role: NodeRole::Voter,
            state,
            incarnation: u64::from(applied.is_some()),
            applied,
            lag: applied.map(|_| 0),
            tables: Vec::new(),
        }
    }

    fn status() -> ClusterStatus {
        ClusterStatus {
            cluster: "demo".into(),
            node: "n1@h".parse().unwrap(),
            version: "0.1.0".into(),
            leader: Some("n1@h".parse().unwrap()),
            term: 3,
            committed: 42,
            schema_version: 2,
            ready: true,
            not_ready: None,
            nodes: vec![node("n1@h", NodeState::Running, Some(42)), node("n2@h", NodeState::Stopped, None)],
            removed: Vec::new(),
        }
    }

    #[test]
    fn members_and_copies_are_listed_and_what_is_unknown_is_a_dash() {
        let mut status = status();
        status.nodes[0].tables.push(CopyStatus {
            table: "route".parse().unwrap(),
            node: "n1@h".parse().unwrap(),
            mode: CopyMode::Ram,
            state: CopyState::Ready,
            records: Some(1200),
            bytes: Some(2048),
        });
        let wanted = "\
cluster  demo, schema version 2
node     n1@h, version 0.1.0
leader   n1@h, term 3, committed 42
ready    yes

NODE    ROLE   STATE    ID  INCARNATION  APPLIED  LAG  ADDRESS
n1@h *  voter  running   1            1       42    0  127.0.0.1:7100
n2@h    voter  stopped   1            -        -    -  127.0.0.1:7100

TABLE  NODE  COPY  STATE  RECORDS    BYTES
route  n1@h  ram   ready    1,200  2.0 KiB
";
        assert_eq!(status_text(&ShownStatus::of(status)), wanted);
    }

    #[test]
    fn a_node_that_is_not_ready_says_for_whom_it_waits() {
        let mut status = status();
        (status.leader, status.ready) = (None, false);
        status.not_ready = Some(NotReadyStatus {
            why: "no majority".into(),
            need: 2,
            have: 1,
            missing: vec!["n2@h".parse().unwrap(), "n3@h".parse().unwrap()],
            tables: vec!["route".parse().unwrap()],
        });
        let text = status_text(&ShownStatus::of(status));
        let wanted = "ready    no: no majority; 1 of the 2 voters needed are here; waiting for n2@h, n3@h; not served: route\n";
        assert!(text.contains(wanted), "{text}");
        assert!(text.contains("leader   none known, term 3"), "{text}");
    }

    #[test]
    fn what_the_cluster_went_on_without_stays_in_sight() {
        let recovery = RecoveryStatus {
            former_cluster_id: "7".into(),
            cluster_id: "9".into(),
            at_log_index: 120,
            at_unix_ms: 1,
            by: "n1@h".parse().unwrap(),
            without: vec!["n2@h".parse().unwrap(), "n3@h".parse().unwrap()],
        };
        let text = status_text(&ShownStatus { status: status(), recoveries: vec![recovery] });
        assert!(text.contains("recovered  by n1@h at log index 120, without n2@h, n3@h\n"), "{text}");
    }

    #[test]
    fn the_json_document_has_stable_field_names() {
        let json = serde_json::to_value(ShownStatus::of(status())).unwrap();
        let names: Vec<&String> = json.as_object().unwrap().keys().collect();
        let wanted = [
            "cluster",
            "node",
            "version",
            "leader",
            "term",
            "committed",
            "schema_version",
            "ready",
            "not_ready",
            "nodes",
            "removed",
            "recoveries",
        ];
        assert_eq!(names, wanted);
        assert_eq!(json["nodes"][1]["state"], "stopped");
        assert_eq!(json["nodes"][1]["applied"], serde_json::Value::Null);
    }
}

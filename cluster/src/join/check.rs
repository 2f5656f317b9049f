//! The first step of a join: may this node become a member? Nothing is touched by asking.

use serde::{Deserialize, Serialize};
use tabularaft_schema::{Fingerprint, NodeId, NodeName};

use crate::engine::Engine;
use crate::error::Mismatch;
use crate::join::leader::lives;

/// What a joiner says of itself. Wire format: add at the end only.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct CheckRequest {
    pub(crate) name: NodeName,
    pub(crate) address: String,
    pub(crate) cluster_id: Option<u128>,
    /// Settings that every node of a cluster shares.
    pub(crate) settings: Vec<(String, String)>,
    /// The tables that the joiner's modules declare.
    pub(crate) tables: Vec<(String, String)>,
    /// The place in this cluster that the joiner gives up for a new one.
    pub(crate) replaces: Option<NodeId>,
}

/// The peer's answer. Wire format: add, never change or reuse a variant.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum CheckReply {
    /// It may join; this is the cluster it would join.
    Welcome {
        cluster_id: u128,
        cluster_name: String,
        leader: Option<(NodeId, String)>,
        members: usize,
    },
    /// The peer is the asking node itself.
    Yourself,
    /// It is a member of this very cluster.
    AlreadyMember {
        members: usize,
    },
    Incompatible(Vec<Mismatch>),
    NameTaken {
        by: String,
    },
    NotReady(String),
}

/// Checks a joiner against this node's cluster.
pub(crate) async fn check_joiner(engine: &Engine, request: &CheckRequest) -> CheckReply {
    let view = engine.store.view();
    let system = view.system();
    let Some(cluster) = system.cluster.as_ref() else {
        return CheckReply::NotReady("it has not founded or joined a cluster yet".to_owned());
    };
    if request.name == engine.life.name && request.address == engine.life.advertise {
        return CheckReply::Yourself;
    }
    if request.cluster_id == Some(cluster.id) {
        return CheckReply::AlreadyMember { members: system.members.len() };
    }
    let namesake = system.member_named(&request.name).filter(|(id, _)| Some(*id) != request.replaces);
    // Who asks at a member's own address has not got its id: that one is lost, though it may still be a voter's.
    if let Some((lost, _)) = namesake.filter(|(_, member)| member.address == request.address) {
        engine.note_gone(lost);
    }
    let mut differences = mismatches(&engine.config.shared(), &request.settings, true);
    let ours = Fingerprint::of_tables(view.schema().tables().map(|table| table.def.as_ref()));
    let ours: Vec<(String, String)> =
        ours.pairs().map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
    differences.extend(mismatches(&ours, &request.tables, false));
    if !differences.is_empty() {
        return CheckReply::Incompatible(differences);
    }
    if let Some((id, member)) = namesake
        && lives(engine, id, &member.address).await
    {
        return CheckReply::NameTaken { by: member.address.clone() };
    }
    let leader = if engine.proves_leadership().await {
        Some((engine.node(), engine.life.advertise.clone()))
    } else {
        engine.leadership.borrow().leader()
    };
    if leader.is_none() {
        return CheckReply::NotReady("it knows no leader with a majority at the moment".to_owned());
    }
    CheckReply::Welcome {
        cluster_id: cluster.id,
        cluster_name: cluster.name.clone(),
        leader,
        members: system.members.len(),
    }
}

/// The keys on which `theirs` (the joiner) and `ours` do not agree, as the joiner will read them. A table that only
/// one side knows is no contradiction; a setting that only one side has is.
fn mismatches(ours: &[(String, String)], theirs: &[(String, String)], both_must_have: bool) -> Vec<Mismatch> {
    let find = |side: &[(String, String)], key: &str| {
        side.iter().find(|(k, _)| k == key).map(|(_, value)| value.clone())
    };
    let keys: std::collections::BTreeSet<&String> = ours.iter().chain(theirs).map(|(key, _)| key).collect();
    let differing = keys.into_iter().filter_map(|key| {
        let (our, their) = (find(ours, key), find(theirs, key));
        let contradicts = our != their && (both_must_have || (our.is_some() && their.is_some()));
        contradicts.then(|| Mismatch { key: key.clone(), ours: their, theirs: our })
    });
    differing.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn every_differing_setting_is_named_with_both_values() {
        let found = mismatches(&pairs(&[("a", "1"), ("b", "2")]), &pairs(&[("a", "1"), ("b", "3")]), true);
        let expected =
            Mismatch { key: "b".to_owned(), ours: Some("3".to_owned()), theirs: Some("2".to_owned()) };
        assert_eq!(found, vec![expected]);
    }

    #[test]
    fn a_table_that_only_one_side_declares_is_no_contradiction() {
        assert!(mismatches(&pairs(&[("t", "1")]), &[], false).is_empty());
        assert_eq!(mismatches(&pairs(&[("t", "1")]), &[], true).len(), 1);
    }
}

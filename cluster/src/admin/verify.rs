//! Comparing the copies of every table at one log index.

use std::sync::Arc;

use tabularaft_schema::{CopyMode, NodeId, NodeName, TableId};
use tabularaft_store::TableDigest;

use super::AdminError;
use super::answers::engine;
use super::document::{CopyDigest, TableVerdict, VerifyReport};
use crate::door;
use crate::engine::Engine;
use crate::inner::NodeInner;
use crate::wire::{Answer, Call};
use crate::write::{Op, Request};

/// How long a node may take to apply the barrier and digest its tables.
const DIGEST_MS: u64 = 120_000;
const BARRIER_LOOK_MS: u64 = 10;
const BARRIER_WAIT_MS: u64 = 30_000;

/// What is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DigestOf {
    /// Records with their versions: copies of one cluster must be equal in both.
    Copies,
    /// What the records say: what a backup or another cluster can be compared with.
    Content,
}

/// A member's digests, as far as it could be asked.
pub(super) struct MemberDigests {
    pub(super) name: NodeName,
    pub(super) tables: Option<Vec<(TableId, Option<TableDigest>)>>,
}

/// The digests of all members at one log index.
pub(super) async fn collect(
    node: &Arc<NodeInner>,
    of: DigestOf,
) -> Result<(u64, Vec<MemberDigests>), AdminError> {
    let engine = engine(node)?;
    let token = door::random_u64();
    let deadline = door::now() + node.config.write_timeout();
    let at = engine.write(Request::one(Op::Barrier { token }), deadline).await?.index;
    let view = engine.store.view();
    let members: Vec<(NodeId, NodeName, String)> = view
        .system()
        .members
        .iter()
        .map(|(id, member)| (*id, member.name.clone(), member.address.clone()))
        .collect();
    drop(view);
    let asked = members.into_iter().map(|(id, name, address)| {
        let engine = Arc::clone(&engine);
        async move {
            let answer = if id == engine.node() {
                digests(&engine, token, of).await
            } else {
                let call = match of {
                    DigestOf::Copies => Call::Digests { token },
                    DigestOf::Content => Call::ContentDigests { token },
                };
                let deadline = door::now() + door::ms(DIGEST_MS);
                engine
                    .peers
                    .call_until(&address, &call, deadline)
                    .await
                    .unwrap_or_else(|error| Answer::Failed(error.to_string()))
            };
            let tables = match answer {
                Answer::Digests(tables) => Some(tables),
                other => {
                    tracing::warn!(node = %name, ?other, "a member gave no digests");
                    None
                }
            };
            MemberDigests { name, tables }
        }
    });
    Ok((at.0, futures::future::join_all(asked).await))
}

/// `store-admin verify`.
pub(super) async fn all(node: &Arc<NodeInner>, of: DigestOf) -> Result<VerifyReport, AdminError> {
    let (log_index, members) = collect(node, of).await?;
    let view = engine(node)?.store.view();
    let unreachable =
        members.iter().filter(|member| member.tables.is_none()).map(|member| member.name.clone()).collect();
    let tables = view.schema().tables().filter(|table| !table.def.options.local_content).map(|table| {
        let copies: Vec<CopyDigest> = members
            .iter()
            .filter_map(|member| {
                let digest = digest_of(member, table.id)?;
                let mode = table.mode_on(&member.name).unwrap_or(CopyMode::Ram);
                Some(copy_digest(member.name.clone(), mode, &digest))
            })
            .collect();
        let equal = copies
            .windows(2)
            .all(|pair| matches!(pair, [a, b] if a.digest == b.digest && a.records == b.records));
        TableVerdict { table: table.def.name.clone(), equal, copies }
    });
    Ok(VerifyReport { log_index, tables: tables.collect(), unreachable })
}

pub(super) fn digest_of(member: &MemberDigests, table: TableId) -> Option<TableDigest> {
    member.tables.as_ref()?.iter().find(|(id, _)| *id == table).and_then(|(_, digest)| *digest)
}

fn copy_digest(node: NodeName, mode: CopyMode, digest: &TableDigest) -> CopyDigest {
    CopyDigest { node, mode, records: digest.records, digest: hex(digest) }
}

/// A digest as operators read it.
pub(super) fn hex(digest: &TableDigest) -> String {
    format!("{:032x}", digest.sum)
}

/// This node's digests at the barrier, once it has applied it.
pub(crate) async fn digests(engine: &Arc<Engine>, token: u64, of: DigestOf) -> Answer {
    let deadline = door::now() + door::ms(BARRIER_WAIT_MS);
    let view = loop {
        if let Some(view) = engine.store.barrier_view(token) {
            break view;
        }
        if door::now() >= deadline {
            return Answer::Failed("this node did not apply the barrier in time".to_owned());
        }
        door::sleep(door::ms(BARRIER_LOOK_MS)).await;
    };
    let computed = door::blocking(move || {
        let digest = |copy: &Arc<tabularaft_store::TableView>| {
            if !copy.is_ready() {
                return Ok((copy.id(), None));
            }
            let digest = match of {
                DigestOf::Copies => copy.digest(),
                DigestOf::Content => copy
                    .content_digest()
                    .map(|content| TableDigest { records: content.records, sum: content.sum }),
            };
            digest.map(|digest| (copy.id(), Some(digest)))
        };
        view.tables().map(digest).collect::<Result<Vec<_>, tabularaft_store::StoreError>>()
    });
    let answer = match computed.await {
        Ok(Ok(digests)) => Answer::Digests(digests),
        Ok(Err(error)) => Answer::Failed(error.to_string()),
        Err(error) => Answer::Failed(error.to_string()),
    };
    engine.store.release_barrier(token);
    answer
}

//! Going on without a majority: the one way in which a log grows that no leader has led.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::mpsc::sync_channel;
use std::time::Duration;

use bytes::Bytes;
use openraft::Membership;
use tabularaft_schema::NodeId;
use tabularaft_store::log::{Durability, LogEntry, LogError, OnDone, RaftLog};
use tabularaft_store::{Batch, Effect, Position};

use super::codec;
use super::log_store::to_io;
use super::types::{Entry, EntryPayload, Payload, Peer, Vote, log_id};

/// How long the log may take to write two entries.
const WRITE_TIMEOUT: Duration = Duration::from_secs(60);

/// Appends, to a log that nobody uses: a membership in which `node` is the only voter, and the given effects. Everything
/// in the log is committed from then on, whoever else had acknowledged it. Blocks, and is durable when it returns.
///
/// The entries are of a term that nobody has led, greater than every term that this log knows of. The vote comes first: a crash
/// behind it leaves a node that has voted for itself, and behind the entries, which are one write, all is done.
pub(crate) fn force(log: &RaftLog, node: NodeId, peer: Peer, effects: Vec<Effect>) -> io::Result<Position> {
    let voted: Option<Vote> = log.vote().map(|bytes| codec::decode(&bytes)).transpose()?;
    let last = log.bounds().last;
    let known = voted.map_or(0, |vote| vote.leader_id.term).max(last.map_or(0, |last| last.term));
    let term = known + 1;
    let vote: Bytes = codec::encode(&Vote::new_committed(term, node))?.into();
    wait_for(|done| log.save_vote(vote, done))?;

    let index = last.map_or(0, |last| last.index + 1);
    let (first, second) = (Position::new(term, index), Position::new(term, index + 1));
    let members = BTreeMap::from([(node, peer)]);
    let membership = Membership::new(vec![BTreeSet::from([node])], members).map_err(io::Error::other)?;
    let batch = Batch { term, decided: Vec::new(), effects, rests_on: None }.encode(true);
    let entries =
        [(first, EntryPayload::Membership(membership)), (second, EntryPayload::Normal(Payload(batch)))];
    let entries: Vec<(LogEntry, Durability)> = entries
        .into_iter()
        .map(|(at, payload)| codec::to_log(Entry { log_id: log_id(at), payload }))
        .collect::<io::Result<_>>()?;
    wait_for(|done| log.append(entries, done))?;
    log.set_committed(second);
    Ok(second)
}

fn wait_for(start: impl FnOnce(OnDone) -> Result<(), LogError>) -> io::Result<()> {
    let (done, wait) = sync_channel(1);
    start(Box::new(move |result| drop(done.send(result)))).map_err(to_io)?;
    wait.recv_timeout(WRITE_TIMEOUT).map_err(io::Error::other)?.map_err(to_io)
}

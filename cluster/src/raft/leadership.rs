//! Who leads, as this node sees it.

use super::types::TypeConfig;
use crate::door::simulation;
use crate::peers::Peers;
use crate::watch;
use std::sync::Arc;

type Metrics = openraft::RaftMetrics<TypeConfig>;

/// Who decides writes at this moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Leadership {
    /// This node, in this term, and it has applied its own first entry: it knows everything decided before.
    Leading { term: u64 },
    /// Another node (its id and address), or nobody that this node knows of.
    Following { leader: Option<(u64, String)> },
}

impl Leadership {
    /// The other node that leads.
    pub(crate) fn leader(&self) -> Option<(u64, String)> {
        match self {
            Leadership::Leading { .. } => None,
            Leadership::Following { leader } => leader.clone(),
        }
    }

    fn of(metrics: &Metrics, peers: &Peers) -> Self {
        let own_entry_applied =
            metrics.last_applied.is_some_and(|id| id.leader_id.term == metrics.current_term);
        if metrics.state.is_leader() && own_entry_applied {
            return Leadership::Leading { term: metrics.current_term };
        }
        let leader = metrics.current_leader.filter(|leader| *leader != metrics.id).map(|leader| {
            let node = metrics.membership_config.membership().get_node(&leader);
            let address = peers.address_of(leader).or_else(|| node.map(|peer| peer.address.clone()));
            (leader, address.unwrap_or_default())
        });
        Leadership::Following { leader }
    }
}

/// How often an address is looked up again that may have changed without anything else.
const LOOK_AGAIN_MS: u64 = 100;

/// Turns openraft's metrics into changes of leadership, until openraft stops.
pub(super) async fn watch(
    raft: openraft::Raft<TypeConfig, super::state_machine::StateMachine>,
    peers: Arc<Peers>,
    leadership: watch::Sender<Leadership>,
) {
    use openraft::async_runtime::watch::WatchReceiver;
    let (mut metrics, mut server) = (raft.metrics(), raft.server_metrics());
    loop {
        let (now, is_settled) = {
            let (metrics, server) = (metrics.borrow_and_update(), server.borrow_and_update());
            let now = Leadership::of(&metrics, &peers);
            let is_shown = metrics.vote == server.vote && metrics.state == server.state;
            let is_ready = matches!(now, Leadership::Leading { .. }) || !metrics.state.is_leader();
            (now, is_shown && is_ready)
        };
        leadership.send_if_modified(|last| {
            let changed = *last != now;
            if changed {
                tracing::info!(leadership = ?now, "leadership changed");
                if matches!(now, Leadership::Leading { .. }) {
                    simulation::count("election");
                }
                *last = now;
            }
            changed
        });
        // What metrics say of single entries changes many times for each: who waits for that is woken as often.
        let changed = match is_settled {
            false => metrics.changed().await,
            true => crate::door::until(crate::door::now() + crate::door::ms(LOOK_AGAIN_MS), server.changed())
                .await
                .unwrap_or(Ok(())),
        };
        if changed.is_err() {
            leadership.send_replace(Leadership::Following { leader: None });
            return;
        }
    }
}

//! The node that a backup or a restore asks: this one, or one at the other end of a connection.

use std::sync::Arc;

use crate::admin::protocol::{AdminReply, AdminRequest};
use crate::admin::{self, AdminClient, AdminError};
use crate::inner::NodeInner;

/// Who answers the requests.
#[derive(Clone, Copy)]
pub(crate) enum Asked<'a> {
    /// The node of this process.
    Here(&'a Arc<NodeInner>),
    /// A node that is connected.
    There(&'a AdminClient),
}

impl Asked<'_> {
    pub(super) async fn ask(&self, request: AdminRequest) -> Result<AdminReply, AdminError> {
        match self {
            Asked::Here(node) => admin::answer(node, request).await,
            Asked::There(client) => client.ask(&request).await,
        }
    }
}

/// An answer that does not fit its request.
pub(super) fn unexpected(reply: &AdminReply) -> AdminError {
    tracing::debug!(?reply, "unexpected administrative reply");
    AdminError::internal("the node gave an answer that does not fit the request: use the node's own version")
}

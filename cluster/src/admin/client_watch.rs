//! Watching, asked for.

use super::client::AdminClient;
use super::error::AdminError;
use super::protocol::{AdminReply, AdminRequest};
use super::watched::{WatchPage, WatchRequest};

impl AdminClient {
    /// The next changes of a watch, as soon as there are any, or an empty page after a while. The place that a page ends
    /// with goes into the next request; nothing else connects the two, so that a watch survives a lost connection, a
    /// restart of either side, and a change of node.
    ///
    /// # Errors
    ///
    /// [`Refused`](super::AdminErrorKind::Refused) when the changes are not kept any more.
    pub async fn watch(&self, request: &WatchRequest) -> Result<WatchPage, AdminError> {
        // The answer must come before the patience for it is over.
        let patience_ms = u32::try_from(self.timeout().as_millis() / 2).unwrap_or(u32::MAX);
        let request = WatchRequest { wait_ms: request.wait_ms.min(patience_ms), ..request.clone() };
        match self.ask(&AdminRequest::Watch(request)).await? {
            AdminReply::Watched(page) => Ok(page),
            other => Err(self.unexpected(&other)),
        }
    }
}

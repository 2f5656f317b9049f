//! The one reply to one request.

use std::{fmt, mem, sync::Arc};

use bytes::Bytes;

use super::{
    CallRefusal,
    frame::{Frame, FrameKind},
    outbox::Outbox,
};

/// The way back to the caller of one request. It may be moved anywhere and used at any time, in any order.
///
/// A reply that is dropped unused tells the caller [`CallRefusal::NoAnswer`], so no caller waits for ever.
#[must_use = "dropping a reply tells the caller that there is no answer"]
pub struct Reply {
    /// `None` once the reply was given.
    outbox: Option<Arc<Outbox>>,
    id: u64,
    payload_bytes_max: usize,
}

impl Reply {
    pub(crate) fn new(outbox: Arc<Outbox>, id: u64, payload_bytes_max: usize) -> Self {
        Self { outbox: Some(outbox), id, payload_bytes_max }
    }

    /// Answers the request. Never blocks; when the connection has ended, the reply goes nowhere.
    ///
    /// A payload larger than a frame may be is replaced by [`CallRefusal::ReplyTooLarge`].
    pub fn send(mut self, payload: Bytes) {
        if payload.len() > self.payload_bytes_max {
            let bytes = payload.len() as u64;
            self.push_refusal(&CallRefusal::ReplyTooLarge { bytes, limit: self.payload_bytes_max as u64 });
        } else {
            self.push(FrameKind::Reply, payload);
        }
    }

    /// Tells the caller why there is no reply.
    pub fn refuse(mut self, refusal: &CallRefusal) {
        self.push_refusal(refusal);
    }

    fn push_refusal(&mut self, refusal: &CallRefusal) {
        let payload = postcard::to_stdvec(refusal).unwrap_or_default();
        self.push(FrameKind::NoReply, payload.into());
    }

    fn push(&mut self, kind: FrameKind, payload: Bytes) {
        if let Some(outbox) = mem::take(&mut self.outbox) {
            // An ended connection has told the caller already that the outcome is unknown.
            let _ = outbox.push(Frame { kind, id: self.id, payload });
        }
    }
}

impl Drop for Reply {
    fn drop(&mut self) {
        if self.outbox.is_some() {
            self.push_refusal(&CallRefusal::NoAnswer);
        }
    }
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reply").field("id", &self.id).finish_non_exhaustive()
    }
}

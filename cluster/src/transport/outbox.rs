//! What waits to be written on one connection.

use std::{
    mem,
    sync::{Mutex, MutexGuard, PoisonError},
};

use tokio::sync::Notify;

use super::{Closed, TransportConfig, frame::Frame};
use crate::watch;

/// The bounded queue between those who send on a connection and the task that writes it, and the place where the end
/// of the connection is recorded once for all who take part in it.
///
/// Invariant: once the state is not [`State::Open`], no frame is added.
pub(crate) struct Outbox {
    queue: Mutex<Queue>,
    /// Wakes the writer; it is the only one who waits for it.
    filled: Notify,
    /// Wakes the one who waits for room: on a client the sender whose turn it is, on a server the reader.
    drained: Notify,
    state: watch::Sender<State>,
    queue_bytes: usize,
    max_unanswered: usize,
}

#[derive(Default)]
struct Queue {
    frames: Vec<Frame>,
    bytes: usize,
    /// Requests of this connection that have no reply yet.
    unanswered: usize,
    /// All requests up to this id have been handed to the socket, at least in part.
    taken_through: u64,
    /// Nothing may be added any more.
    ended: bool,
}

/// How far a connection is in its life; it only moves downwards.
#[derive(Clone, Debug)]
enum State {
    Open,
    /// What is queued will be written, then the connection ends.
    Finishing,
    Closed(Closed),
}

impl State {
    fn reason(&self) -> Option<&Closed> {
        match self {
            Self::Closed(why) => Some(why),
            Self::Open | Self::Finishing => None,
        }
    }
}

impl Outbox {
    pub(crate) fn new(config: &TransportConfig) -> Self {
        Self {
            queue: Mutex::default(),
            filled: Notify::new(),
            drained: Notify::new(),
            state: watch::Sender::new(State::Open),
            queue_bytes: config.queue_bytes,
            max_unanswered: config.max_unanswered,
        }
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        // No code panics while it holds the lock, so a poisoned queue is still a consistent one.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a frame, whether or not there is room: those who must respect the limits ask [`Self::has_room`] before.
    ///
    /// # Errors
    ///
    /// Why the connection ended; the frame was not and will not be sent.
    pub(crate) fn push(&self, frame: Frame) -> Result<(), Closed> {
        let mut queue = self.queue();
        if queue.ended {
            drop(queue);
            return Err(self.reason().unwrap_or(Closed::Here));
        }
        queue.bytes += frame.size();
        queue.frames.push(frame);
        // The writer always takes the whole queue, so only the first frame has to wake it.
        let wake = queue.frames.len() == 1;
        drop(queue);
        if wake {
            self.filled.notify_one();
        }
        Ok(())
    }

    /// Counts a request that needs a reply.
    pub(crate) fn asked(&self) {
        self.queue().unanswered += 1;
    }

    /// Counts `replies` that were given.
    pub(crate) fn answered(&self, replies: usize) {
        let mut queue = self.queue();
        let was_full = queue.unanswered >= self.max_unanswered;
        queue.unanswered = queue.unanswered.saturating_sub(replies);
        drop(queue);
        if was_full {
            self.drained.notify_one();
        }
    }

    /// Whether another request may be sent (client) or read (server).
    pub(crate) fn has_room(&self) -> bool {
        let queue = self.queue();
        queue.bytes < self.queue_bytes && queue.unanswered < self.max_unanswered
    }

    /// Waits until [`Self::has_room`] or the connection's end. At most one task may wait at a time.
    ///
    /// # Cancel safety
    ///
    /// Safe: it changes nothing.
    pub(crate) async fn room(&self) {
        while !self.has_room() && !self.has_ended() {
            self.drained.notified().await;
        }
    }

    /// Waits for frames and swaps all of them into `batch`, which must be empty; `false` when there will be no more.
    ///
    /// # Cancel safety
    ///
    /// Safe: frames are taken only when the future is ready.
    pub(crate) async fn take(&self, batch: &mut Vec<Frame>) -> bool {
        loop {
            {
                let mut queue = self.queue();
                if let Some(last) = queue.frames.last() {
                    queue.taken_through = last.id;
                    mem::swap(&mut queue.frames, batch);
                    let was_full = mem::take(&mut queue.bytes) >= self.queue_bytes;
                    drop(queue);
                    if was_full {
                        self.drained.notify_one();
                    }
                    return true;
                }
                if queue.ended {
                    return false;
                }
            }
            self.filled.notified().await;
        }
    }

    /// Whether the request with this id may have reached the peer.
    pub(crate) fn may_have_sent(&self, id: u64) -> bool {
        id <= self.queue().taken_through
    }

    /// Ends the connection in good order: what is queued is still written.
    pub(crate) fn finish(&self) {
        self.queue().ended = true;
        self.state.send_if_modified(|state| {
            let open = matches!(state, State::Open);
            if open {
                *state = State::Finishing;
            }
            open
        });
        self.wake_all();
    }

    /// Ends the connection now, and says what counts as the reason: the first one given, or this side's own wish if it
    /// has asked for the end before, however the socket took it.
    pub(crate) fn close(&self, why: Closed) -> Closed {
        {
            let mut queue = self.queue();
            queue.ended = true;
            queue.frames.clear();
            queue.bytes = 0;
        }
        let mut reason = why;
        self.state.send_if_modified(|state| {
            match state {
                State::Open => {}
                State::Finishing => reason = Closed::Here,
                State::Closed(first) => {
                    reason = first.clone();
                    return false;
                }
            }
            *state = State::Closed(reason.clone());
            true
        });
        self.wake_all();
        reason
    }

    fn wake_all(&self) {
        self.filled.notify_one();
        self.drained.notify_one();
    }

    /// Whether the connection has ended, or is about to.
    pub(crate) fn has_ended(&self) -> bool {
        self.queue().ended
    }

    /// How the connection ended, if it has.
    pub(crate) fn reason(&self) -> Option<Closed> {
        self.state.borrow().reason().cloned()
    }

    /// Waits until somebody wants the connection to end, in good order or not.
    pub(crate) async fn finishing(&self) {
        let mut state = self.state.subscribe();
        // The sender lives in `self`, so waiting cannot fail.
        let _ = state.wait_for(|state| !matches!(state, State::Open)).await;
    }

    /// Waits for the end of the connection.
    pub(crate) async fn closed(&self) -> Closed {
        let mut state = self.state.subscribe();
        let ended = state.wait_for(|state| state.reason().is_some()).await;
        ended.ok().and_then(|state| state.reason().cloned()).unwrap_or(Closed::Here)
    }
}

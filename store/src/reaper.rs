//! The thread that frees large structures, so that the writer does not.

use std::sync::Arc;

use crossbeam::channel::{Receiver, Sender, TryRecvError, bounded};

use crate::memory::OrderedMap;
use crate::table_state::{Body, TableState};
use crate::threads::{Running, Threads, Turn, Worker};
use crate::view::View;

/// How much may wait to be freed. At the limit whoever lets go of something frees it.
const WAITING_MAX: usize = 256;

/// What nobody needs any more.
pub(crate) enum Garbage {
    /// A view that may be the last to hold a dropped table.
    View(#[expect(dead_code, reason = "it is held to be dropped")] Arc<View>),
    /// A table that this node no longer holds.
    Table(#[expect(dead_code, reason = "it is held to be dropped")] Box<TableState>),
    /// The records of a table that are kept elsewhere now.
    Body(#[expect(dead_code, reason = "it is held to be dropped")] Box<Body>),
    /// The entries of an index that nobody wants any more.
    Index(#[expect(dead_code, reason = "it is held to be dropped")] OrderedMap),
    /// The end.
    Stop,
}

/// The handle to the thread.
pub(crate) struct Reaper {
    sender: Sender<Garbage>,
}

/// What the thread does.
struct Reaping {
    receiver: Receiver<Garbage>,
}

impl Reaper {
    pub(crate) fn start(threads: &dyn Threads) -> std::io::Result<(Self, Box<dyn Running>)> {
        let (sender, receiver) = bounded(WAITING_MAX);
        let running = threads.start("tabularaft-reaper", Box::new(Reaping { receiver }))?;
        Ok((Self { sender }, running))
    }

    pub(crate) fn take(&self, garbage: Garbage) {
        if let Err(refused) = self.sender.try_send(garbage) {
            drop(refused);
        }
    }

    pub(crate) fn stop(&self, running: &dyn Running) {
        // A full channel is only waited for while the thread frees what is in it.
        running.help();
        let _ = self.sender.send(Garbage::Stop);
    }
}

impl Worker for Reaping {
    fn turn(&mut self, waits: bool) -> Turn {
        let received = if waits {
            self.receiver.recv().map_err(|_| TryRecvError::Disconnected)
        } else {
            self.receiver.try_recv()
        };
        match received {
            Ok(Garbage::Stop) | Err(TryRecvError::Disconnected) => Turn::Ended,
            Err(TryRecvError::Empty) => Turn::Idle,
            Ok(garbage) => {
                drop(garbage);
                Turn::Worked
            }
        }
    }
}

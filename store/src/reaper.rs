//! The thread that frees large structures, so that the writer does not.

use std::sync::Arc;
use std::thread::JoinHandle;

use crossbeam::channel::{Receiver, Sender, bounded};

use crate::table_state::{Body, TableState};
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
    /// The end.
    Stop,
}

/// The handle to the thread.
pub(crate) struct Reaper {
    sender: Sender<Garbage>,
}

impl Reaper {
    pub(crate) fn start() -> std::io::Result<(Self, JoinHandle<()>)> {
        let (sender, receiver) = bounded(WAITING_MAX);
        let thread =
            std::thread::Builder::new().name("tabularaft-reaper".to_owned()).spawn(move || run(&receiver))?;
        Ok((Self { sender }, thread))
    }

    pub(crate) fn take(&self, garbage: Garbage) {
        if let Err(refused) = self.sender.try_send(garbage) {
            drop(refused);
        }
    }

    pub(crate) fn stop(&self) {
        // A full channel is only waited for while the thread frees what is in it.
        let _ = self.sender.send(Garbage::Stop);
    }
}

fn run(receiver: &Receiver<Garbage>) {
    while let Ok(garbage) = receiver.recv() {
        match garbage {
            Garbage::Stop => return,
            garbage => drop(garbage),
        }
    }
}

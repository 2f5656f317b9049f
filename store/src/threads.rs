//! The narrow door to threads: what the store does beside its callers.
//!
//! In production each worker has a thread of its own. A simulation, which must run the same way each time, has none: it
//! lets each worker work in its turn.

use std::fmt;
use std::io;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::thread::{self, JoinHandle, ThreadId};

use crate::error::StoreError;

/// What came of a worker's turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// It did a piece of its work; there may be more.
    Worked,
    /// There was nothing to do.
    Idle,
    /// It is done for good.
    Ended,
}

/// Work that is done piece by piece, in the order in which it comes.
pub trait Worker: Send + 'static {
    /// Does the next piece of the work. If there is none it waits for it, or, unless `waits`, returns [`Turn::Idle`] at
    /// once.
    ///
    /// MUST NOT be called again after [`Turn::Ended`].
    fn turn(&mut self, waits: bool) -> Turn;
}

/// Starts workers.
pub trait Threads: fmt::Debug + Send + Sync + 'static {
    /// Lets a worker work until it has ended.
    ///
    /// # Errors
    /// There is no thread to be had.
    fn start(&self, name: &'static str, worker: Box<dyn Worker>) -> io::Result<Box<dyn Running>>;
}

/// A worker that was started.
pub trait Running: Send + Sync + 'static {
    /// Is called before somebody waits for the worker, in case it works only when it is helped.
    fn help(&self);

    /// Waits until the worker has ended. Calling again does nothing, and so does a call out of the worker itself.
    fn join(&self);

    /// Whether the caller is the worker, in the middle of its turn.
    fn is_current(&self) -> bool;

    /// Whether others may do a piece of its work in its place while it has nothing to do. No where the pace of the work
    /// is what matters, as in a simulation.
    fn may_be_stood_in_for(&self) -> bool {
        true
    }
}

/// Does two pieces of work side by side, one of them in a thread of its own.
///
/// # Errors
/// There is no thread to be had, or the work in it has panicked.
pub(crate) fn both<A, B: Send + 'static>(
    threads: &dyn Threads,
    name: &'static str,
    here: impl FnOnce() -> A,
    there: impl FnOnce() -> B + Send + 'static,
) -> Result<(A, B), StoreError> {
    let (done, result) = sync_channel(1);
    let running = threads.start(name, Box::new(Once { work: Some(there), done }));
    let running = running.map_err(StoreError::from_io)?;
    let here = here();
    running.join();
    Ok((here, result.try_recv().map_err(|_| StoreError::Panicked)?))
}

/// Work that is done in one turn.
struct Once<F, B> {
    work: Option<F>,
    done: SyncSender<B>,
}

impl<F: FnOnce() -> B + Send + 'static, B: Send + 'static> Worker for Once<F, B> {
    fn turn(&mut self, _waits: bool) -> Turn {
        if let Some(work) = self.work.take() {
            // The receiver is gone only if the other piece of work has panicked.
            let _ = self.done.try_send(work());
        }
        Turn::Ended
    }
}

/// The threads of the operating system.
#[derive(Debug, Clone, Copy, Default)]
pub struct OsThreads;

struct OsThread {
    id: ThreadId,
    /// Taken by whoever joins it.
    handle: Mutex<Option<JoinHandle<()>>>,
}

impl Threads for OsThreads {
    fn start(&self, name: &'static str, mut worker: Box<dyn Worker>) -> io::Result<Box<dyn Running>> {
        let work = move || while worker.turn(true) != Turn::Ended {};
        let handle = thread::Builder::new().name(name.to_owned()).spawn(work)?;
        Ok(Box::new(OsThread { id: handle.thread().id(), handle: Mutex::new(Some(handle)) }))
    }
}

impl Running for OsThread {
    fn help(&self) {}

    fn join(&self) {
        if self.is_current() {
            return;
        }
        let mut handle = self.handle.lock().unwrap_or_else(PoisonError::into_inner);
        if handle.take().is_some_and(|handle| handle.join().is_err()) {
            tracing::error!("a thread of the store panicked");
        }
    }

    fn is_current(&self) -> bool {
        self.id == thread::current().id()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::Receiver;

    use super::*;

    struct Countdown {
        left: u32,
        go: Receiver<()>,
    }

    impl Worker for Countdown {
        fn turn(&mut self, waits: bool) -> Turn {
            let came = if waits { self.go.recv().is_ok() } else { self.go.try_recv().is_ok() };
            if !came {
                return Turn::Idle;
            }
            self.left -= 1;
            if self.left == 0 { Turn::Ended } else { Turn::Worked }
        }
    }

    #[test]
    fn a_worker_with_a_thread_works_until_it_has_ended() {
        let (sender, go) = sync_channel(2);
        let running = OsThreads.start("countdown", Box::new(Countdown { left: 2, go })).unwrap();
        assert!(!running.is_current());
        sender.send(()).unwrap();
        sender.send(()).unwrap();
        running.join();
        running.join();
        assert!(sender.send(()).is_err(), "the worker is gone");
    }

    #[test]
    fn both_pieces_of_work_are_done_and_a_panic_in_the_thread_is_told() {
        assert_eq!(both(&OsThreads, "other", || 1, || "two").unwrap(), (1, "two"));
        let panicked: Result<(i32, ()), _> = both(&OsThreads, "other", || 1, || panic!("on purpose"));
        assert!(matches!(panicked, Err(StoreError::Panicked)), "{panicked:?}");
    }
}

//! What clients asked and were told, in order, and as JSON lines for any checker.
//!
//! One object a line, `{"time":1200,"process":3,"type":"invoke","f":"txn","value":[["append","x",1],["r","x",null]]}`;
//! `type` is `invoke`, then `ok` (it happened between the two), `fail` (it did not and never will) or `info` (not
//! known). Times are nanoseconds of one clock, taken before sending and after receiving. What the process `nemesis` did
//! are the faults.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use serde_json::{Value as Json, json};

use crate::checker::{Mop, Outcome, Txn};

/// The environment variable that names the folder for histories.
const HISTORY_DIR: &str = "HISTORY_DIR";

/// A history that is being written.
pub struct History {
    began: Instant,
    next_process: AtomicU64,
    written: Mutex<Written>,
    path: PathBuf,
    /// Keeps the folder until the history is dropped, if it is a temporary one.
    _folder: Option<tempfile::TempDir>,
}

struct Written {
    file: BufWriter<File>,
    txns: Vec<Txn>,
}

/// An operation that was begun.
pub struct Begun {
    process: u64,
    time: u64,
}

impl History {
    /// Begins a history of this name, in the folder that `HISTORY_DIR` names, or else in a temporary one.
    ///
    /// # Panics
    ///
    /// When the file cannot be written.
    pub fn begin(name: &str) -> Self {
        Self::begin_in(std::env::var_os(HISTORY_DIR).map(PathBuf::from), name)
    }

    /// As [`History::begin`], in this folder; `None`: in a temporary one, which is kept as long as the history.
    ///
    /// # Panics
    ///
    /// When the file cannot be written.
    pub fn begin_in(folder: Option<PathBuf>, name: &str) -> Self {
        let (folder, temporary) = match folder {
            Some(folder) => (folder, None),
            None => {
                let folder = tempfile::tempdir().expect("the system has a place for temporary files");
                (folder.path().to_owned(), Some(folder))
            }
        };
        std::fs::create_dir_all(&folder).expect("the folder of histories can be made");
        let path = folder.join(format!("{name}.jsonl"));
        let file = BufWriter::new(File::create(&path).expect("the history can be written"));
        Self {
            began: Instant::now(),
            next_process: AtomicU64::new(0),
            written: Mutex::new(Written { file, txns: Vec::new() }),
            path,
            _folder: temporary,
        }
    }

    /// Where it is written.
    pub fn path(&self) -> &PathBuf {
        &self.path
    }

    /// A number for a client. One whose request has an unknown outcome goes on under a new number.
    pub fn new_process(&self) -> u64 {
        self.next_process.fetch_add(1, Ordering::SeqCst)
    }

    /// Notes a fault.
    pub fn fault(&self, what: &str) {
        self.line(
            json!({"time": self.now(), "process": "nemesis", "type": "info", "f": "fault", "value": what}),
        );
    }

    /// Notes that a client begins a transaction; to be called before anything is sent.
    pub fn invoke(&self, process: u64, mops: &[Mop]) -> Begun {
        let time = self.now();
        self.txn_line(time, process, "invoke", mops);
        Begun { process, time }
    }

    /// Notes what the client was told; to be called after everything was received.
    pub fn complete(&self, begun: Begun, outcome: Outcome, mops: Vec<Mop>) {
        let time = self.now();
        let kind = match outcome {
            Outcome::Ok => "ok",
            Outcome::Fail => "fail",
            Outcome::Info => "info",
        };
        self.txn_line(time, begun.process, kind, &mops);
        let completed = (outcome == Outcome::Ok).then_some(time);
        let txn = Txn { process: begun.process, mops, outcome, invoked: begun.time, completed };
        self.lock().txns.push(txn);
    }

    /// All transactions that were begun and completed, for the checker.
    ///
    /// # Panics
    ///
    /// When the file cannot be written.
    pub fn finish(&self) -> Vec<Txn> {
        let mut written = self.lock();
        written.file.flush().expect("the history can be written");
        std::mem::take(&mut written.txns)
    }

    fn txn_line(&self, time: u64, process: u64, kind: &str, mops: &[Mop]) {
        let value: Vec<Json> = mops.iter().map(Mop::to_json).collect();
        self.line(json!({"time": time, "process": process, "type": kind, "f": "txn", "value": value}));
    }

    fn line(&self, line: Json) {
        writeln!(self.lock().file, "{line}").expect("the history can be written");
    }

    fn now(&self) -> u64 {
        self.began.elapsed().as_nanos() as u64
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Written> {
        self.written.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

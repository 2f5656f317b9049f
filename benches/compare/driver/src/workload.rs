//! What is measured, in words that all peers understand.

use crate::peers::Peer;
use compare_lines::Line;

/// Some workloads on the same nodes and tables.
#[derive(Debug, Clone)]
pub struct Scene {
    /// The heading of its table.
    pub title: &'static str,
    /// Which word of `--only` chooses it.
    pub group: Group,
    /// How many nodes each peer has.
    pub nodes: usize,
    /// Whether peers that can be set so sync their log before they answer.
    pub synced: bool,
    /// Tables that are created and filled first.
    pub tables: Vec<Table>,
    /// Which nodes have callers.
    pub callers_on: CallersOn,
    /// What is then run, in turns.
    pub workloads: Vec<Workload>,
}

/// What a part of the comparison is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Group {
    /// Reads of a node's own copy.
    Reads,
    /// Single writes, and read-modify-write, on three nodes.
    Writes,
    /// The bank.
    Tpcb,
    /// The register of subscribers.
    Telecom,
    /// Copies, restarts and memory of a large table.
    Load,
}

/// Where callers are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallersOn {
    /// On the leader, where the peer has one.
    Leader,
    /// As many on each node.
    EveryNode,
}

/// A table of some peers.
#[derive(Debug, Clone)]
pub struct Table {
    /// Its name.
    pub name: &'static str,
    /// `ram` or `disc`, for peers that tell these apart.
    pub copy: &'static str,
    /// How many records it is filled with.
    pub records: u64,
    /// Further fields of the commands that are about it.
    pub fields: &'static [(&'static str, u64)],
    /// Who has it.
    pub peers: &'static [Peer],
}

/// One thing that is measured with every contender.
#[derive(Debug, Clone)]
pub struct Workload {
    /// How its row is called.
    pub title: String,
    /// What is compared.
    pub measure: Measure,
    /// The command without the contender's own fields.
    pub command: Line,
    /// Records that one call is about; rates are of records.
    pub records_per_call: f64,
    /// Who takes part.
    pub contenders: Vec<Contender>,
}

impl Workload {
    /// The command for one contender's run, whose callers have numbers from `first`.
    pub fn command_of(&self, contender: &Contender, seconds: f64, first: usize) -> Line {
        let command = self.command.clone().with("seconds", seconds).with("first", first);
        let command = command.with("table", contender.table);
        if contender.form.is_empty() { command } else { command.with("form", contender.form) }
    }
}

/// What of the figures is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Measure {
    /// Calls per second.
    Rate,
    /// The median time of a call.
    Latency,
    /// Seconds of something that is done once.
    Seconds,
    /// Bytes of memory.
    Bytes,
}

/// A peer, and how it goes about the workload.
#[derive(Debug, Clone, Copy)]
pub struct Contender {
    /// The peer.
    pub peer: Peer,
    /// The table it uses.
    pub table: &'static str,
    /// Which of its ways it is, where it has several; empty otherwise.
    pub form: &'static str,
    /// How many times better Tabularaft aims to be.
    pub aim: Option<f64>,
    /// What to know about the figure, in a few words.
    pub remark: &'static str,
}

impl Contender {
    /// This peer on this table.
    pub const fn new(peer: Peer, table: &'static str) -> Self {
        Self { peer, table, form: "", aim: None, remark: "" }
    }

    /// In this way.
    pub const fn form(self, form: &'static str) -> Self {
        Self { form, ..self }
    }

    /// Tabularaft aims to be this many times better.
    pub const fn aim(self, aim: f64) -> Self {
        Self { aim: Some(aim), ..self }
    }

    /// With this to know about it.
    pub const fn remark(self, remark: &'static str) -> Self {
        Self { remark, ..self }
    }

    /// How it is called in the tables.
    pub fn label(&self) -> String {
        if self.remark.is_empty() { self.peer.to_string() } else { format!("{}: {}", self.peer, self.remark) }
    }
}

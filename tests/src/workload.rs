//! Writers that know afterwards what must be there, what may be there, and what must not.

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tabularaft::{Node, Record, Sum, Table, WriteError};
use tokio::task::JoinHandle;

use crate::cluster::TestCluster;
use crate::tables::{DiscCount, DiscEvent, RamCount, RamEvent};
use crate::wait::{PATIENCE, eventually};

/// How long a writer waits after a write that certainly did not happen.
const AFTER_REFUSAL: Duration = Duration::from_millis(5);

/// A record of a bag that is written once: whose it is, and which of theirs.
pub trait Event: Record<Key = String> + Clone + Debug {
    /// The record.
    fn new(writer: &str, number: u64) -> Self;
    /// Which it is.
    fn number(&self) -> u64;
}

/// A record of a set in whose field `value` a writer counts.
pub trait Count: Record<Key = String> + Clone + Debug {
    /// The record of a writer that has not counted yet.
    fn zero(writer: &str) -> Self;
    /// How far it has counted.
    fn value(&self) -> u64;
}

macro_rules! workload_tables {
    ($event:ident, $count:ident) => {
        impl Event for $event {
            fn new(writer: &str, number: u64) -> Self {
                Self { writer: writer.to_owned(), number }
            }

            fn number(&self) -> u64 {
                self.number
            }
        }

        impl Count for $count {
            fn zero(writer: &str) -> Self {
                Self { writer: writer.to_owned(), value: 0 }
            }

            fn value(&self) -> u64 {
                self.value
            }
        }
    };
}

workload_tables!(RamEvent, RamCount);
workload_tables!(DiscEvent, DiscCount);

/// Writers that run until they are told to stop. Each adds records of its own to a bag, and to a counter of its own.
pub struct Writers {
    stop: Arc<AtomicBool>,
    acknowledged: Arc<AtomicU64>,
    tasks: Vec<JoinHandle<Tally>>,
}

impl Writers {
    /// Starts one writer for each number in `through`, which is the node that it writes through. The tables must exist.
    ///
    /// # Panics
    ///
    /// When the node cannot open the tables.
    pub fn start<E: Event, C: Count>(cluster: &TestCluster, through: &[usize]) -> Self {
        let (stop, acknowledged) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let writer = |(number, at): (usize, &usize)| {
            let node = cluster[*at].node();
            let writer = Writer::<E, C> {
                tally: Tally::new(format!("writer {number} at {}", node.name())),
                events: node.table().expect("the table of events exists"),
                counts: node.table().expect("the table of counts exists"),
                acknowledged: Arc::clone(&acknowledged),
            };
            tokio::spawn(writer.run(Arc::clone(&stop)))
        };
        let tasks = through.iter().enumerate().map(writer).collect();
        Self { stop, acknowledged, tasks }
    }

    /// Waits until so many more writes have been acknowledged to the writers together.
    ///
    /// # Panics
    ///
    /// When that takes too long.
    pub async fn wait_for_more(&self, writes: u64) {
        let wanted = self.acknowledged.load(Ordering::SeqCst) + writes;
        let enough = || self.acknowledged.load(Ordering::SeqCst) >= wanted;
        eventually(&format!("{writes} more writes are acknowledged"), PATIENCE, enough).await;
    }

    /// Tells the writers to stop, and waits until each has the outcome of its last write.
    ///
    /// # Panics
    ///
    /// When a writer did, because it was told something that cannot be.
    pub async fn stop(self) -> Vec<Tally> {
        self.stop.store(true, Ordering::SeqCst);
        let mut tallies = Vec::new();
        for task in self.tasks {
            tallies.push(task.await.expect("the writer was told nothing impossible"));
        }
        tallies
    }
}

struct Writer<E, C> {
    tally: Tally,
    events: Table<E>,
    counts: Table<C>,
    acknowledged: Arc<AtomicU64>,
}

impl<E: Event, C: Count> Writer<E, C> {
    async fn run(mut self, stop: Arc<AtomicBool>) -> Tally {
        let mut last = Instant::now();
        for number in 1.. {
            if stop.load(Ordering::SeqCst) {
                break;
            }
            let added = self.add_event(number).await;
            let counted = self.count().await;
            if added || counted {
                self.tally.longest_gap = self.tally.longest_gap.max(last.elapsed());
                last = Instant::now();
            } else {
                tokio::time::sleep(AFTER_REFUSAL).await;
            }
        }
        self.tally
    }

    async fn add_event(&mut self, number: u64) -> bool {
        let outcome = self.events.insert(&E::new(&self.tally.writer, number)).await;
        match &outcome {
            Ok(_) => self.tally.acknowledged.insert(number),
            Err(WriteError::Unknown) => self.tally.unknown.insert(number),
            Err(_) => self.tally.refused.insert(number),
        };
        self.noted(outcome.is_ok())
    }

    async fn count(&mut self) -> bool {
        let zero = C::zero(&self.tally.writer);
        let outcome = self.counts.add(&self.tally.writer, "value", 1, Some(&zero)).await;
        match &outcome {
            Ok(Sum::Unsigned(sum)) => {
                let tally = &mut self.tally;
                let before = tally.counted..=tally.counted + tally.maybe_counted;
                assert!(
                    before.contains(&(sum - 1)),
                    "{}: the count is {sum}, it was in {before:?}",
                    tally.writer
                );
                tally.counted += 1;
            }
            Ok(other) => panic!("a count of an unsigned field came to {other:?}"),
            Err(WriteError::Unknown) => self.tally.maybe_counted += 1,
            Err(_) => {}
        }
        self.noted(outcome.is_ok())
    }

    fn noted(&self, acknowledged: bool) -> bool {
        if acknowledged {
            self.acknowledged.fetch_add(1, Ordering::SeqCst);
        }
        acknowledged
    }
}

/// What a writer was told about its writes.
#[derive(Debug)]
pub struct Tally {
    writer: String,
    acknowledged: BTreeSet<u64>,
    unknown: BTreeSet<u64>,
    refused: BTreeSet<u64>,
    counted: u64,
    maybe_counted: u64,
    /// The longest time between two acknowledged writes.
    pub longest_gap: Duration,
}

impl Tally {
    fn new(writer: String) -> Self {
        Self {
            writer,
            acknowledged: BTreeSet::new(),
            unknown: BTreeSet::new(),
            refused: BTreeSet::new(),
            counted: 0,
            maybe_counted: 0,
            longest_gap: Duration::ZERO,
        }
    }

    /// How many writes were acknowledged.
    pub fn acknowledged(&self) -> usize {
        self.acknowledged.len()
    }

    /// How many writes have an unknown outcome.
    pub fn unknown(&self) -> usize {
        self.unknown.len()
    }

    /// How many writes certainly did not happen.
    pub fn refused(&self) -> usize {
        self.refused.len()
    }

    /// Checks what a node holds against what the writer was told.
    ///
    /// # Panics
    ///
    /// When an acknowledged write is missing, a refused one is there, or one was counted twice.
    pub fn check<E: Event, C: Count>(&self, node: &Node) {
        let (events, counts) =
            (node.table::<E>().expect("the table exists"), node.table::<C>().expect("the table exists"));
        let there: Vec<u64> =
            events.get_all(&self.writer).expect("it can be read").iter().map(E::number).collect();
        let distinct: BTreeSet<u64> = there.iter().copied().collect();
        let at = node.name();
        assert_eq!(there.len(), distinct.len(), "{} at {at}: a record is there twice", self.writer);
        let missing: Vec<_> = self.acknowledged.difference(&distinct).collect();
        assert!(missing.is_empty(), "{} at {at}: acknowledged and missing: {missing:?}", self.writer);
        let resurrected: Vec<_> = self.refused.intersection(&distinct).collect();
        assert!(resurrected.is_empty(), "{} at {at}: refused and there: {resurrected:?}", self.writer);
        let invented: Vec<_> =
            distinct.iter().filter(|n| !self.acknowledged.contains(n) && !self.unknown.contains(n)).collect();
        assert!(invented.is_empty(), "{} at {at}: never written: {invented:?}", self.writer);
        let value = counts.get(&self.writer).expect("it can be read").map_or(0, |count| count.value());
        let (least, most) = (self.counted, self.counted + self.maybe_counted);
        assert!(
            (least..=most).contains(&value),
            "{} at {at}: counted {value}, not {least} to {most}",
            self.writer
        );
    }
}

/// Waits until all copies are equal, then checks what every running node holds against what the writers were told.
///
/// # Panics
///
/// As [`Tally::check`].
pub async fn check_all<E: Event, C: Count>(cluster: &TestCluster, tallies: &[Tally]) {
    cluster.wait_equal_copies().await;
    for node in cluster.handles() {
        for tally in tallies {
            tally.check::<E, C>(&node);
        }
    }
}

//! Following tables: what subscribers see while others write, nodes die, and they themselves are slow or away.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use tabularaft::{
    Change, ChangeKind, LogIndex, MemberEvent, ReadError, Record, SubscribeError, Subscription, Table,
};
use tabularaft_tests::tables::{DiscCount, DiscEvent, DiscWord, RamCount, RamEvent, RamWord};
use tabularaft_tests::workload::Writers;
use tabularaft_tests::{PATIENCE, TestCluster};

/// Records by their encoding; so that sets, ordered sets and bags compare alike.
type Content = BTreeMap<Vec<u8>, ()>;

fn content<R: Record>(table: &Table<R>) -> Content {
    table.iter().unwrap().map(|record| (record.unwrap().encode().unwrap(), ())).collect()
}

/// Brings a content forward; panics if the change does not fit what was there.
fn follow<R: Record>(content: &mut Content, change: &Change<R>) {
    let encoded = |record: &Option<R>| record.as_ref().map(|record| record.encode().unwrap());
    if change.kind == ChangeKind::Clear {
        content.clear();
    }
    if let Some(old) = encoded(&change.old) {
        assert!(content.remove(&old).is_some(), "what was replaced or deleted was there");
    }
    if let Some(new) = encoded(&change.new) {
        assert!(content.insert(new, ()).is_none(), "nothing comes twice");
    }
}

/// What a subscriber has come to.
struct Follower<R> {
    changes: Subscription<R>,
    content: Content,
    last: LogIndex,
    seen: u64,
}

impl<R: Record + Debug> Follower<R> {
    fn new(table: &Table<R>) -> Self {
        let (records, changes) = table.subscribe().unwrap();
        let content = records.map(|record| (record.unwrap().encode().unwrap(), ())).collect();
        Self { last: changes.position(), changes, content, seen: 0 }
    }

    /// Follows until everything up to `index` has been seen, and all of the log index that was seen last.
    async fn follow_to(&mut self, index: LogIndex) {
        let began = Instant::now();
        while self.changes.position() < index.max(self.last) {
            assert!(began.elapsed() < PATIENCE, "at {}, not at {index}", self.changes.position());
            // Changes of other tables alone bring the subscription forward, too, and give it nothing to return.
            match tokio::time::timeout(Duration::from_millis(20), self.changes.next()).await {
                Ok(Ok(Some(change))) => {
                    assert!(change.index >= self.last, "in order");
                    self.last = change.index;
                    self.seen += 1;
                    follow(&mut self.content, &change);
                }
                Err(_) => {}
                other => panic!("{other:?}"),
            }
        }
    }

    /// The subscriber dies; another one goes on where it was, elsewhere.
    fn resume_at(self, table: &Table<R>) -> Self {
        let position = self.changes.position();
        assert!(position >= self.last, "between the changes of two log indexes");
        let (_, changes) = table.subscribe().unwrap();
        Self { changes: changes.after(position).unwrap(), ..self }
    }
}

/// A write that ends what is followed, so that the follower has something to wait for.
async fn last_word(table: &Table<RamCount>) {
    table.insert(&RamCount { writer: "last".to_owned(), value: 1 }).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscriber_that_dies_and_goes_on_elsewhere_sees_every_change_once_also_when_the_leader_is_killed()
{
    let mut cluster = TestCluster::start(3).await;
    cluster.create::<RamEvent>().await;
    cluster.create::<RamCount>().await;
    cluster.create::<DiscEvent>().await;
    cluster.create::<DiscCount>().await;
    let leader = cluster.wait_leader().await;
    let [a, b] = [(leader + 1) % 3, (leader + 2) % 3];
    let ram = Writers::start::<RamEvent, RamCount>(&cluster, &[a, b]);
    let disc = Writers::start::<DiscEvent, DiscCount>(&cluster, &[a, b]);
    ram.wait_for_more(50).await;
    let (counts_a, counts_b) =
        (cluster[a].node().table::<RamCount>().unwrap(), cluster[b].node().table::<RamCount>().unwrap());
    let events_b = cluster[b].node().table::<DiscEvent>().unwrap();
    let (mut counts, mut events) = (Follower::new(&counts_a), Follower::new(&events_b));
    ram.wait_for_more(100).await;
    counts.follow_to(cluster[a].node().applied()).await;
    let mut counts = counts.resume_at(&counts_b);
    cluster.kill(leader).await;
    ram.wait_for_more(100).await;
    disc.wait_for_more(20).await;
    counts.follow_to(cluster[b].node().applied()).await;
    let mut counts = counts.resume_at(&counts_a);
    cluster.restart(leader).await;
    ram.wait_for_more(50).await;
    ram.stop().await;
    disc.stop().await;
    last_word(&counts_a).await;
    cluster.wait_equal_copies().await;
    counts.follow_to(cluster[a].node().applied()).await;
    events.follow_to(cluster[b].node().applied()).await;
    assert!(counts.seen > 120, "{} changes", counts.seen);
    assert_eq!(counts.content, content(&counts_a));
    assert_eq!(events.content, content(&events_b));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscriber_that_falls_behind_the_history_is_told_and_goes_on_with_a_new_view() {
    let cluster = TestCluster::builder(1).config(|config| config.history_bytes = 50_000).start().await;
    cluster.create::<RamWord>().await;
    let words = cluster[0].node().table::<RamWord>().unwrap();
    let (_, mut slow) = words.subscribe().unwrap();
    let began = slow.position();
    let mut quick = Follower::new(&words);
    for number in 0..300 {
        words.insert(&RamWord::new(number % 20, "x".repeat(500))).await.unwrap();
        quick.follow_to(cluster[0].node().applied()).await;
    }
    let SubscribeError::Compacted { wanted, oldest } = slow.next().await.unwrap_err() else {
        panic!("it is told how far the history reaches");
    };
    assert_eq!(wanted, began);
    assert!(oldest > wanted && oldest < cluster[0].node().applied());
    assert!(slow.next().await.is_err(), "until it has a new view");
    assert_eq!(slow.resync().unwrap().count(), 20);
    words.insert(&RamWord::new("next", "x")).await.unwrap();
    let change = slow.next().await.unwrap().unwrap();
    assert_eq!(change.new.unwrap().key, "next");
    quick.follow_to(cluster[0].node().applied()).await;
    assert_eq!(quick.content, content(&words), "others are not disturbed");
    let (_, late) = words.subscribe().unwrap();
    assert!(matches!(late.after(began).unwrap_err(), SubscribeError::Compacted { .. }));
}

#[tokio::test(flavor = "multi_thread")]
async fn subscribers_that_never_read_cost_nothing_and_hold_nobody_up() {
    let cluster = TestCluster::builder(3).config(|config| config.history_bytes = 100_000).start().await;
    cluster.create::<RamEvent>().await;
    cluster.create::<RamCount>().await;
    let counts = cluster[0].node().table::<RamCount>().unwrap();
    let never_read: Vec<_> = (0..1_000).map(|_| counts.subscribe().unwrap().1).collect();
    let mut reader = Follower::new(&counts);
    let writers = Writers::start::<RamEvent, RamCount>(&cluster, &[0, 1, 2, 0]);
    for _ in 0..10 {
        writers.wait_for_more(100).await;
        reader.follow_to(cluster[0].node().applied()).await;
    }
    writers.stop().await;
    last_word(&counts).await;
    reader.follow_to(cluster[0].node().applied()).await;
    assert_eq!(reader.content, content(&counts));
    let mut one = never_read.into_iter().next().unwrap();
    assert!(matches!(one.next().await.unwrap_err(), SubscribeError::Compacted { .. }));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_range_a_prefix_and_a_key_are_followed_without_the_rest() {
    let cluster = TestCluster::start(1).await;
    cluster.create::<RamWord>().await;
    cluster.create::<RamEvent>().await;
    let words = cluster[0].node().table::<RamWord>().unwrap();
    let events = cluster[0].node().table::<RamEvent>().unwrap();
    for key in ["a", "b1", "b2", "c"] {
        words.insert(&RamWord::new(key, "old")).await.unwrap();
    }
    let (in_range, mut range) = words.subscribe_range("b1".."c").unwrap();
    let (in_prefix, mut prefix) = words.subscribe_prefix("b").unwrap();
    let (at_key, mut key) = words.subscribe_key("b2").unwrap();
    let (_, mut of_writer) = events.subscribe_key("w").unwrap();
    assert_eq!((in_range.count(), in_prefix.count(), at_key.count()), (2, 2, 1));
    for key in ["a", "b", "b1", "b2", "c"] {
        words.insert(&RamWord::new(key, "new")).await.unwrap();
    }
    for (writer, number) in [("v", 1), ("w", 1), ("w", 2), ("ww", 1)] {
        events.insert(&RamEvent { writer: writer.to_owned(), number }).await.unwrap();
    }
    words.clear().await.unwrap();
    let keys = |changes: &mut Subscription<RamWord>| {
        let mut keys = Vec::new();
        while let Some(change) = changes.try_next().unwrap() {
            keys.push(change.new.map_or_else(|| format!("{:?}", change.kind), |word| word.key));
        }
        keys
    };
    assert_eq!(keys(&mut range), ["b1", "b2", "Clear"]);
    assert_eq!(keys(&mut prefix), ["b", "b1", "b2", "Clear"]);
    assert_eq!(keys(&mut key), ["b2", "Clear"]);
    let mut numbers = Vec::new();
    while let Some(change) = of_writer.try_next().unwrap() {
        assert_eq!(change.key.unwrap().as_bytes(), b"w\0\x01");
        numbers.push(change.new.unwrap().number);
    }
    assert_eq!(numbers, [1, 2], "all records of a bag's key");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_changes_of_a_transaction_come_together_under_one_index() {
    let cluster = TestCluster::start(3).await;
    cluster.create::<RamWord>().await;
    let follower = cluster.wait_leader().await.wrapping_add(1) % 3;
    let words = cluster[follower].node().table::<RamWord>().unwrap();
    let (_, mut changes) = words.subscribe().unwrap();
    let of_transaction = words.clone();
    cluster[follower]
        .node()
        .transaction(|tx| {
            let words = tx.open(&of_transaction)?;
            for key in ["a", "b", "c"] {
                words.insert(&RamWord::new(key, "together"))?;
            }
            Ok(())
        })
        .await
        .unwrap();
    let mut seen = Vec::new();
    for _ in 0..3 {
        let change = changes.next().await.unwrap().unwrap();
        // Entries that change nothing may have gone before, so the position is not that of the beginning.
        assert_eq!(
            changes.position() < change.index,
            change.more,
            "the index is complete with its last change"
        );
        seen.push((change.index, change.more));
    }
    let index = seen[0].0;
    assert_eq!(seen, [(index, true), (index, true), (index, false)]);
    assert_eq!(changes.position(), index);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscription_ends_with_its_table_and_says_how() {
    let cluster = TestCluster::start(1).await;
    cluster.create::<RamWord>().await;
    let node = cluster[0].node();
    let words = node.table::<RamWord>().unwrap();
    let (_, mut changes) = words.subscribe().unwrap();
    words.insert(&RamWord::new("a", "b")).await.unwrap();
    node.drop_table(words.name()).await.unwrap();
    cluster.create::<RamWord>().await;
    words.insert(&RamWord::new("of another table", "of this name")).await.unwrap();
    assert_eq!(changes.next().await.unwrap().unwrap().kind, ChangeKind::Put);
    assert_eq!(changes.next().await.unwrap().unwrap().kind, ChangeKind::Dropped);
    assert!(changes.next().await.unwrap().is_none());
    assert!(changes.next().await.unwrap().is_none());
    let error = changes.resync().err().unwrap();
    assert_eq!(error, SubscribeError::Read(ReadError::NoSuchTable(words.name().clone())));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_whole_store_is_followed_with_its_tables_and_members() {
    let mut cluster = TestCluster::start(2).await;
    let node = cluster[0].node().clone();
    let (view, mut changes) = node.subscribe().unwrap();
    let (_, mut members) = node.subscribe_members().unwrap();
    assert_eq!(view.index(), changes.position());
    cluster.create::<DiscWord>().await;
    node.table::<DiscWord>().unwrap().insert(&DiscWord::new("k", "v")).await.unwrap();
    let third = cluster.add("n3@localhost");
    cluster.start_joining(third, 0).await.unwrap();
    let name = cluster[third].name().clone();
    let mut kinds = Vec::new();
    let admitted = |kind: &ChangeKind| matches!(kind, ChangeKind::Member(MemberEvent::Admitted { .. }));
    while !kinds.last().is_some_and(admitted) {
        let change = tokio::time::timeout(PATIENCE, changes.next()).await.unwrap().unwrap().unwrap();
        if let Some(record) = change.new {
            assert_eq!(record.to_json().unwrap()["word"], "v");
            assert_eq!(record.decode::<DiscWord>().unwrap(), DiscWord::new("k", "v"));
        }
        kinds.push(change.kind);
    }
    assert!(kinds.contains(&ChangeKind::Created) && kinds.contains(&ChangeKind::Put), "{kinds:?}");
    loop {
        let change = tokio::time::timeout(PATIENCE, members.next()).await.unwrap().unwrap().unwrap();
        match change.kind {
            ChangeKind::Member(MemberEvent::Admitted { name: admitted, .. }) if admitted == name => break,
            ChangeKind::Member(_) => {}
            other => panic!("{other:?}"),
        }
    }
}

/// Private to each node.
#[derive(Record, Serialize, Deserialize, Debug, Clone, PartialEq)]
#[record(table = "private", kind = "set", copy = "ram", local_content)]
struct Private {
    #[key]
    key: String,
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_followed_is_refused_with_the_reason() {
    let cluster = TestCluster::start(1).await;
    cluster.create::<Private>().await;
    let node = cluster[0].node();
    let refused = node.table::<Private>().unwrap().subscribe().err().unwrap();
    assert_eq!(refused, SubscribeError::LocalContent("private".parse().unwrap()));
    let without = TestCluster::builder(1).config(|config| config.history_bytes = 0).start().await;
    without.create::<RamWord>().await;
    let refused = without[0].node().table::<RamWord>().unwrap().subscribe().err().unwrap();
    assert_eq!(refused, SubscribeError::Off);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscription_ends_with_the_life_of_its_node() {
    let mut cluster = TestCluster::start(1).await;
    cluster.create::<RamWord>().await;
    let (_, mut changes) = cluster[0].node().table::<RamWord>().unwrap().subscribe().unwrap();
    let waiting = tokio::spawn(async move { (changes.next().await, changes) });
    cluster.stop(0).await;
    let (ended, mut changes) = tokio::time::timeout(PATIENCE, waiting).await.unwrap().unwrap();
    assert_eq!(ended.unwrap_err(), SubscribeError::Read(ReadError::Stopped));
    assert_eq!(changes.try_next().unwrap_err(), SubscribeError::Read(ReadError::Stopped));
    tokio::time::timeout(Duration::from_secs(5), changes.next()).await.unwrap().unwrap_err();
}

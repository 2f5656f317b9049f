//! Backups of working clusters, and what becomes of them elsewhere.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use serde::{Deserialize, Serialize};
use tabularaft::admin::AdminClient;
use tabularaft::admin::protocol::Progress;
use tabularaft::schema::TableOption;
use tabularaft::store::View;
use tabularaft::{
    BackupFailure, BackupOptions, BackupReader, BackupReport, Node, OnExisting, Record, RestoreOptions,
    RestoreReport, Restored, TableName,
};
use tabularaft_tests::tables::{DiscCount, DiscEvent, DiscOnlyWord, DiscWord, RamCount, RamEvent, RamWord};
use tabularaft_tests::workload::Writers;
use tabularaft_tests::{PATIENCE, TestCluster, eventually, wait_for};
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

fn name(text: &str) -> TableName {
    text.parse().unwrap()
}

fn all() -> BackupOptions {
    BackupOptions::default()
}

fn anew() -> RestoreOptions {
    RestoreOptions::default()
}

fn replacing() -> RestoreOptions {
    RestoreOptions { on_existing: OnExisting::Replace, ..RestoreOptions::default() }
}

/// A cluster whose nodes have names that no other test's have.
async fn elsewhere(nodes: usize) -> TestCluster {
    let mut cluster = TestCluster::builder(0).idle();
    for at in 0..nodes {
        let at = cluster.add(&format!("restored-{at}@elsewhere"));
        match at {
            0 => cluster.found(at).await.unwrap(),
            _ => cluster.start_joining(at, 0).await.unwrap(),
        }
    }
    cluster
}

/// The digests of what the tables of a view say.
fn contents(view: &View) -> BTreeMap<String, String> {
    let said = |copy: &Arc<tabularaft::store::TableView>| {
        (copy.def().name.to_string(), copy.content_digest().unwrap().to_string())
    };
    view.tables().map(said).collect()
}

fn contents_of(report: &BackupReport) -> BTreeMap<String, String> {
    let said =
        |table: &tabularaft::BackupTableReport| Some((table.table.to_string(), table.content.clone()?));
    report.tables.iter().filter_map(said).collect()
}

async fn client(cluster: &TestCluster, at: usize) -> AdminClient {
    AdminClient::connect(&cluster[at].address(), None, PATIENCE).await.unwrap()
}

async fn fill_words(node: &Node, words: u64) {
    let table = node.table::<DiscWord>().unwrap();
    let writes = (0..words).map(|n| {
        let table = table.clone();
        async move { table.insert(&DiscWord::new(format!("{n:06}"), format!("word {n}"))).await.unwrap() }
    });
    futures::future::join_all(writes).await;
}

/// Takes backups until one is of a log index of which a view was seen beside it.
async fn taken_beside_a_view(node: &Node, file: &PathBuf) -> (BackupReport, Arc<View>) {
    for _ in 0..50 {
        let stop = Arc::new(AtomicBool::new(false));
        let (watched, stopped) = (node.clone(), Arc::clone(&stop));
        let watching = std::thread::spawn(move || {
            let mut seen = BTreeMap::new();
            while !stopped.load(Ordering::SeqCst) {
                let view = watched.store_view().unwrap();
                seen.entry(view.applied_index().0).or_insert(view);
                std::thread::yield_now();
            }
            seen
        });
        let report = node.backup(file, &all()).await.unwrap();
        stop.store(true, Ordering::SeqCst);
        if let Some(view) = watching.join().unwrap().remove(&report.log_index) {
            return (report, view);
        }
    }
    panic!("no view was seen at the log index of any backup");
}

/// A backup of a cluster that is gone.
struct BackedUp {
    dir: tempfile::TempDir,
    file: PathBuf,
    report: BackupReport,
}

impl BackedUp {
    async fn words(words: u64) -> Self {
        let source = TestCluster::start(1).await;
        source.create::<DiscWord>().await;
        fill_words(source[0].node(), words).await;
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("words.backup");
        let report = source[0].node().backup(&file, &all()).await.unwrap();
        Self { dir, file, report }
    }

    /// Begins to restore it, and returns when some of it is loaded.
    async fn begin_restore(&self, operator: AdminClient) -> JoinHandle<Result<RestoreReport, BackupFailure>> {
        let file = self.file.clone();
        let (loading, mut has_loaded) = tokio::sync::watch::channel(false);
        let restoring = tokio::spawn(async move {
            let tell = |progress: &Progress| {
                loading.send_replace(progress.records_done > 0);
            };
            operator.restore(&file, &anew(), tell).await
        });
        has_loaded.wait_for(|loaded| *loaded).await.unwrap();
        restoring
    }

    /// Waits until all copies are equal, and compares them with it.
    async fn is_held_by(&self, cluster: &TestCluster) {
        cluster.wait_equal_copies().await;
        for node in cluster.handles() {
            let held = contents(&node.store_view().unwrap());
            assert_eq!(held, contents_of(&self.report), "on {}", node.name());
        }
    }
}

/// Each writer adds an event, then counts it: at one log index it has counted all of its events but the last at most.
fn assert_cut(node: &Node) {
    let (events, counts) = (node.table::<DiscEvent>().unwrap(), node.table::<DiscCount>().unwrap());
    let mut writers = 0;
    for count in counts.iter().unwrap() {
        let DiscCount { writer, value } = count.unwrap();
        let mut there: Vec<u64> = events.get_all(&writer).unwrap().iter().map(|event| event.number).collect();
        there.sort_unstable();
        let last = there.len() as u64;
        assert_eq!(there, (1..=last).collect::<Vec<u64>>(), "{writer} has gaps");
        assert!((last - 1..=last).contains(&value), "{writer}: {last} events, {value} counted");
        writers += 1;
    }
    assert_eq!(writers, 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_taken_under_load_restores_on_one_node_and_on_three_with_other_names() {
    let cluster = TestCluster::start(3).await;
    cluster.create::<DiscEvent>().await;
    cluster.create::<DiscCount>().await;
    cluster.create::<RamWord>().await;
    cluster.create::<DiscOnlyWord>().await;
    let words = cluster[0].node().table::<RamWord>().unwrap();
    words.insert(&RamWord::new("kept", "in memory")).await.unwrap();
    let only = cluster[0].node().table::<DiscOnlyWord>().unwrap();
    only.insert(&DiscOnlyWord::new("kept", "on disc")).await.unwrap();

    let writers = Writers::start::<DiscEvent, DiscCount>(&cluster, &[0, 1, 2, 0]);
    writers.wait_for_more(400).await;
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("loaded.backup");
    let (report, view) = taken_beside_a_view(cluster[1].node(), &file).await;
    writers.wait_for_more(100).await;
    writers.stop().await;
    assert_eq!(contents_of(&report), contents(&view), "the backup is what the node held at its log index");
    assert_eq!(BackupReport::of_file(&file).unwrap(), report);
    assert_ne!(
        contents(&view),
        contents(&cluster[1].node().store_view().unwrap()),
        "it was taken under load"
    );

    for nodes in [1, 3] {
        let other = elsewhere(nodes).await;
        let restored = other[nodes - 1].node().restore(&file, &anew()).await.unwrap();
        assert!(restored.tables.iter().all(|table| table.outcome == Restored::Created), "{restored:?}");
        other.wait_ready().await;
        other.wait_equal_copies().await;
        for node in other.handles() {
            assert_eq!(contents(&node.store_view().unwrap()), contents_of(&report), "on {}", node.name());
            assert_cut(&node);
        }
        // The restored tables are tables like any other.
        let words = other[0].node().table::<RamWord>().unwrap();
        words.insert(&RamWord::new("more", "later")).await.unwrap();
        assert_eq!(words.get("kept").unwrap().unwrap().word, "in memory");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restored_table_survives_the_restart_of_all_nodes() {
    let backed_up = BackedUp::words(500).await;
    let mut cluster = elsewhere(3).await;
    cluster.create::<DiscWord>().await;
    cluster[0].node().table::<DiscWord>().unwrap().insert(&DiscWord::new("old", "old")).await.unwrap();
    cluster[0].node().restore(&backed_up.file, &replacing()).await.unwrap();
    for at in 0..3 {
        cluster.kill(at).await;
    }
    for at in 0..3 {
        cluster.restart(at).await;
    }
    cluster.wait_ready().await;
    backed_up.is_held_by(&cluster).await;
    for node in cluster.handles() {
        assert!(node.table::<DiscWord>().unwrap().get("old").unwrap().is_none());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_exists_is_refused_replaced_merged_or_restored_beside() {
    let cluster = TestCluster::start(2).await;
    cluster.create::<DiscWord>().await;
    cluster.create::<RamWord>().await;
    fill_words(cluster[0].node(), 20).await;
    // A backup is of what its node has applied.
    cluster.wait_equal_copies().await;
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("words.backup");
    let node = cluster[1].node();
    let report = node.backup(&file, &all()).await.unwrap();
    let words = node.table::<DiscWord>().unwrap();
    words.insert(&DiscWord::new("new", "since then")).await.unwrap();
    words.insert(&DiscWord::new("000003", "changed")).await.unwrap();

    let before = node.store_view().unwrap();
    let refused = node.restore(&file, &anew()).await.unwrap_err();
    assert!(
        matches!(&refused, BackupFailure::Exists { table, .. } if *table == name("disc_word")),
        "{refused}"
    );
    assert!(refused.to_string().contains("21 records"), "{refused}");
    assert_eq!(node.store_view().unwrap().schema(), before.schema(), "nothing was touched");

    let into = BTreeMap::from([(name("disc_word"), name("beside"))]);
    let beside = RestoreOptions { tables: vec![name("disc_word")], into, ..anew() };
    let restored = node.restore(&file, &beside).await.unwrap();
    assert_eq!((restored.tables.len(), restored.tables[0].into.as_str()), (1, "beside"));
    assert_eq!(words.count().unwrap(), 21);

    let merging = RestoreOptions { on_existing: OnExisting::Merge, ..anew() };
    node.restore(&file, &merging).await.unwrap();
    assert_eq!(words.get("000003").unwrap().unwrap().word, "word 3");
    assert_eq!(words.get("new").unwrap().unwrap().word, "since then");

    let restored = node.restore(&file, &replacing()).await.unwrap();
    assert!(restored.tables.iter().all(|table| table.outcome == Restored::Replaced), "{restored:?}");
    assert!(words.get("new").unwrap().is_none(), "an open handle sees the table that took the name");
    cluster.wait_equal_copies().await;
    let mut wanted = contents_of(&report);
    wanted.insert("beside".to_owned(), wanted["disc_word"].clone());
    for node in cluster.handles() {
        assert_eq!(contents(&node.store_view().unwrap()), wanted);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_table_to_which_somebody_writes_in_the_last_moment_is_not_replaced() {
    let cluster = TestCluster::start(3).await;
    cluster.create::<DiscWord>().await;
    fill_words(cluster[0].node(), 20).await;
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("words.backup");
    cluster[0].node().backup(&file, &all()).await.unwrap();
    let words = cluster[1].node().table::<DiscWord>().unwrap();
    words.clear().await.unwrap();
    cluster.wait_equal_copies().await;
    let write = |progress: &Progress| {
        if progress.phase == "comparing" {
            let late = DiscWord::new("late", "kept");
            tokio::task::block_in_place(|| Handle::current().block_on(words.insert(&late))).unwrap();
        }
    };
    let refused = client(&cluster, 0).await.restore(&file, &anew(), write).await.unwrap_err().to_string();
    assert!(refused.contains("disc_word") && refused.contains("have been written to it"), "{refused}");
    assert_eq!((words.count().unwrap(), words.get("late").unwrap().unwrap().word.as_str()), (1, "kept"));
    let view = cluster[0].node().store_view().unwrap();
    assert_eq!(view.schema().tables().count(), 1, "nothing is left behind");
    words.delete("late").await.unwrap();
    cluster[1].node().restore(&file, &anew()).await.unwrap();
    assert_eq!(words.count().unwrap(), 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_is_replaced_while_others_read_and_write_it() {
    let cluster = TestCluster::start(3).await;
    cluster.create::<RamEvent>().await;
    cluster.create::<RamCount>().await;
    cluster.create::<DiscWord>().await;
    fill_words(cluster[0].node(), 300).await;
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("words.backup");
    let words_only = BackupOptions { tables: vec![name("disc_word")], ..all() };
    let report = cluster[0].node().backup(&file, &words_only).await.unwrap();
    cluster.wait_equal_copies().await;

    let writers = Writers::start::<RamEvent, RamCount>(&cluster, &[0, 1, 2]);
    let (stop, reads) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let reading = {
        let (table, stop, reads) =
            (cluster[2].node().table::<DiscWord>().unwrap(), stop.clone(), reads.clone());
        std::thread::spawn(move || {
            while !stop.load(Ordering::SeqCst) {
                assert_eq!(table.count().unwrap(), 300, "the table is always there, and whole");
                assert_eq!(table.get("000299").unwrap().unwrap().word, "word 299");
                reads.fetch_add(1, Ordering::SeqCst);
            }
        })
    };
    eventually("reads go on", PATIENCE, || reads.load(Ordering::SeqCst) > 100).await;
    for _ in 0..3 {
        cluster[1].node().restore(&file, &replacing()).await.unwrap();
    }
    stop.store(true, Ordering::SeqCst);
    reading.join().unwrap();
    let tallies = writers.stop().await;
    assert!(tallies.iter().all(|tally| tally.unknown() == 0));
    cluster.wait_equal_copies().await;
    let held = contents(&cluster[2].node().store_view().unwrap());
    assert_eq!(held["disc_word"], contents_of(&report)["disc_word"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_foreign_newer_or_short_file_is_refused_and_nothing_changes() {
    let cluster = TestCluster::start(1).await;
    cluster.create::<DiscWord>().await;
    let node = cluster[0].node();
    fill_words(node, 200).await;
    let dir = tempfile::tempdir().unwrap();
    let good = dir.path().join("good.backup");
    node.backup(&good, &all()).await.unwrap();
    let bytes = std::fs::read(&good).unwrap();
    let mut flipped = bytes.clone();
    let middle = flipped.len() / 2;
    flipped[middle] ^= 4;
    let mut newer = bytes.clone();
    newer[8] = 2;
    let crc = crc32c::crc32c(&newer[..12]).to_le_bytes();
    newer[12..16].copy_from_slice(&crc);
    let cases = [
        ("damaged", flipped, "is damaged at byte"),
        ("short", bytes[..bytes.len() - 5].to_vec(), "was cut short"),
        ("newer", newer, "format version 2"),
        ("foreign", b"{\"key\":\"a\",\"word\":\"b\"}\n".to_vec(), "no tabularaft backup"),
        ("empty", Vec::new(), "no tabularaft backup"),
    ];
    let before = node.store_view().unwrap();
    for (what, bytes, told) in cases {
        let file = dir.path().join(what);
        std::fs::write(&file, bytes).unwrap();
        let refused = node.restore(&file, &replacing()).await.unwrap_err();
        let said = refused.to_string();
        assert!(said.contains(told) && said.contains(what), "{what}: {said}");
        assert!(matches!(refused, BackupFailure::File(_)), "{refused:?}");
    }
    let missing = node.restore(dir.path().join("missing"), &anew()).await.unwrap_err();
    assert!(missing.to_string().contains("missing"), "{missing}");
    let after = node.store_view().unwrap();
    assert_eq!(after.schema(), before.schema());
    assert_eq!(contents(&after), contents(&before));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupted_restore_shows_nothing_of_its_table_and_the_next_one_clears_up() {
    let backed_up = BackedUp::words(20_000).await;
    let cluster = elsewhere(3).await;
    let restoring = backed_up.begin_restore(client(&cluster, 1).await).await;
    restoring.abort();
    assert!(restoring.await.unwrap_err().is_cancelled());
    let node = cluster[0].node();
    wait_for("the hidden table is there", PATIENCE, || {
        let view = node.store_view().unwrap();
        let hidden = view.table_named(&name("_restoring.disc_word")).map(|copy| copy.len());
        hidden.ok_or_else(|| "it is not".to_owned())
    })
    .await;
    assert!(node.table::<DiscWord>().is_err(), "nothing of the table is visible");
    let backup = node.backup(backed_up.dir.path().join("meanwhile.backup"), &all()).await.unwrap();
    assert!(backup.tables.is_empty(), "what is being restored is in no backup");

    node.restore(&backed_up.file, &anew()).await.unwrap();
    backed_up.is_held_by(&cluster).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restore_goes_on_under_another_leader() {
    let backed_up = BackedUp::words(20_000).await;
    let mut cluster = elsewhere(3).await;
    let leader = cluster.wait_leader().await;
    let asked = (leader + 1) % 3;
    let restoring = backed_up.begin_restore(client(&cluster, asked).await).await;
    cluster.kill(leader).await;
    restoring.await.unwrap().unwrap();
    cluster.restart(leader).await;
    cluster.wait_ready().await;
    backed_up.is_held_by(&cluster).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_is_imported_from_another_cluster() {
    let source = TestCluster::start(2).await;
    source.create::<DiscWord>().await;
    source.create::<RamWord>().await;
    fill_words(source[0].node(), 3_000).await;
    let cluster = elsewhere(2).await;
    let from = client(&source, 1).await;
    let node = cluster[1].node();
    let into = BTreeMap::from([(name("disc_word"), name("theirs"))]);
    let renamed = RestoreOptions { into, ..anew() };
    let imported = node.import(&from, &name("disc_word"), &renamed).await.unwrap();
    assert_eq!((imported.tables.len(), imported.tables[0].records), (1, 3_000));
    let theirs = contents(&source[1].node().store_view().unwrap());
    assert_eq!(contents(&node.store_view().unwrap())["theirs"], theirs["disc_word"]);

    let refused = node.import(&from, &name("disc_word"), &renamed).await.unwrap_err();
    assert!(matches!(refused, BackupFailure::Exists { .. }), "{refused}");
    let unknown = node.import(&from, &name("nowhere"), &anew()).await.unwrap_err();
    assert!(unknown.to_string().contains("nowhere"), "{unknown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_view_of_a_backup_that_nobody_takes_any_more_is_let_go() {
    let cluster = TestCluster::start(1).await;
    cluster.create::<RamWord>().await;
    let node = cluster[0].node();
    let words = node.table::<RamWord>().unwrap();
    words.insert(&RamWord::new("a", "b")).await.unwrap();
    let held = Arc::downgrade(&node.store_view().unwrap());
    let (_, report) = node.backup_to(Vec::new(), &all()).await.unwrap();
    assert_eq!(report.records, 1);
    words.insert(&RamWord::new("c", "d")).await.unwrap();
    eventually("the view is gone", PATIENCE, || held.upgrade().is_none()).await;

    let dir = tempfile::tempdir().unwrap();
    let nowhere = dir.path().join("no-such-folder").join("b.backup");
    let refused = node.backup(&nowhere, &all()).await.unwrap_err();
    assert!(refused.to_string().contains("no-such-folder"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_is_read_record_by_record_as_its_types() {
    let cluster = TestCluster::start(1).await;
    cluster.create::<DiscWord>().await;
    fill_words(cluster[0].node(), 50).await;
    let (bytes, _) = cluster[0].node().backup_to(Vec::new(), &all()).await.unwrap();
    let reader = BackupReader::new("memory", bytes.as_slice()).unwrap();
    assert_eq!(reader.header().node, "n1@localhost");
    let words: Vec<DiscWord> = reader.map(|entry| entry.unwrap().decode().unwrap()).collect();
    assert_eq!(words.len(), 50);
    assert_eq!(words[7], DiscWord::new("000007", "word 7"));
    assert_eq!(DiscWord::table_def().name, "disc_word");
}

#[derive(Record, Serialize, Deserialize, Debug, Clone, PartialEq)]
#[record(table = "member", kind = "ordered-set", copy = "disc")]
struct Member {
    #[key]
    id: u64,
    #[index(unique)]
    mail: String,
    #[index]
    city: String,
}

fn member(id: u64, city: &str) -> Member {
    Member { id, mail: format!("{id}@here"), city: city.to_owned() }
}

#[tokio::test(flavor = "multi_thread")]
async fn indexes_and_options_come_back_with_their_table() {
    let source = TestCluster::start(1).await;
    source.create::<Member>().await;
    let node = source[0].node();
    let members = node.table::<Member>().unwrap();
    for id in 0..40 {
        members.insert(&member(id, if id % 4 == 0 { "Bern" } else { "Rome" })).await.unwrap();
    }
    // What refuses writes must not refuse those of the restore.
    for option in [TableOption::RecordsMax(Some(10)), TableOption::ReadOnly(true), TableOption::LoadOrder(3)]
    {
        node.set_table_option(&name("member"), option).await.unwrap();
    }
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("members.backup");
    let report = node.backup(&file, &all()).await.unwrap();

    let cluster = elsewhere(2).await;
    cluster[1].node().restore(&file, &anew()).await.unwrap();
    cluster.wait_equal_copies().await;
    for node in cluster.handles() {
        let view = node.store_view().unwrap();
        assert_eq!(contents(&view), contents_of(&report));
        let restored = view.table_named(&name("member")).unwrap().def().clone();
        let original = source[0].node().store_view().unwrap();
        assert_eq!(restored, *original.table_named(&name("member")).unwrap().def());
        let members = node.table::<Member>().unwrap();
        assert_eq!(members.index("city").unwrap().get("Bern").unwrap().len(), 10);
        assert_eq!(members.index("mail").unwrap().get("7@here").unwrap(), [member(7, "Rome")]);
    }
    let node = cluster[0].node();
    let members = node.table::<Member>().unwrap();
    assert!(members.insert(&member(41, "Oslo")).await.is_err(), "it is read-only");
    node.set_table_option(&name("member"), TableOption::ReadOnly(false)).await.unwrap();
    node.set_table_option(&name("member"), TableOption::RecordsMax(None)).await.unwrap();
    let taken = Member { id: 50, ..member(7, "Oslo") };
    assert!(members.insert(&taken).await.is_err(), "the mail address is unique");
    members.insert(&member(50, "Oslo")).await.unwrap();
}

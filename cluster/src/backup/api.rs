//! Backup, restore and import as programs call them.

use std::io::Write;
use std::path::{Path, PathBuf};

use tabularaft_store::{BackupFile, BackupReader};
use tokio::sync::mpsc;

use super::asked::Asked;
use super::error::BackupFailure;
use super::feed::{self, Pull, WAITING_MAX};
use super::options::{BackupOptions, RestoreOptions};
use super::report::{BackupReport, RestoreReport};
use super::restore::{self, Tell};
use super::take;
use crate::admin::AdminClient;
use crate::admin::protocol::{Progress, ReadMode};
use crate::door;
use crate::node::Node;
use tabularaft_schema::TableName;

impl Node {
    /// Writes a backup of this node's tables at one log index, while everybody reads and writes. The file has its name
    /// when it is complete.
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// use tabularaft::{BackupOptions, Node, RestoreOptions};
    /// # #[derive(tabularaft::Record, serde::Serialize, serde::Deserialize)]
    /// # #[record(table = "word", kind = "set", copy = "ram")]
    /// # struct Word { #[key] text: String }
    /// # let dir = tempfile::tempdir()?;
    /// # let file = dir.path().join("monday.backup");
    /// # let node = Node::builder("n1@localhost").diskless().listen("127.0.0.1:0").start().await?;
    /// # node.create_table::<Word>().await?;
    /// node.table::<Word>()?.insert(&Word { text: "hello".into() }).await?;
    /// let report = node.backup(&file, &BackupOptions::default()).await?;
    /// assert_eq!(report.records, 1);
    ///
    /// let other = Node::builder("x9@localhost").diskless().listen("127.0.0.1:0").start().await?;
    /// other.restore(&file, &RestoreOptions::default()).await?;
    /// assert!(other.table::<Word>()?.contains("hello")?);
    /// # other.shutdown().await; node.shutdown().await;
    /// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
    /// ```
    ///
    /// # Durability
    ///
    /// The file is on disc when this returns.
    ///
    /// # Errors
    ///
    /// See [`BackupFailure`]; no file is left then.
    pub async fn backup(
        &self,
        file: impl AsRef<Path>,
        options: &BackupOptions,
    ) -> Result<BackupReport, BackupFailure> {
        to_file(Asked::Here(&self.inner), file.as_ref(), options, &mut |_| {}).await
    }

    /// As [`Node::backup`], to anything that can be written to; it comes back with the report. It is written to in a
    /// thread of its own, and may block.
    ///
    /// # Errors
    ///
    /// See [`BackupFailure`].
    pub async fn backup_to<W: Write + Send + 'static>(
        &self,
        out: W,
        options: &BackupOptions,
    ) -> Result<(W, BackupReport), BackupFailure> {
        take::take(Asked::Here(&self.inner), "the backup".to_owned(), out, options, &mut |_| {}).await
    }

    /// Restores tables of a backup into this node's cluster, whatever its nodes and their names. The whole file is
    /// checked before anything is done; the tables appear all at once, complete, or not at all.
    ///
    /// Every node holds a restored table as its definition says. Owned tables and tables with local content are
    /// created empty where they are missing.
    ///
    /// # Cancel safety
    ///
    /// A restore whose future is dropped leaves hidden tables behind, which the next restore of the same tables
    /// removes.
    ///
    /// # Errors
    ///
    /// See [`BackupFailure`].
    pub async fn restore(
        &self,
        file: impl AsRef<Path>,
        options: &RestoreOptions,
    ) -> Result<RestoreReport, BackupFailure> {
        from_file(Asked::Here(&self.inner), file.as_ref(), options, false, &mut |_| {}).await
    }

    /// Copies a table of another cluster, of which `source` is connected to a node. As [`Node::restore`] in everything
    /// else.
    ///
    /// # Errors
    ///
    /// See [`BackupFailure`].
    pub async fn import(
        &self,
        source: &AdminClient,
        table: &TableName,
        options: &RestoreOptions,
    ) -> Result<RestoreReport, BackupFailure> {
        import(Asked::Here(&self.inner), source, table, options, &mut |_| {}).await
    }
}

impl AdminClient {
    /// Writes a backup of the node's tables to a file on this side; see [`Node::backup`].
    ///
    /// # Errors
    /// See [`BackupFailure`]; no file is left then.
    pub async fn backup(
        &self,
        file: &Path,
        options: &BackupOptions,
        mut progress: impl FnMut(&Progress) + Send,
    ) -> Result<BackupReport, BackupFailure> {
        to_file(Asked::There(self), file, options, &mut progress).await
    }

    /// Restores tables of a backup on this side into the node's cluster; see [`Node::restore`].
    ///
    /// # Errors
    /// See [`BackupFailure`].
    pub async fn restore(
        &self,
        file: &Path,
        options: &RestoreOptions,
        mut progress: impl FnMut(&Progress) + Send,
    ) -> Result<RestoreReport, BackupFailure> {
        from_file(Asked::There(self), file, options, false, &mut progress).await
    }

    /// Checks the file and says what a restore would do, without doing it.
    ///
    /// # Errors
    /// As the restore.
    pub async fn restore_dry_run(
        &self,
        file: &Path,
        options: &RestoreOptions,
    ) -> Result<RestoreReport, BackupFailure> {
        from_file(Asked::There(self), file, options, true, &mut |_| {}).await
    }

    /// Copies a table of the cluster of `source` into the node's cluster; see [`Node::import`].
    ///
    /// # Errors
    /// See [`BackupFailure`].
    pub async fn import(
        &self,
        source: &AdminClient,
        table: &TableName,
        options: &RestoreOptions,
        mut progress: impl FnMut(&Progress) + Send,
    ) -> Result<RestoreReport, BackupFailure> {
        import(Asked::There(self), source, table, options, &mut progress).await
    }
}

impl BackupReport {
    /// Reads a backup to its end, without any cluster, and says what it holds. Blocks.
    ///
    /// # Errors
    /// [`BackupFailure::File`] names the file and the byte at which it is damaged or ends.
    pub fn of_file(file: &Path) -> Result<Self, BackupFailure> {
        let mut reader = BackupReader::open(file)?;
        let end = reader.verify()?;
        Ok(Self::new(reader.header(), reader.tables(), reader.summaries(), end))
    }
}

async fn to_file(
    asked: Asked<'_>,
    path: &Path,
    options: &BackupOptions,
    tell: Tell<'_>,
) -> Result<BackupReport, BackupFailure> {
    let file =
        blocking(path.to_owned(), |path| BackupFile::create(&path).map_err(BackupFailure::from)).await?;
    let (file, report) = take::take(asked, path.display().to_string(), file, options, tell).await?;
    blocking(file, |file| file.finish().map_err(BackupFailure::from)).await?;
    Ok(report)
}

/// The unsafe order is to load what is read as it is read: a file that is damaged at its end is then found out after
/// much work. So the whole file is checked first.
async fn from_file(
    asked: Asked<'_>,
    path: &Path,
    options: &RestoreOptions,
    dry_run: bool,
    tell: Tell<'_>,
) -> Result<RestoreReport, BackupFailure> {
    let checked: PathBuf = path.to_owned();
    let report = blocking(checked, |path| BackupReport::of_file(&path)).await?;
    let (items, taken) = mpsc::channel(WAITING_MAX);
    let feeding = feed::from_file(path.to_owned(), items);
    if dry_run {
        return futures::join!(feeding, restore::dry_run(asked, taken, options)).1;
    }
    let restoring = restore::restore(asked, taken, options, Some(report.records), tell);
    futures::join!(feeding, restoring).1
}

async fn import(
    asked: Asked<'_>,
    source: &AdminClient,
    table: &TableName,
    options: &RestoreOptions,
    tell: Tell<'_>,
) -> Result<RestoreReport, BackupFailure> {
    let pull = Pull::begin(Asked::There(source), vec![table.clone()], ReadMode::Linearizable).await?;
    let (records_total, name) = (pull.records_total, format!("what {} sent", source.address()));
    let (items, taken) = mpsc::channel(WAITING_MAX);
    let feeding = feed::from_node(pull, name, items);
    let restoring = restore::restore(asked, taken, options, Some(records_total), tell);
    futures::join!(feeding, restoring).1
}

async fn blocking<A: Send + 'static, T: Send + 'static>(
    with: A,
    work: impl FnOnce(A) -> Result<T, BackupFailure> + Send + 'static,
) -> Result<T, BackupFailure> {
    door::blocking(move || work(with)).await.map_err(|_| BackupFailure::Panicked)?
}

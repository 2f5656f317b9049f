//! Restoring: hidden tables are filled, compared with the backup, and given their names in one step.
//!
//! The unsafe order is to drop or clear the old table first: a restore that is interrupted then leaves neither the old
//! records nor all of the new ones. The safe order: everything is loaded and compared under hidden names while the old
//! tables serve; one entry of the log drops the old tables and names the new ones.

use std::collections::BTreeMap;

use tabularaft_schema::{TableDef, TableId, TableName, TableOption, TableOptions};
use tabularaft_store::{BackupHeader, BackupItem, BackupTable, ContentDigest, TableSummary};

use super::RESTORING_PREFIX;
use super::asked::{Asked, unexpected};
use super::error::BackupFailure;
use super::feed::Items;
use super::load::Loader;
use super::options::RestoreOptions;
use super::plan::{Existing, How, Planned, plan};
use super::report::{RestoreReport, Restored, RestoredTable};
use crate::admin::AdminErrorKind;
use crate::admin::protocol::{AdminReply, AdminRequest, Progress, TableRef, TableSwap};

/// What tells of the progress.
pub(super) type Tell<'a> = &'a mut (dyn FnMut(&Progress) + Send);

/// A restore that is under way.
struct Restore<'a> {
    asked: Asked<'a>,
    planned: Vec<Planned>,
    /// Where the records of each planned table go, by its place in the backup.
    targets: BTreeMap<usize, TableRef>,
    summaries: BTreeMap<usize, TableSummary>,
}

/// Restores what `items` bring.
pub(super) async fn restore(
    asked: Asked<'_>,
    mut items: Items,
    options: &RestoreOptions,
    records_total: Option<u64>,
    tell: Tell<'_>,
) -> Result<RestoreReport, BackupFailure> {
    let Definitions { header, tables, first } = definitions(&mut items).await?;
    let planned = plan(&tables, &existing(asked).await?, options)?;
    let mut restore = Restore { asked, planned, targets: BTreeMap::new(), summaries: BTreeMap::new() };
    let done = async {
        restore.create().await?;
        restore.load(first, &mut items, records_total, tell).await?;
        restore.compare().await?;
        restore.put_into_use().await
    };
    match done.await {
        Ok(()) => Ok(restore.report(&header, &tables, false)),
        Err(failure) => Err(restore.undo(failure).await),
    }
}

/// What a restore of these items would do.
pub(super) async fn dry_run(
    asked: Asked<'_>,
    mut items: Items,
    options: &RestoreOptions,
) -> Result<RestoreReport, BackupFailure> {
    let Definitions { header, tables, mut first } = definitions(&mut items).await?;
    let planned = plan(&tables, &existing(asked).await?, options)?;
    let mut summaries = BTreeMap::new();
    while let Some(item) = first {
        if let BackupItem::TableEnd { table, summary } = item {
            summaries.insert(table, summary);
        }
        first = items.recv().await.transpose()?;
    }
    let restore = Restore { asked, planned, targets: BTreeMap::new(), summaries };
    Ok(restore.report(&header, &tables, true))
}

/// The beginning of a backup, and the item that follows it.
struct Definitions {
    header: BackupHeader,
    tables: Vec<BackupTable>,
    first: Option<BackupItem>,
}

async fn definitions(items: &mut Items) -> Result<Definitions, BackupFailure> {
    let mut tables = Vec::new();
    let mut header = None;
    loop {
        match items.recv().await.transpose()? {
            Some(BackupItem::Header(found)) => header = Some(found),
            Some(BackupItem::Table(table)) => tables.push(table),
            first => {
                let header = header.ok_or(BackupFailure::Panicked)?;
                return Ok(Definitions { header, tables, first });
            }
        }
    }
}

async fn existing(asked: Asked<'_>) -> Result<BTreeMap<TableName, Existing>, BackupFailure> {
    let AdminReply::Tables(summaries) = asked.ask(AdminRequest::TableList).await? else {
        return Err(BackupFailure::Panicked);
    };
    let mut existing = BTreeMap::new();
    for summary in summaries {
        match asked.ask(AdminRequest::TableInfo { table: summary.name.clone() }).await {
            Ok(AdminReply::Table(info)) => {
                let found = Existing { id: info.id, def: info.def, records: summary.records };
                existing.insert(summary.name, found);
            }
            Ok(other) => return Err(unexpected(&other).into()),
            // It was dropped meanwhile.
            Err(error) if error.kind == AdminErrorKind::NotFound => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(existing)
}

impl Restore<'_> {
    /// Creates the hidden tables, in the place of those that an interrupted restore left behind.
    async fn create(&mut self) -> Result<(), BackupFailure> {
        for planned in self.planned.clone() {
            match planned.how {
                How::DefinitionOnly { .. } => {}
                How::Merge { to } => {
                    let target = TableRef { name: planned.def.name.clone(), id: to };
                    self.targets.insert(planned.place, target);
                }
                How::Load { .. } | How::LoadIfEmpty { .. } => {
                    let target = self.create_hidden(&planned.def).await?;
                    self.targets.insert(planned.place, target);
                }
            }
        }
        Ok(())
    }

    async fn create_hidden(&self, def: &TableDef) -> Result<TableRef, BackupFailure> {
        let name = hidden_name(&def.name);
        match self.asked.ask(AdminRequest::TableDrop { table: name.clone() }).await {
            Ok(_) => tracing::info!(table = %name, "what an interrupted restore left behind is dropped"),
            Err(error) if matches!(error.kind, AdminErrorKind::NotFound | AdminErrorKind::Refused) => {}
            Err(error) => return Err(error.into()),
        }
        let def = TableDef { name: name.clone(), options: while_loading(&def.options), ..def.clone() };
        match self.asked.ask(AdminRequest::TableCreate { def }).await? {
            AdminReply::TableCreated { id, .. } => Ok(TableRef { name, id }),
            other => Err(unexpected(&other).into()),
        }
    }

    async fn load(
        &mut self,
        first: Option<BackupItem>,
        items: &mut Items,
        records_total: Option<u64>,
        tell: Tell<'_>,
    ) -> Result<(), BackupFailure> {
        let mut loader = Loader::new(self.asked);
        let (mut records_done, mut bytes_done) = (0, 0);
        let mut next = first;
        while let Some(item) = next {
            match item {
                BackupItem::Records { table, records } => {
                    records_done += records.len() as u64;
                    bytes_done += records.iter().map(|record| record.record.len() as u64).sum::<u64>();
                    if let Some(target) = self.targets.get(&table) {
                        loader.push(target, records).await?;
                    }
                    tell(&progress("loading", records_done, records_total, bytes_done));
                }
                BackupItem::TableEnd { table, summary } => {
                    self.summaries.insert(table, summary);
                }
                _ => {}
            }
            next = items.recv().await.transpose()?;
        }
        loader.finish().await?;
        tell(&progress("comparing", records_done, records_total, bytes_done));
        Ok(())
    }

    /// Compares each hidden table with what the backup says of it.
    async fn compare(&self) -> Result<(), BackupFailure> {
        for planned in self.planned.iter().filter(|planned| planned.how.loads()) {
            let Some(target) = self.targets.get(&planned.place) else { continue };
            let found = match self.asked.ask(AdminRequest::ContentDigest { table: target.clone() }).await? {
                AdminReply::ContentDigest(found) => found,
                other => return Err(unexpected(&other).into()),
            };
            let expected = self.summaries.get(&planned.place).map_or(ContentDigest::default(), |s| s.content);
            if found != expected {
                let said = |digest: ContentDigest| format!("{} records with digest {digest}", digest.records);
                let (expected, found) = (said(expected), said(found));
                return Err(BackupFailure::Differs { table: planned.def.name.clone(), expected, found });
            }
        }
        Ok(())
    }

    /// Gives all tables their names at one log index.
    async fn put_into_use(&self) -> Result<(), BackupFailure> {
        for planned in &self.planned {
            if planned.how == (How::DefinitionOnly { exists: false }) {
                self.asked.ask(AdminRequest::TableCreate { def: planned.def.clone() }).await?;
            }
        }
        let swaps: Vec<TableSwap> = self.planned.iter().filter_map(|planned| self.swap(planned)).collect();
        let still_empty = |planned: &Planned| match planned.how {
            How::LoadIfEmpty { replaces } => Some(replaces),
            _ => None,
        };
        let empty: Vec<TableId> = self.planned.iter().filter_map(still_empty).collect();
        match (swaps.is_empty(), empty.is_empty()) {
            (true, _) => {}
            (_, true) => drop(self.asked.ask(AdminRequest::SwapTables { swaps }).await?),
            _ => drop(self.asked.ask(AdminRequest::SwapTablesIfEmpty { swaps, empty }).await?),
        }
        Ok(())
    }

    fn swap(&self, planned: &Planned) -> Option<TableSwap> {
        let (loads, replaces) = (planned.how.loads(), planned.how.replaces());
        let table = self.targets.get(&planned.place).filter(|_| loads)?.clone();
        let options = options_to_set(&planned.def.options);
        Some(TableSwap { table, takes: planned.def.name.clone(), replaces, options })
    }

    /// Removes what was begun, and gives back the failure with what could not be removed.
    async fn undo(&self, cause: BackupFailure) -> BackupFailure {
        let mut left = Vec::new();
        for planned in self.planned.iter().filter(|planned| planned.how.loads()) {
            let Some(target) = self.targets.get(&planned.place) else { continue };
            match self.asked.ask(AdminRequest::TableDrop { table: target.name.clone() }).await {
                Ok(_) => {}
                Err(error) if matches!(error.kind, AdminErrorKind::NotFound | AdminErrorKind::Refused) => {}
                Err(_) => left.push(target.name.to_string()),
            }
        }
        if left.is_empty() {
            return cause;
        }
        BackupFailure::LeftBehind { cause: Box::new(cause), tables: left.join(", ") }
    }

    fn report(&self, header: &BackupHeader, tables: &[BackupTable], dry_run: bool) -> RestoreReport {
        let restored = self.planned.iter().filter_map(|planned| {
            let outcome = match planned.how {
                How::Load { replaces: None } => Restored::Created,
                How::Load { replaces: Some(_) } | How::LoadIfEmpty { .. } => Restored::Replaced,
                How::Merge { .. } => Restored::Merged,
                How::DefinitionOnly { exists: false } => Restored::DefinitionOnly,
                How::DefinitionOnly { exists: true } => Restored::Kept,
            };
            let summary = self.summaries.get(&planned.place);
            let loaded = planned.how.loads();
            let records = loaded || matches!(planned.how, How::Merge { .. });
            Some(RestoredTable {
                table: tables.get(planned.place)?.def.name.clone(),
                into: planned.def.name.clone(),
                outcome,
                records: summary.filter(|_| records).map_or(0, |summary| summary.content.records),
                content: summary.filter(|_| loaded).map(|summary| summary.content.to_string()),
            })
        });
        RestoreReport {
            cluster: header.cluster_name.clone(),
            log_index: header.log_index.0,
            dry_run,
            tables: restored.collect(),
        }
    }
}

/// Under which name a table is filled. Names that would become too long end in a digest of themselves.
fn hidden_name(name: &TableName) -> TableName {
    let plain = format!("{RESTORING_PREFIX}{name}");
    let short = || {
        let digest = crc32c::crc32c(name.as_str().as_bytes());
        let kept = TableName::BYTES_MAX - 9;
        format!("{}-{digest:08x}", plain.get(..kept).unwrap_or(&plain))
    };
    let text = if plain.len() <= TableName::BYTES_MAX { plain.clone() } else { short() };
    TableName::new(&text).expect("a table's name behind the prefix, cut to length, is a table's name")
}

/// The options of a table that is being filled: what would refuse or delete records comes afterwards.
fn while_loading(options: &TableOptions) -> TableOptions {
    TableOptions { owned: options.owned, local_content: options.local_content, ..TableOptions::default() }
}

/// What turns the options of a table that was filled into these.
fn options_to_set(options: &TableOptions) -> Vec<TableOption> {
    let all = [
        TableOption::LoadOrder(options.load_order),
        TableOption::RecordBytesMax(options.record_bytes_max),
        TableOption::TtlMs(options.ttl_ms),
        TableOption::RecordsMax(options.records_max),
        TableOption::BytesMax(options.bytes_max),
        TableOption::ReadOnly(options.read_only),
    ];
    let filled = while_loading(options);
    all.into_iter().filter(|option| filled.with(*option) != filled).collect()
}

fn progress(phase: &str, records_done: u64, records_total: Option<u64>, bytes_done: u64) -> Progress {
    let phase = phase.to_owned();
    Progress { phase, records_done, records_total, bytes_done, bytes_total: None, finished: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hidden_names_are_names_and_differ_for_names_that_differ() {
        let long = |last: char| TableName::new(&format!("{}{last}", "x".repeat(127))).unwrap();
        assert_eq!(hidden_name(&"t".parse().unwrap()).as_str(), "_restoring.t");
        assert_ne!(hidden_name(&long('a')), hidden_name(&long('b')));
        assert!(hidden_name(&long('a')).as_str().len() <= TableName::BYTES_MAX);
    }

    #[test]
    fn the_options_that_are_set_after_loading_make_up_the_whole() {
        let options = TableOptions {
            owned: true,
            load_order: 3,
            record_bytes_max: Some(9),
            read_only: true,
            ttl_ms: Some(1),
            records_max: Some(2),
            bytes_max: Some(4),
            ..TableOptions::default()
        };
        let set = options_to_set(&options);
        let made = set.iter().fold(while_loading(&options), |options, option| options.with(*option));
        assert_eq!(made, options);
        assert!(options_to_set(&TableOptions::default()).is_empty());
    }
}

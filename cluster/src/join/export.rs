//! Local records, and what becomes of them when their node joins a cluster.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use tabularaft_schema::TableName;
use tabularaft_store::View;

/// What happens to records that a node has when it joins a cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LocalData {
    /// The join is refused and names the tables with their counts.
    #[default]
    Refuse,
    /// They are written to files of NDJSON in the data directory's `exports`, which `store-admin load` reads back.
    Export,
    /// They are discarded.
    Discard,
}

/// The tables that hold records.
pub(crate) fn holdings(view: &View) -> Vec<(TableName, u64)> {
    let held = view.tables().filter(|copy| !copy.is_empty());
    held.map(|copy| (copy.def().name.clone(), copy.len())).collect()
}

/// Writes every table with records to a file of its own, synced before this returns.
pub(crate) fn write(view: &View, dir: &Path) -> Result<Vec<PathBuf>, (PathBuf, String)> {
    let failed = |path: &Path, error: &dyn std::fmt::Display| (path.to_owned(), error.to_string());
    fs::create_dir_all(dir).map_err(|error| failed(dir, &error))?;
    let mut files = Vec::new();
    for copy in view.tables().filter(|copy| !copy.is_empty()) {
        let path = free_path(dir, copy.def().name.as_str());
        let file = File::create_new(&path).map_err(|error| failed(&path, &error))?;
        let mut out = BufWriter::new(file);
        for record in copy.rows() {
            let record = record.map_err(|error| failed(&path, &error))?;
            let bytes = copy.record_bytes(&record).map_err(|error| failed(&path, &error))?;
            let json = copy.def().shape.to_json(&bytes).map_err(|error| failed(&path, &error))?;
            writeln!(out, "{json}").map_err(|error| failed(&path, &error))?;
        }
        let file = out.into_inner().map_err(|error| failed(&path, &error))?;
        file.sync_all().map_err(|error| failed(&path, &error))?;
        files.push(path);
    }
    Ok(files)
}

/// A name that no earlier export has: exports are never overwritten.
fn free_path(dir: &Path, table: &str) -> PathBuf {
    let plain = dir.join(format!("{table}.ndjson"));
    if !plain.exists() {
        return plain;
    }
    let numbered = (1_u32..).map(|number| dir.join(format!("{table}.{number}.ndjson")));
    let mut free = numbered.skip_while(|path| path.exists());
    free.next().unwrap_or(plain)
}

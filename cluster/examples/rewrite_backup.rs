//! Rewrites a backup: a table gets another name, some of its records are left out, the others are changed. What
//! `mnesia:traverse_backup` is for.
//!
//! `cargo run -p tabularaft --example rewrite_backup`

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tabularaft::{
    BackupOptions, BackupReader, BackupRecord, BackupWriter, Node, Record, RestoreOptions, TableDef,
};

#[derive(Record, Serialize, Deserialize, Debug, PartialEq)]
#[record(table = "account", kind = "ordered-set", copy = "ram")]
struct Account {
    #[key]
    name: String,
    cents: u64,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let node = Node::builder("bank@localhost").diskless().listen("127.0.0.1:0").start().await?;
    node.create_table::<Account>().await?;
    let accounts = node.table::<Account>()?;
    for (name, cents) in [("ann", 100), ("bob", 0), ("eve", 250)] {
        accounts.insert(&Account { name: name.to_owned(), cents }).await?;
    }
    let (backup, _) = node.backup_to(Vec::new(), &BackupOptions::default()).await?;

    let rewritten = rewrite(&backup)?;
    let file = std::env::temp_dir().join(format!("rewritten-{}.backup", std::process::id()));
    std::fs::write(&file, &rewritten)?;
    let restored = node.restore(&file, &RestoreOptions::default()).await;
    std::fs::remove_file(&file)?;
    for table in restored?.tables {
        println!("restored {} records into {}", table.records, table.into);
    }
    node.shutdown().await;
    Ok(())
}

/// Leaves empty accounts out, and doubles the others.
fn rewrite(backup: &[u8]) -> Result<Vec<u8>, Box<dyn std::error::Error>> {
    let reader = BackupReader::new("the backup", backup)?;
    let mut tables = reader.tables().to_vec();
    for table in &mut tables {
        let name = format!("former_{}", table.def.name).parse()?;
        table.def = Arc::new(TableDef { name, ..TableDef::clone(&table.def) });
    }
    let mut writer = BackupWriter::new("the rewritten backup", Vec::new(), reader.header(), tables)?;
    for entry in reader {
        let entry = entry?;
        let account: Account = entry.decode()?;
        if account.cents > 0 {
            let record = Account { cents: 2 * account.cents, ..account }.encode()?;
            writer.push(entry.table, &BackupRecord { record, ..entry.record })?;
        }
    }
    Ok(writer.finish()?.0)
}

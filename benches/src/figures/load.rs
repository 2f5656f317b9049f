//! `load_<table>`: a table filled by many callers on the leader, one record per write.

use super::{LOADERS, Scale};
use crate::Failure;
use crate::cluster::Cluster;
use crate::items::{RECORD_BYTES, TableChoice};
use crate::report;

pub(super) async fn take(scale: &Scale) -> Result<(), Failure> {
    for table in TableChoice::BOTH {
        let mut cluster = Cluster::form(&scale.dir).await?;
        let seconds = cluster.load(table, scale.records, LOADERS).await?;
        let name = format!("load_{}", table.label());
        report::figure(&name, seconds, "s");
        report::figure(format!("{name}_rate"), scale.records as f64 / seconds, "records/s");
        report::figure(format!("{name}_bytes"), megabytes(scale.records) / seconds, "MB/s");
    }
    Ok(())
}

/// Keys and values of this many records.
pub(super) fn megabytes(records: u64) -> f64 {
    records as f64 * RECORD_BYTES as f64 / 1e6
}

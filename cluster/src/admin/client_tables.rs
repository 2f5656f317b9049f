//! Changes of tables, asked for.

use tabularaft_schema::{CopyMode, NodeName, RecordShape, TableName, TableOption};

use super::client::{AdminClient, Written};
use super::error::AdminError;
use super::protocol::{AdminReply, AdminRequest, Outcome, Progress};

/// Changes of tables while they are in use. Errors are as of all requests.
impl AdminClient {
    /// Gives a table another name.
    pub async fn rename_table(&self, table: &TableName, to: &TableName) -> Result<Written, AdminError> {
        self.write(&AdminRequest::TableRename { table: table.clone(), to: to.clone() }).await
    }

    /// Changes options of a table, one after the other.
    pub async fn set_table_options(
        &self,
        table: &TableName,
        options: Vec<TableOption>,
    ) -> Result<Written, AdminError> {
        self.write(&AdminRequest::TableSet { table: table.clone(), options }).await
    }

    /// Makes all nodes hold the table in this mode.
    pub async fn set_copy_mode(
        &self,
        table: &TableName,
        mode: CopyMode,
        progress: impl FnMut(&Progress),
    ) -> Result<(), AdminError> {
        self.operate(&AdminRequest::TableCopyMode { table: table.clone(), mode }, progress).await.map(drop)
    }

    /// Makes the node `to` hold the table instead of `from`. Ends with [`Outcome::Copied`].
    pub async fn move_copy(
        &self,
        table: &TableName,
        from: &NodeName,
        to: &NodeName,
        progress: impl FnMut(&Progress),
    ) -> Result<Outcome, AdminError> {
        let request = AdminRequest::MoveCopy { table: table.clone(), from: from.clone(), to: to.clone() };
        self.operate(&request, progress).await
    }

    /// Gives the records of a table another shape; `now`: ends when all of them are rewritten.
    pub async fn transform_table(
        &self,
        table: &TableName,
        shape: RecordShape,
        now: bool,
        progress: impl FnMut(&Progress),
    ) -> Result<(), AdminError> {
        let request = AdminRequest::TableTransform { table: table.clone(), shape, now };
        self.operate(&request, progress).await.map(drop)
    }

    /// The shapes of former record versions that the table may have records of, by ascending version.
    pub async fn former_shapes(&self, table: &TableName) -> Result<Vec<RecordShape>, AdminError> {
        match self.ask(&AdminRequest::FormerShapes { table: table.clone() }).await? {
            AdminReply::FormerShapes(shapes) => Ok(shapes),
            other => Err(self.unexpected(&other)),
        }
    }
}

//! Changing tables while they are in use.

use tabularaft_schema::{CopyMode, NodeName, SchemaChange, TableName, TableOption};
use tabularaft_store::LogIndex;

use crate::error::TableError;
use crate::node::Node;

/// Changes of tables. They go through the log like writes, between two writes, and while others read and write.
impl Node {
    /// Gives a table another name. Handles that are open stay with it; programs that open it by its old name find none.
    ///
    /// # Errors
    ///
    /// [`TableError`] if there is no such table, or the new name is taken.
    pub async fn rename_table(&self, table: &TableName, to: &TableName) -> Result<LogIndex, TableError> {
        let change = SchemaChange::RenameTable { from: table.clone(), to: to.clone() };
        self.inner.change_schema(change).await
    }

    /// Changes an option of a table.
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// use tabularaft::schema::{FieldType, TableDef, TableOption};
    /// use tabularaft::Node;
    ///
    /// let node = Node::builder("n1@localhost").diskless().listen("127.0.0.1:0").start().await?;
    /// let def = TableDef::builder("session")?.field("client", FieldType::String).key("client").build()?;
    /// let session = def.name.clone();
    /// node.create(def).await?;
    /// node.set_table_option(&session, TableOption::RecordsMax(Some(100_000))).await?;
    /// node.set_table_option(&session, TableOption::ReadOnly(true)).await?;
    /// # node.shutdown().await; Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
    /// ```
    ///
    /// # Errors
    ///
    /// [`TableError`] if there is no such table, or the option contradicts another one.
    pub async fn set_table_option(
        &self,
        table: &TableName,
        option: TableOption,
    ) -> Result<LogIndex, TableError> {
        self.inner.change_schema(SchemaChange::SetOption { table: table.clone(), option }).await
    }

    /// Makes all nodes hold a table in this mode, those with a mode of their own included; a node without a copy still
    /// has none. Returns when all nodes that can be reached hold it so.
    ///
    /// # Errors
    ///
    /// [`TableError`] if there is no such table, or a node does not follow in time.
    pub async fn set_copy_mode(&self, table: &TableName, mode: CopyMode) -> Result<(), TableError> {
        crate::admin::set_default_copy(&self.inner, table, mode, &|_| {}).await
    }

    /// Makes `to` hold the table instead of `from`, in the same mode: first the copy is made and compared with the
    /// others at one log index, then the old one is deleted.
    ///
    /// # Errors
    ///
    /// [`TableError`] if `from` votes, since a voter holds every table; if it holds no copy; or if the copy is not made.
    /// Then `from` still holds its own.
    pub async fn move_copy(
        &self,
        table: &TableName,
        from: &NodeName,
        to: &NodeName,
    ) -> Result<(), TableError> {
        crate::admin::move_copy(&self.inner, table, from, to, &|_| {}).await.map(drop)
    }

    /// Makes a node give up its copy of a table.
    ///
    /// # Errors
    ///
    /// [`TableError`] if the node votes, since a voter holds every table, or is unknown.
    pub async fn delete_copy(&self, table: &TableName, on: &NodeName) -> Result<(), TableError> {
        crate::admin::delete_copy(&self.inner, table, on).await
    }
}

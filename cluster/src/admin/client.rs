//! The asking side of the administrative protocol.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tabularaft_schema::{CopyMode, NodeName, TableDef, TableId, TableName};
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::error::{AdminError, AdminErrorKind};
use super::protocol::{
    AdminReply, AdminRequest, Cursor, OnLocalData, OperationId, Outcome, Page, Progress, ReadMode,
    ScanRequest, TableRef,
};
use super::{ClusterStatus, RecoveryStatus, TableInfo, TableSummary, VerifyReport};
use crate::door;
use crate::peers::FEATURE_LEVEL;
use crate::transport::{
    CallError, ConnectError, Connection, Hello, Lane, PeerIdentity, Role, Secret, TransportConfig,
};
use crate::wire::{Answer, Call};

/// How often an operation is asked how far it is.
const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// The first question comes earlier, because most operations are short.
const FIRST_POLL: Duration = Duration::from_millis(15);

/// How long to wait before a broken connection is made anew.
const RECONNECT_INTERVAL: Duration = Duration::from_millis(100);

/// What a write reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Written {
    /// Records written or deleted.
    pub records: u64,
    /// The log index that holds the change.
    pub log_index: u64,
}

/// A connection to one node for administration.
///
/// Requests that only read are sent again over a new connection when the old one breaks, within the timeout.
/// A request that changes something is sent once: if its reply is lost the error is of kind
/// [`Unknown`](AdminErrorKind::Unknown).
pub struct AdminClient {
    address: String,
    config: TransportConfig,
    timeout: Duration,
    connection: Mutex<Connection>,
}

impl AdminClient {
    /// Connects to the node at `address`, `host:port`. `timeout` is how long each later request waits for its
    /// answer, too.
    ///
    /// # Errors
    /// [`Unreachable`](AdminErrorKind::Unreachable) with the reason.
    pub async fn connect(
        address: &str,
        secret: Option<Secret>,
        timeout: Duration,
    ) -> Result<Self, AdminError> {
        let config = TransportConfig {
            secret: secret.map(Arc::new),
            connect_timeout: timeout,
            handshake_timeout: timeout,
            ..TransportConfig::default()
        };
        let connection = open(address, &config).await?;
        Ok(Self { address: address.into(), config, timeout, connection: Mutex::new(connection) })
    }

    pub(super) fn timeout(&self) -> Duration {
        self.timeout
    }

    /// The address of the node, as given.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// How the cluster is, as the node sees it.
    ///
    /// # Errors
    /// See [`AdminErrorKind`]; this holds for all requests.
    pub async fn status(&self) -> Result<ClusterStatus, AdminError> {
        match self.ask(&AdminRequest::Status).await? {
            AdminReply::Status(status) => Ok(status),
            other => Err(self.unexpected(&other)),
        }
    }

    /// The times that the cluster went on without its majority, the last one last.
    pub async fn recoveries(&self) -> Result<Vec<RecoveryStatus>, AdminError> {
        match self.ask(&AdminRequest::Recoveries).await? {
            AdminReply::Recoveries(recoveries) => Ok(recoveries),
            other => Err(self.unexpected(&other)),
        }
    }

    /// All tables.
    pub async fn tables(&self) -> Result<Vec<TableSummary>, AdminError> {
        match self.ask(&AdminRequest::TableList).await? {
            AdminReply::Tables(tables) => Ok(tables),
            other => Err(self.unexpected(&other)),
        }
    }

    /// The definition and the copies of a table.
    pub async fn table(&self, table: &TableName) -> Result<TableInfo, AdminError> {
        match self.ask(&AdminRequest::TableInfo { table: table.clone() }).await? {
            AdminReply::Table(info) => Ok(info),
            other => Err(self.unexpected(&other)),
        }
    }

    /// Creates a table. Returns its id, and false when an identical one was there already.
    pub async fn create_table(&self, def: TableDef) -> Result<(TableId, bool), AdminError> {
        match self.ask(&AdminRequest::TableCreate { def }).await? {
            AdminReply::TableCreated { id, new } => Ok((id, new)),
            other => Err(self.unexpected(&other)),
        }
    }

    /// Deletes a table and all its copies.
    pub async fn drop_table(&self, table: &TableName) -> Result<Written, AdminError> {
        self.write(&AdminRequest::TableDrop { table: table.clone() }).await
    }

    /// Deletes all records of a table.
    pub async fn clear_table(&self, table: &TableName) -> Result<Written, AdminError> {
        self.write(&AdminRequest::TableClear { table: table.clone() }).await
    }

    /// Writes encoded records, all of them or none.
    pub async fn put_many(&self, table: &TableRef, records: Vec<Bytes>) -> Result<Written, AdminError> {
        self.write(&AdminRequest::PutMany { table: table.clone(), records }).await
    }

    /// The encoded record of a key, or a bag's records of it.
    pub async fn get(&self, table: &TableRef, key: Bytes, read: ReadMode) -> Result<Vec<Bytes>, AdminError> {
        match self.ask(&AdminRequest::Get { table: table.clone(), key, read }).await? {
            AdminReply::Records(records) => Ok(records),
            other => Err(self.unexpected(&other)),
        }
    }

    /// Deletes all records of a key.
    pub async fn delete(&self, table: &TableRef, key: Bytes) -> Result<Written, AdminError> {
        self.write(&AdminRequest::Delete { table: table.clone(), key }).await
    }

    /// One page of a scan; `after` is the cursor of the page before.
    pub async fn scan(&self, request: &ScanRequest, after: Option<Cursor>) -> Result<Page, AdminError> {
        let request = ScanRequest { after, ..request.clone() };
        match self.ask(&AdminRequest::Scan(request)).await? {
            AdminReply::Page(page) => Ok(page),
            other => Err(self.unexpected(&other)),
        }
    }

    /// The node joins the cluster of `peer`. Returns whether anything changed, and the files to which its
    /// former records went.
    pub async fn join(
        &self,
        peer: &str,
        on_local_data: OnLocalData,
        progress: impl FnMut(&Progress),
    ) -> Result<(bool, Vec<String>), AdminError> {
        let request = AdminRequest::Join { peer: peer.into(), on_local_data };
        match self.operate(&request, progress).await? {
            Outcome::Joined { changed, exported } => Ok((changed, exported)),
            other => Err(self.unexpected(&other)),
        }
    }

    /// The node leaves its cluster and serves alone.
    pub async fn leave(&self, progress: impl FnMut(&Progress)) -> Result<(), AdminError> {
        self.operate(&AdminRequest::Leave, progress).await.map(drop)
    }

    /// Takes a node out of the cluster, dead or alive.
    pub async fn remove(
        &self,
        name: &NodeName,
        force: bool,
        progress: impl FnMut(&Progress),
    ) -> Result<(), AdminError> {
        self.operate(&AdminRequest::Remove { name: name.clone(), force }, progress).await.map(drop)
    }

    /// The node `to` holds the table from now on, in this mode. Ends with [`Outcome::Copied`].
    pub async fn copy_table(
        &self,
        table: &TableName,
        to: &NodeName,
        from: Option<&NodeName>,
        mode: CopyMode,
        progress: impl FnMut(&Progress),
    ) -> Result<Outcome, AdminError> {
        let request =
            AdminRequest::CopyTable { table: table.clone(), to: to.clone(), from: from.cloned(), mode };
        self.operate(&request, progress).await
    }

    /// The node `on` gives up its copy of the table.
    pub async fn delete_copy(
        &self,
        table: &TableName,
        on: &NodeName,
        progress: impl FnMut(&Progress),
    ) -> Result<(), AdminError> {
        let request = AdminRequest::DeleteCopy { table: table.clone(), on: on.clone() };
        self.operate(&request, progress).await.map(drop)
    }

    /// Compares the copies of every table on all nodes.
    pub async fn verify(&self, progress: impl FnMut(&Progress)) -> Result<VerifyReport, AdminError> {
        match self.operate(&AdminRequest::Verify, progress).await? {
            Outcome::Verified(report) => Ok(report),
            other => Err(self.unexpected(&other)),
        }
    }

    /// As [`AdminClient::verify`], but the digests are of what the records say, whichever writes have led to them, so
    /// that they can be compared with those of a backup or of another cluster.
    pub async fn verify_content(&self, progress: impl FnMut(&Progress)) -> Result<VerifyReport, AdminError> {
        match self.operate(&AdminRequest::VerifyContent, progress).await? {
            Outcome::Verified(report) => Ok(report),
            other => Err(self.unexpected(&other)),
        }
    }

    /// Starts an operation and asks how far it is until it has ended. It may take as long as it likes while
    /// the node answers.
    pub(super) async fn operate(
        &self,
        request: &AdminRequest,
        mut progress: impl FnMut(&Progress),
    ) -> Result<Outcome, AdminError> {
        let operation = match self.ask(request).await? {
            AdminReply::Started(operation) => operation,
            other => return Err(self.unexpected(&other)),
        };
        let mut wait = FIRST_POLL;
        loop {
            door::sleep(wait).await;
            wait = POLL_INTERVAL;
            let now = self.progress_of(operation).await?;
            progress(&now);
            if let Some(outcome) = now.finished {
                return outcome;
            }
        }
    }

    async fn progress_of(&self, operation: OperationId) -> Result<Progress, AdminError> {
        match self.ask(&AdminRequest::Progress { operation }).await {
            Ok(AdminReply::Progress(progress)) => Ok(progress),
            Ok(other) => Err(self.unexpected(&other)),
            // The operation was started, so whatever keeps us from seeing its end leaves its outcome open.
            Err(error) => Err(AdminError::unknown(format!(
                "lost sight of the operation, it may have been carried out ({error}); see `store-admin cluster status`"
            ))),
        }
    }

    pub(super) async fn write(&self, request: &AdminRequest) -> Result<Written, AdminError> {
        match self.ask(request).await? {
            AdminReply::Written { records, log_index } => Ok(Written { records, log_index }),
            other => Err(self.unexpected(&other)),
        }
    }

    pub(crate) async fn ask(&self, request: &AdminRequest) -> Result<AdminReply, AdminError> {
        let deadline = Instant::from(door::now() + self.timeout);
        let call = encode_call(request);
        loop {
            let attempt = self.attempt(&call, deadline).await;
            let in_time = Instant::from(door::now()) < deadline;
            match attempt {
                Ok(answer) => return self.open_answer(&answer),
                Err(lost) if in_time && lost.may_repeat(request) => door::sleep(RECONNECT_INTERVAL).await,
                Err(lost) => return Err(lost.into_error(request)),
            }
        }
    }

    /// One try, over a new connection if the old one has ended.
    async fn attempt(&self, call: &Bytes, deadline: Instant) -> Result<Bytes, Lost> {
        let connection = {
            let mut current = self.connection.lock().await;
            if current.is_closed() {
                *current = open(&self.address, &self.config).await.map_err(Lost::NotConnected)?;
            }
            current.clone()
        };
        connection.call(call.clone(), deadline).await.map_err(Lost::Call)
    }

    fn open_answer(&self, bytes: &[u8]) -> Result<AdminReply, AdminError> {
        match postcard::from_bytes(bytes) {
            Ok(Answer::Admin(reply)) => AdminReply::decode(&reply),
            Ok(Answer::Failed(why)) => Err(AdminError::internal(why)),
            Ok(_) => Err(AdminError::internal(format!(
                "the node at {} answered something else than was asked",
                self.address
            ))),
            Err(error) => Err(AdminError::invalid(format!(
                "the answer of the node at {} cannot be read ({error}): use a store-admin of the node's version",
                self.address
            ))),
        }
    }

    pub(super) fn unexpected(&self, reply: &impl std::fmt::Debug) -> AdminError {
        tracing::debug!(?reply, "unexpected administrative reply");
        AdminError::internal(format!(
            "the node at {} gave an answer that does not fit the request",
            self.address
        ))
    }
}

impl std::fmt::Debug for AdminClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AdminClient")
            .field("address", &self.address)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

/// Why a try brought no answer.
enum Lost {
    NotConnected(AdminError),
    Call(CallError),
}

impl Lost {
    /// Whether sending the request again can do no harm and may do good.
    fn may_repeat(&self, request: &AdminRequest) -> bool {
        match self {
            Self::NotConnected(_) => true,
            Self::Call(CallError::TooLarge { .. } | CallError::Refused { .. }) => false,
            Self::Call(error) => request.is_read() || !error.may_have_arrived(),
        }
    }

    fn into_error(self, request: &AdminRequest) -> AdminError {
        match self {
            Self::NotConnected(error) => error,
            Self::Call(error @ CallError::TooLarge { .. }) => AdminError::invalid(error.to_string()),
            Self::Call(error) if error.may_have_arrived() && !request.is_read() => {
                AdminError::unknown(error.to_string())
            }
            Self::Call(CallError::TimedOut { peer, after }) => AdminError::unreachable(format!(
                "no answer from {peer} within {after:?}; a longer --timeout may help"
            )),
            Self::Call(error) => AdminError::new(AdminErrorKind::Unreachable, error.to_string()),
        }
    }
}

fn encode_call(request: &AdminRequest) -> Bytes {
    let call = Call::Admin(request.encode());
    Bytes::from(postcard::to_stdvec(&call).expect("only I/O and unsized sequences fail, and there are none"))
}

async fn open(address: &str, config: &TransportConfig) -> Result<Connection, AdminError> {
    let hello = Hello {
        feature_level: FEATURE_LEVEL,
        // An operator's tool belongs to no cluster and talks to any.
        cluster_name: String::new(),
        cluster_id: None,
        from: PeerIdentity::client(),
        role: Role::Client,
        lane: Lane::Calls,
        wants: None,
    };
    Connection::open(address, hello, config).await.map_err(|error| unreachable(&error))
}

fn unreachable(error: &ConnectError) -> AdminError {
    let hint = match error {
        ConnectError::Unreachable { .. } => ": is the node running there? --node HOST:PORT names another",
        _ => "",
    };
    let cause = std::error::Error::source(error).map(|cause| format!(" ({cause})")).unwrap_or_default();
    AdminError::unreachable(format!("{error}{cause}{hint}"))
}

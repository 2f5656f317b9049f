//! TPC-B: a bank whose every transaction changes a branch, one of its tellers and an account, and notes it in a history.
//!
//! All balances begin at 0, so that at any moment the sums of branches, tellers, accounts and history are equal.

use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use serde::{Deserialize, Serialize};
use tabularaft::{CopyMode, Node, ReadError, Record, TableError, TransactionError, Tx, TxError};

use super::{Caller, Read, create_table, insert_all, percent};

/// Tellers of one branch.
pub const TELLERS: u64 = 10;
/// Bytes that fill records up to the 100 that the workload prescribes.
const FILLER_BYTES: usize = 84;
/// The most that one transaction moves, in either direction.
const AMOUNT_MAX: i64 = 999_999;

/// A branch of the bank.
#[derive(Debug, Clone, Record, Serialize, Deserialize)]
#[record(table = "tpcb_branch", kind = "set", copy = "ram")]
pub struct Branch {
    #[key]
    number: u64,
    balance: i64,
    #[serde(with = "serde_bytes")]
    filler: Vec<u8>,
}

/// A teller of a branch.
#[derive(Debug, Clone, Record, Serialize, Deserialize)]
#[record(table = "tpcb_teller", kind = "set", copy = "ram")]
pub struct Teller {
    #[key]
    number: u64,
    branch: u64,
    balance: i64,
    #[serde(with = "serde_bytes")]
    filler: Vec<u8>,
}

/// An account at a branch.
#[derive(Debug, Clone, Record, Serialize, Deserialize)]
#[record(table = "tpcb_account", kind = "set", copy = "ram")]
pub struct Account {
    #[key]
    number: u64,
    branch: u64,
    balance: i64,
    #[serde(with = "serde_bytes")]
    filler: Vec<u8>,
}

/// What one transaction has moved.
#[derive(Debug, Clone, Record, Serialize, Deserialize)]
#[record(table = "tpcb_history", kind = "set", copy = "ram")]
pub struct History {
    #[key]
    driver: u64,
    #[key]
    sequence: u64,
    branch: u64,
    teller: u64,
    account: u64,
    amount: i64,
}

/// How large the bank is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scale {
    /// Branches, each with [`TELLERS`] tellers. With one branch every transaction changes the same record.
    pub branches: u64,
    /// Accounts of each branch.
    pub accounts_per_branch: u64,
}

/// How a transaction is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Form {
    /// Records are read, changed and written back: if another transaction was faster, it is tried again.
    ReadModifyWrite,
    /// As `ReadModifyWrite`, but records are read for update: transactions queue for them at the leader.
    ForUpdate,
    /// Balances are added to at the leader, which conflicts with nobody.
    Add,
}

/// What one transaction does.
#[derive(Debug, Clone, Copy)]
struct Transfer {
    branch: u64,
    teller: u64,
    account: u64,
    amount: i64,
}

/// The sums over all records of each table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sums {
    /// Of the balances of branches.
    pub branches: i64,
    /// Of the balances of tellers.
    pub tellers: i64,
    /// Of the balances of accounts.
    pub accounts: i64,
    /// Of the amounts in the history.
    pub history: i64,
    /// How many transactions the history has.
    pub transactions: u64,
}

impl Sums {
    /// Whether the bank is consistent.
    pub fn agree(&self) -> bool {
        self.branches == self.tellers && self.tellers == self.accounts && self.accounts == self.history
    }
}

/// Creates the four tables.
///
/// # Errors
/// As [`Node::create`].
pub async fn create(node: &Node, mode: CopyMode) -> Result<(), TableError> {
    create_table::<Branch>(node, mode).await?;
    create_table::<Teller>(node, mode).await?;
    create_table::<Account>(node, mode).await?;
    create_table::<History>(node, mode).await
}

/// Fills the bank.
///
/// # Errors
/// A write failed.
pub async fn load(node: &Node, scale: Scale) -> Result<(), crate::Failure> {
    let filler = || vec![b'f'; FILLER_BYTES];
    let branch = |number| Branch { number, balance: 0, filler: filler() };
    insert_all(node, (0..scale.branches).map(branch)).await?;
    let teller = |number| Teller { number, branch: number / TELLERS, balance: 0, filler: filler() };
    insert_all(node, (0..scale.branches * TELLERS).map(teller)).await?;
    let account =
        |number| Account { number, branch: number / scale.accounts_per_branch, balance: 0, filler: filler() };
    insert_all(node, (0..scale.branches * scale.accounts_per_branch).map(account)).await
}

/// The sums in one view of this node.
///
/// # Errors
/// As [`Table::iter`](tabularaft::Table::iter).
pub fn sums(node: &Node) -> Result<Sums, ReadError> {
    let view = node.view()?;
    let history = view.table::<History>()?.all()?;
    Ok(Sums {
        branches: view.table::<Branch>()?.all()?.iter().map(|branch| branch.balance).sum(),
        tellers: view.table::<Teller>()?.all()?.iter().map(|teller| teller.balance).sum(),
        accounts: view.table::<Account>()?.all()?.iter().map(|account| account.balance).sum(),
        history: history.iter().map(|entry| entry.amount).sum(),
        transactions: history.len() as u64,
    })
}

/// One caller that carries out transaction after transaction.
pub struct Driver {
    number: u64,
    sequence: u64,
    scale: Scale,
    form: Form,
    random: SmallRng,
}

impl Driver {
    /// `number` tells the driver's history from those of others: no two lives of a driver may share it.
    pub fn new(number: u64, scale: Scale, form: Form) -> Self {
        Self { number, sequence: 0, scale, form, random: SmallRng::seed_from_u64(number) }
    }

    /// The account is one of the teller's branch in 85 of 100 cases, else one of another branch.
    fn draw(&mut self) -> Transfer {
        let Scale { branches, accounts_per_branch } = self.scale;
        let teller = self.random.random_range(0..branches * TELLERS);
        let branch = teller / TELLERS;
        let foreign = branches > 1 && percent(&mut self.random, 15);
        let of = match foreign {
            true => (branch + self.random.random_range(1..branches)) % branches,
            false => branch,
        };
        let account = of * accounts_per_branch + self.random.random_range(0..accounts_per_branch);
        let amount = self.random.random_range(-AMOUNT_MAX..=AMOUNT_MAX);
        Transfer { branch, teller, account, amount }
    }
}

impl Caller for Driver {
    async fn step(&mut self, node: &Node) -> Result<(), TransactionError> {
        let transfer = self.draw();
        self.sequence += 1;
        let entry = History {
            driver: self.number,
            sequence: self.sequence,
            branch: transfer.branch,
            teller: transfer.teller,
            account: transfer.account,
            amount: transfer.amount,
        };
        match self.form {
            Form::ReadModifyWrite => node.transaction(|tx| modify(tx, transfer, &entry, Read::Plain)).await,
            Form::ForUpdate => node.transaction(|tx| modify(tx, transfer, &entry, Read::ForUpdate)).await,
            Form::Add => node.transaction(|tx| add(tx, transfer, &entry)).await,
        }
    }
}

/// Reads the three records, changes their balances and writes them back.
fn modify(tx: &Tx, transfer: Transfer, entry: &History, read: Read) -> Result<(), TxError> {
    let Transfer { branch, teller, account, amount } = transfer;
    let (branches, tellers, accounts) =
        (tx.table::<Branch>()?, tx.table::<Teller>()?, tx.table::<Account>()?);
    let mut branch = read.one(&branches, branch)?;
    let mut teller = read.one(&tellers, teller)?;
    let mut account = read.one(&accounts, account)?;
    branch.balance += amount;
    teller.balance += amount;
    account.balance += amount;
    branches.insert(&branch)?;
    tellers.insert(&teller)?;
    accounts.insert(&account)?;
    tx.table::<History>()?.insert(entry)
}

/// Reads nothing: the leader adds to what it has.
fn add(tx: &Tx, transfer: Transfer, entry: &History) -> Result<(), TxError> {
    let Transfer { branch, teller, account, amount } = transfer;
    tx.table::<Branch>()?.add(branch, "balance", amount, None)?;
    tx.table::<Teller>()?.add(teller, "balance", amount, None)?;
    tx.table::<Account>()?.add(account, "balance", amount, None)?;
    tx.table::<History>()?.insert(entry)
}

//! What an operation is to a node: looks the table up by its name, does it, and says what was told.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tabularaft::{Node, Record, Sum, Table, TransactionError, TxError};

use super::ledger::{Told, What};
use crate::tables::{DiscCount, DiscEvent, DiscOnlyWord, DiscWord, RamCount, RamEvent, RamWord};
use crate::workload::{Count, Event};

/// How long an operation is waited for.
const PATIENCE: Duration = Duration::from_millis(3_000);

/// Accounts, and what each of them holds in the beginning.
pub(crate) const ACCOUNTS: u64 = 4;
pub(crate) const DEPOSIT: u64 = 100;

/// An account; all together always hold the same.
#[derive(Record, Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
#[record(table = "disc_account", kind = "ordered-set", copy = "disc")]
pub(crate) struct Account {
    #[key]
    pub(crate) number: u64,
    pub(crate) balance: u64,
}

/// A word of which all writes are known.
pub(crate) trait Word: Record<Key = String> + Clone {
    fn new(key: &str, value: u64) -> Self;
    fn value(&self) -> u64;
}

macro_rules! words {
    ($($word:ident)*) => {$(
        impl Word for $word {
            fn new(key: &str, value: u64) -> Self {
                $word::new(key, value)
            }

            fn value(&self) -> u64 {
                self.word.parse().unwrap_or(u64::MAX)
            }
        }
    )*};
}

words!(RamWord DiscWord DiscOnlyWord);

/// Creates the tables and fills the accounts.
pub(crate) async fn prepare(node: &Node) -> Result<(), String> {
    node.create_table::<RamEvent>().await.map_err(|error| error.to_string())?;
    node.create_table::<RamCount>().await.map_err(|error| error.to_string())?;
    node.create_table::<RamWord>().await.map_err(|error| error.to_string())?;
    node.create_table::<DiscEvent>().await.map_err(|error| error.to_string())?;
    node.create_table::<DiscCount>().await.map_err(|error| error.to_string())?;
    node.create_table::<DiscWord>().await.map_err(|error| error.to_string())?;
    node.create_table::<DiscOnlyWord>().await.map_err(|error| error.to_string())?;
    node.create_table::<Account>().await.map_err(|error| error.to_string())?;
    deposit(node).await
}

/// Gives every account what it holds in the beginning.
pub(crate) async fn deposit(node: &Node) -> Result<(), String> {
    let deposit = node.transaction(|tx| {
        let accounts = tx.table::<Account>()?;
        for number in 0..ACCOUNTS {
            accounts.insert(&Account { number, balance: DEPOSIT })?;
        }
        Ok(())
    });
    deposit.await.map(drop).map_err(|error| error.to_string())
}

/// Does it. `None`: the node has no such table at the moment, and nothing was asked of it.
pub(crate) async fn perform(node: &Node, table: &str, key: &str, what: &What) -> Option<Told> {
    match table {
        "ram_word" => word::<RamWord>(node, key, what).await,
        "disc_word" => word::<DiscWord>(node, key, what).await,
        "disc_only_word" => word::<DiscOnlyWord>(node, key, what).await,
        "ram_count" => count::<RamCount>(node, key).await,
        "disc_count" => count::<DiscCount>(node, key).await,
        "ram_event" => add::<RamEvent>(node, key, what).await,
        "disc_event" => add::<DiscEvent>(node, key, what).await,
        _ => Some(transfer(node, what).await),
    }
}

/// The table, if the node has it.
pub(crate) fn table<R: Record>(node: &Node) -> Option<Table<R>> {
    Some(node.table::<R>().ok()?.with_timeout(PATIENCE))
}

async fn word<W: Word>(node: &Node, key: &str, what: &What) -> Option<Told> {
    let table = table::<W>(node)?;
    Some(match what {
        What::Write(value) => match table.insert(&W::new(key, *value)).await {
            Ok(version) => Told::Version(version),
            Err(error) => Told::error(&error),
        },
        What::Swap { expected, value } => {
            match table.compare_and_swap(*expected, &W::new(key, *value)).await {
                Ok(version) => Told::Version(version),
                Err(error) => Told::error(&error),
            }
        }
        _ => match table.linearize().await {
            Ok(_) => read(&table, key),
            Err(error) => Told::No(error.to_string()),
        },
    })
}

/// What the node's own copy holds, however old it is.
pub(crate) fn read<W: Word>(table: &Table<W>, key: &str) -> Told {
    match table.get_versioned(key) {
        Ok(Some(found)) => Told::Value { version: found.version, value: found.record.value() },
        Ok(None) => Told::Value { version: 0, value: 0 },
        Err(error) => Told::No(error.to_string()),
    }
}

async fn count<C: Count>(node: &Node, key: &str) -> Option<Told> {
    let table = table::<C>(node)?;
    Some(match table.add(key, "value", 1, Some(&C::zero(key))).await {
        Ok(Sum::Unsigned(sum)) => Told::Sum(sum),
        Ok(other) => Told::No(format!("a sum that cannot be: {other:?}")),
        Err(error) => Told::error(&error),
    })
}

async fn add<E: Event>(node: &Node, key: &str, what: &What) -> Option<Told> {
    let table = table::<E>(node)?;
    let What::Add(element) = what else { return None };
    Some(match table.insert(&E::new(key, *element)).await {
        Ok(_) => Told::Done,
        Err(error) => Told::error(&error),
    })
}

async fn transfer(node: &Node, what: &What) -> Told {
    let What::Transfer { from, to, amount } = *what else {
        return Told::No("accounts are only moved between".to_owned());
    };
    let options = tabularaft::TransactionOptions { attempts_max: None, timeout: Some(PATIENCE) };
    let outcome = node.transaction_with(options, |tx| {
        let accounts = tx.table::<Account>()?;
        let balance = |number| match accounts.get(number)? {
            Some(Account { balance, .. }) => Ok::<u64, TxError>(balance),
            None => Err(TxError::abort("there is no such account")),
        };
        let Some(left) = balance(from)?.checked_sub(amount) else {
            return Err(TxError::abort("there is too little"));
        };
        let more = balance(to)? + amount;
        accounts.insert(&Account { number: from, balance: left })?;
        accounts.insert(&Account { number: to, balance: more })
    });
    match outcome.await {
        Ok(_) => Told::Done,
        Err(TransactionError::Write(error)) => Told::error(&error),
        Err(error) => Told::No(error.to_string()),
    }
}

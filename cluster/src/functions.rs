//! Functions that the leader runs on single records: known by name to every program of the cluster.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::OnceLock;

use serde::Serialize;
use serde::de::DeserializeOwned;
use tabularaft_schema::Record;

/// A function of one record and an argument, which the leader runs, so that callers never conflict. Its outcome is what
/// the log holds: the other nodes do not run it.
///
/// Declare it as a `static`, and register it with [`register_function!`](crate::register_function). Every program that
/// may lead needs it: a leader that does not know it rejects the call, naming it.
///
/// A function MUST NOT block, and should take microseconds: while it runs, the cluster decides nothing else.
///
/// ```
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// use serde::{Deserialize, Serialize};
/// use tabularaft::{Function, Node, Record, Update, register_function};
///
/// #[derive(Record, Serialize, Deserialize, Debug, PartialEq)]
/// #[record(table = "account", kind = "set", copy = "disc", crate = "tabularaft::schema")]
/// struct Account { #[key] name: String, balance: u64 }
///
/// /// Takes an amount, and returns what is left.
/// fn withdraw(account: Option<Account>, amount: u64) -> Result<Update<Account, u64>, String> {
///     let mut account = account.ok_or("there is no such account")?;
///     account.balance = account.balance.checked_sub(amount).ok_or("the account has too little")?;
///     let left = account.balance;
///     Ok(Update::put(account, left))
/// }
///
/// static WITHDRAW: Function<Account, u64, u64> = Function::new("withdraw", withdraw);
/// register_function!(WITHDRAW);
///
/// # let node = Node::builder("n1@localhost").diskless().listen("127.0.0.1:0").start().await?;
/// node.create_table::<Account>().await?;
/// let accounts = node.table::<Account>()?;
/// accounts.insert(&Account { name: "ann".into(), balance: 10 }).await?;
/// assert_eq!(accounts.call(&WITHDRAW, "ann", &3).await?, 7);
/// let refused = accounts.call(&WITHDRAW, "ann", &8).await.unwrap_err();
/// assert_eq!(refused.to_string(), "function withdraw: the account has too little");
/// # node.shutdown().await; Ok::<(), tabularaft::Error>(()) }).unwrap();
/// ```
pub struct Function<R, A, V> {
    name: &'static str,
    body: Body<R, A, V>,
    /// Of the records that it takes; looked up at its first call.
    record_version: OnceLock<u32>,
}

/// What a function does: the record, if there is one, and the argument go in.
type Body<R, A, V> = fn(Option<R>, A) -> Result<Update<R, V>, String>;

/// What a function makes of a record, and what it tells its caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Update<R, V> {
    left: Left<R>,
    value: V,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Left<R> {
    AsItWas,
    Record(R),
    Nothing,
}

impl<R, V> Update<R, V> {
    /// The record is this one from now on. It must have the key that was asked for.
    pub fn put(record: R, value: V) -> Self {
        Self { left: Left::Record(record), value }
    }

    /// There is no record from now on.
    pub fn delete(value: V) -> Self {
        Self { left: Left::Nothing, value }
    }

    /// Nothing changes.
    pub fn keep(value: V) -> Self {
        Self { left: Left::AsItWas, value }
    }
}

impl<R: Record, A, V> Function<R, A, V> {
    /// A function of this name, which must be the same in all programs of a cluster.
    pub const fn new(name: &'static str, body: Body<R, A, V>) -> Self {
        Self { name, body, record_version: OnceLock::new() }
    }

    /// The name by which the leader knows it.
    pub fn name(&self) -> &'static str {
        self.name
    }
}

/// The bytes of the record, or that there is none, and those of the value for the caller.
type Called = (Option<Vec<u8>>, Vec<u8>);

/// A registered function without its types. Not public API.
#[doc(hidden)]
pub trait AnyFunction: Sync {
    /// Its name.
    fn name(&self) -> &'static str;
    /// The table whose records it takes.
    fn table(&self) -> &'static str;
    /// The version of the records that it takes.
    fn record_version(&self) -> u32;
    /// Runs it on a record and an argument, both as bytes.
    ///
    /// # Errors
    ///
    /// Why the function refuses.
    fn call(&self, record: Option<&[u8]>, argument: &[u8]) -> Result<Called, String>;
}

impl<R: Record, A: DeserializeOwned, V: Serialize> AnyFunction for Function<R, A, V> {
    fn name(&self) -> &'static str {
        self.name
    }

    fn table(&self) -> &'static str {
        R::TABLE
    }

    fn record_version(&self) -> u32 {
        *self.record_version.get_or_init(|| R::table_def().shape.version)
    }

    fn call(&self, record: Option<&[u8]>, argument: &[u8]) -> Result<Called, String> {
        let before = record.map(R::decode).transpose().map_err(|error| error.to_string())?;
        let key = before.as_ref().map(Record::key);
        let argument = postcard::from_bytes(argument)
            .map_err(|error| format!("its argument cannot be read: {error}"))?;
        let update = catch_unwind(AssertUnwindSafe(|| (self.body)(before, argument)))
            .unwrap_or_else(|_| Err("it panicked".to_owned()))?;
        let value = postcard::to_stdvec(&update.value).map_err(|error| error.to_string())?;
        let left = match update.left {
            Left::AsItWas => record.map(<[u8]>::to_vec),
            Left::Nothing => None,
            Left::Record(after) if key.is_some_and(|key| key != after.key()) => {
                return Err("it changed the record's key".to_owned());
            }
            Left::Record(after) => Some(after.encode().map_err(|error| error.to_string())?),
        };
        Ok((left, value))
    }
}

/// A function as it stands in the program's list; made by [`register_function!`](crate::register_function).
#[doc(hidden)]
pub struct Registered(&'static dyn AnyFunction);

impl Registered {
    /// Wraps a function for the list.
    #[must_use]
    pub const fn new(function: &'static dyn AnyFunction) -> Self {
        Self(function)
    }
}

tabularaft_schema::__private::inventory::collect!(Registered);

/// Registers a `static` [`Function`](crate::Function) with every program that this crate is linked into. Write it
/// outside of functions; what is said of linking at [`register_module!`](crate::register_module) holds here too.
#[macro_export]
macro_rules! register_function {
    ($function:path $(,)?) => {
        const _: () = {
            $crate::schema::__private::inventory::submit! { $crate::Registered::new(&$function) }
        };
    };
}

/// The function of this name, if this program has it.
pub(crate) fn find(name: &str) -> Option<&'static dyn AnyFunction> {
    static ALL: OnceLock<BTreeMap<&'static str, &'static dyn AnyFunction>> = OnceLock::new();
    let all = ALL.get_or_init(|| registered().map(|function| (function.name(), function)).collect());
    all.get(name).copied()
}

/// A name under which two functions are registered.
pub(crate) fn ambiguous() -> Option<&'static str> {
    let mut seen = std::collections::BTreeSet::new();
    registered().map(|function| function.name()).find(|name| !seen.insert(*name))
}

fn registered() -> impl Iterator<Item = &'static dyn AnyFunction> {
    tabularaft_schema::__private::inventory::iter::<Registered>.into_iter().map(|registered| registered.0)
}

//! TPC-B and the telecom workload, as `tabularaft-benches` writes them for whole-cluster tests too.

use std::time::{Duration, Instant};

use compare_lines::callers::{self, Caller};
use compare_lines::{Failure, Line};
use tabularaft::Node;
use tabularaft_benches::workloads::{self, telecom, tpcb};

use crate::copy_mode::copy_mode;

const LOOK_EVERY: Duration = Duration::from_millis(2);

/// Creates the tables of the workload.
pub(super) async fn create(node: &Node, command: &Line) -> Result<(), Failure> {
    let mode = copy_mode(command)?;
    match command.text("table")? {
        "tpcb" => tpcb::create(node, mode).await?,
        _ => telecom::create(node, mode).await?,
    }
    Ok(())
}

/// Fills them.
pub(super) async fn fill(node: &Node, command: &Line) -> Result<(), Failure> {
    match command.text("table")? {
        "tpcb" => tpcb::load(node, bank(command)?).await,
        _ => telecom::load(node, register(command)?).await,
    }
}

/// Waits until the last table to be filled is whole here.
pub(super) async fn wait(node: &Node, command: &Line, patience: Duration) -> Result<(), Failure> {
    let deadline = Instant::now() + patience;
    let is_bank = command.text("table")? == "tpcb";
    let last = if is_bank { "tpcb_account" } else { "telecom_subscriber" };
    node.wait_for_tables(&[last], patience).await?;
    let records = match is_bank {
        true => bank(command).map(|bank| bank.branches * bank.accounts_per_branch)?,
        false => register(command)?.subscribers,
    };
    loop {
        let count = match is_bank {
            true => node.table::<tpcb::Account>()?.count()?,
            false => node.table::<telecom::Subscriber>()?.count()?,
        };
        if count >= records {
            return Ok(());
        }
        if Instant::now() > deadline {
            return Err(format!("{last} has {count} of {records} records").into());
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Runs the callers of this node.
pub(super) async fn run(node: &Node, command: &Line) -> Result<Line, Failure> {
    // No two runs share a driver's number, so that none overwrites another's history.
    let first: u64 = command.number("first")?;
    let figures = match command.verb.as_str() {
        "tpcb" => {
            let (bank, form) = (bank(command)?, form(command)?);
            let make = |caller| Ok(Classic::new(node, tpcb::Driver::new(first + caller as u64, bank, form)));
            callers::run(command, make).await?
        }
        _ => {
            let register = register(command)?;
            let make =
                |caller| Ok(Classic::new(node, telecom::Generator::new(first + caller as u64, register)));
            callers::run(command, make).await?
        }
    };
    Ok(figures.to_line())
}

/// Whether the sums and bits on this node are as they must be.
pub(super) fn check(node: &Node, command: &Line) -> Result<Line, Failure> {
    if command.text("table")? == "tpcb" {
        let sums = tpcb::sums(node)?;
        return match sums.agree() {
            true => Ok(Line::new("checked").with("sum", sums.history)),
            false => Err(format!("balances differ: {sums:?}").into()),
        };
    }
    match telecom::inconsistencies(node)?.first() {
        None => Ok(Line::new("checked").with("sum", 0)),
        Some(found) => Err(found.as_str().into()),
    }
}

fn bank(command: &Line) -> Result<tpcb::Scale, Failure> {
    Ok(tpcb::Scale {
        branches: command.number("branches")?,
        accounts_per_branch: command.number("accounts")?,
    })
}

fn register(command: &Line) -> Result<telecom::Scale, Failure> {
    Ok(telecom::Scale { subscribers: command.number("records")?, servers: 1 })
}

fn form(command: &Line) -> Result<tpcb::Form, Failure> {
    match command.text("form")? {
        "rmw" => Ok(tpcb::Form::ReadModifyWrite),
        "for-update" => Ok(tpcb::Form::ForUpdate),
        "add" => Ok(tpcb::Form::Add),
        other => Err(format!("no such form of TPC-B: {other}").into()),
    }
}

/// A caller of a workload, on this node.
struct Classic<C> {
    node: Node,
    caller: C,
}

impl<C: workloads::Caller> Classic<C> {
    fn new(node: &Node, caller: C) -> Self {
        Self { node: node.clone(), caller }
    }
}

impl<C: workloads::Caller> Caller for Classic<C> {
    async fn call(&mut self) -> Result<(), Failure> {
        Ok(self.caller.step(&self.node).await?)
    }
}

//! Histories as JSON lines, for any checker: what clients asked, and what they were told.

use std::fs::File;
use std::io::{self, BufWriter, Write as _};
use std::path::Path;

use serde_json::{Value, json};

use super::ledger::{Operation, Told, What};

/// What clients asked and were told in a run.
#[derive(Debug)]
pub struct History {
    pub(crate) operations: Vec<Operation>,
}

impl History {
    /// Writes it to a file, in the order of time.
    ///
    /// # Errors
    ///
    /// As the file's.
    pub fn write(&self, file: &Path) -> io::Result<()> {
        let mut out = BufWriter::new(File::create(file)?);
        for line in self.lines() {
            writeln!(out, "{line}")?;
        }
        out.flush()
    }

    fn lines(&self) -> Vec<Value> {
        let mut lines: Vec<(u64, Value)> = Vec::new();
        for (id, operation) in self.operations.iter().enumerate() {
            let (f, asked) = asked(operation);
            let line = |at_us: u64, kind: &str, value: Value| {
                json!({
                    "time": at_us * 1_000, "process": operation.client, "id": id, "type": kind, "f": f,
                    "key": [operation.table, operation.key], "value": value,
                })
            };
            lines.push((operation.began_us, line(operation.began_us, "invoke", asked.clone())));
            if let Some(end) = &operation.end {
                let (kind, value) = told(&end.told, asked);
                lines.push((end.at_us, line(end.at_us, kind, value)));
            }
        }
        lines.sort_by_key(|(at_us, _)| *at_us);
        lines.into_iter().map(|(_, line)| line).collect()
    }
}

/// A swap goes by the version that its client had read, which a write without a condition stands for here.
fn asked(operation: &Operation) -> (&'static str, Value) {
    match &operation.what {
        What::Write(value) | What::Swap { value, .. } => ("write", json!(value)),
        What::Read => ("read", Value::Null),
        What::Count => ("incr", json!(1)),
        What::Add(element) => ("add", json!(element)),
        What::Transfer { from, to, amount } => {
            ("transfer", json!({ "from": from.to_string(), "to": to.to_string(), "amount": amount }))
        }
    }
}

fn told(told: &Told, asked: Value) -> (&'static str, Value) {
    match told {
        Told::Version(_) | Told::Done => ("ok", asked),
        Told::Value { version: 0, .. } => ("ok", Value::Null),
        Told::Value { value, .. } => ("ok", json!(value)),
        Told::Sum(sum) => ("ok", json!(sum)),
        Told::No(_) => ("fail", asked),
        Told::Unknown => ("info", asked),
    }
}

#[cfg(test)]
mod tests {
    use super::super::ledger::End;
    use super::*;

    #[test]
    fn a_write_is_two_lines_in_the_order_of_time() {
        let operation = |began_us, end: Option<(u64, Told)>| Operation {
            client: 4,
            table: "disc_word",
            key: "k".to_owned(),
            what: What::Write(9),
            began_us,
            end: end.map(|(at_us, told)| End { at_us, told }),
        };
        let operations = vec![operation(5, Some((8, Told::Version(1)))), operation(6, None)];
        let lines: Vec<String> = History { operations }.lines().iter().map(Value::to_string).collect();
        assert_eq!(
            lines[0],
            r#"{"time":5000,"process":4,"id":0,"type":"invoke","f":"write","key":["disc_word","k"],"value":9}"#
        );
        assert!(lines[1].contains(r#""id":1,"type":"invoke""#), "{}", lines[1]);
        assert!(lines[2].contains(r#""id":0,"type":"ok""#), "{}", lines[2]);
        assert_eq!(lines.len(), 3);
    }
}

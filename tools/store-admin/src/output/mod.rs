//! What commands print: aligned columns for people, one JSON document for programs, and progress on stderr.

mod backup;
mod columns;
mod progress;
mod size;
mod status;
mod tables;
mod verdict;

use std::io::{self, Write};

use serde::Serialize;

use crate::failure::{Failure, Outcome};

pub(crate) use backup::{backup_text, restore_text};
pub(crate) use columns::Columns;
pub(crate) use progress::{Amount, Bar};
pub(crate) use size::{bytes, count, duration};
pub(crate) use status::{ShownStatus, status_text};
pub(crate) use tables::{TableDocument, index_text, info_text, list_text};
pub(crate) use verdict::verdict_text;

/// Prints text to stdout as it is.
pub(crate) fn print(text: &str) -> Outcome {
    let mut stdout = io::stdout().lock();
    stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush())
        .map_err(|error| Failure::on_stdout(&error))
}

/// Prints one JSON document to stdout.
pub(crate) fn print_json(document: &impl Serialize) -> Outcome {
    let mut text = serde_json::to_string_pretty(document).map_err(Failure::new)?;
    text.push('\n');
    print(&text)
}

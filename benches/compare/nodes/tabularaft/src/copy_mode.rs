//! The copy mode that a command names.

use compare_lines::{Failure, Line};
use tabularaft::CopyMode;

pub(super) fn copy_mode(command: &Line) -> Result<CopyMode, Failure> {
    match command.text("copy")? {
        "ram" => Ok(CopyMode::Ram),
        "disc" => Ok(CopyMode::Disc),
        other => Err(format!("no such copy mode: {other}").into()),
    }
}

//! One program run from the root of the repository.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The root of the repository: two folders above this package, wherever cargo was called from.
pub(crate) fn root() -> PathBuf {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.ancestors().nth(2).unwrap_or(package).to_path_buf()
}

/// A cargo command. The cargo that runs this program is used again, so that a toolchain chosen on the command
/// line stays the one.
pub(crate) fn cargo(arguments: &[&str]) -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(arguments).current_dir(root());
    command
}

/// Runs `command` to its end. Its output goes straight to the terminal.
pub(crate) fn run(command: &mut Command) -> Result<(), String> {
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("{} ended with {status}", shown(command))),
        Err(error) => Err(format!("{} did not start: {error}", shown(command))),
    }
}

/// The command as a person would type it.
fn shown(command: &Command) -> String {
    let program = Path::new(command.get_program()).file_name().unwrap_or(command.get_program());
    let words = std::iter::once(program).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_root_holds_the_workspace() {
        assert!(root().join("Cargo.toml").is_file());
        assert!(root().join("tools/xtask/Cargo.toml").is_file());
    }

    #[test]
    fn a_failed_step_says_what_was_run_and_how_it_ended() {
        let problem = run(Command::new("false").arg("word")).unwrap_err();
        assert_eq!(problem, "false word ended with exit status: 1");
        let problem = run(&mut Command::new("no-such-program-here")).unwrap_err();
        assert!(problem.starts_with("no-such-program-here did not start: "), "{problem}");
    }
}

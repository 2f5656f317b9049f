//! Nodes as processes of their own, and the operator's command, as they are used outside of tests.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use crate::binary;

/// One `store-admin node run`. Dropping it kills the process.
pub struct NodeProcess {
    child: Child,
    /// The address that the ready line names.
    pub address: String,
}

impl NodeProcess {
    /// Starts a node and waits for its ready line.
    ///
    /// # Panics
    ///
    /// When the process ends without one.
    pub fn start(name: &str, data_dir: &Path, listen: &str, more: &[&str]) -> Self {
        let mut command = Command::new(binary::store_admin());
        command
            .args(["node", "run", "--name", name, "--listen", listen, "--data-dir"])
            .arg(data_dir)
            .args(more);
        let mut child =
            command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("the program starts");
        let stdout = child.stdout.take().expect("stdout is a pipe");
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line).expect("stdout can be read");
        let listen = line.split_whitespace().find_map(|word| word.strip_prefix("listen="));
        let Some(address) = listen.map(str::to_owned) else {
            panic!("node {name} printed no ready line, but {line:?}");
        };
        Self { child, address }
    }

    /// SIGKILL, and waits until the process is gone.
    pub fn kill(&mut self) {
        self.child.kill().expect("the process can be killed");
        self.child.wait().expect("the process can be waited for");
    }

    /// Runs `store-admin` against this node.
    pub fn admin(&self, args: &[&str]) -> Output {
        let mut command = Command::new(binary::store_admin());
        command.args(["--node", &self.address]).args(args).output().expect("the program starts")
    }

    /// As [`NodeProcess::admin`], and expects exit code 0.
    ///
    /// # Panics
    ///
    /// When the command fails.
    pub fn done(&self, args: &[&str]) -> String {
        let output = self.admin(args);
        assert!(output.status.success(), "{args:?} on {}: {output:?}", self.address);
        String::from_utf8(output.stdout).expect("the output is text")
    }

    /// As [`NodeProcess::admin`], and expects exit code 1 and the one line that says why.
    ///
    /// # Panics
    ///
    /// When the command does not fail so.
    pub fn refused(&self, args: &[&str]) -> String {
        let output = self.admin(args);
        let why = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{args:?} on {}: {output:?}", self.address);
        assert!(why.starts_with("error: ") && why.trim_end().lines().count() == 1, "{args:?}: {why:?}");
        why
    }
}

impl Drop for NodeProcess {
    fn drop(&mut self) {
        // It may be gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

//! Machines of a network of their own, as network namespaces of Linux: programs in them have their own address, and
//! links between two of them can be cut in one direction without either side being told. Needs the rights of root and
//! the program `ip`.

use std::net::Ipv4Addr;
use std::process::{Command, Output};
use std::sync::atomic::{AtomicU32, Ordering};

use crate::Failure;

/// What all namespaces of this kind begin with; the number of the process that made them follows.
const PREFIX: &str = "tbr";
/// An address that no machine has: what is sent to it arrives nowhere.
const NOWHERE: &str = "02:00:00:00:00:00";

/// Counts the networks of this process.
static NETWORKS: AtomicU32 = AtomicU32::new(0);

/// Machines on one switch. Dropping it takes them away; the programs on them must have ended.
#[derive(Debug)]
pub struct Machines {
    /// Where the switch is.
    hub: String,
    names: Vec<String>,
}

impl Machines {
    /// Makes a network of so many machines.
    ///
    /// # Errors
    ///
    /// When this system or this user has no network namespaces.
    pub fn start(count: u8) -> Result<Self, Failure> {
        take_away_forgotten();
        let network = format!("{PREFIX}-{}-{}", std::process::id(), NETWORKS.fetch_add(1, Ordering::Relaxed));
        let mut machines = Self { hub: format!("{network}-hub"), names: Vec::new() };
        ip(&["netns", "add", &machines.hub])?;
        ip(&["-n", &machines.hub, "link", "add", "switch", "type", "bridge"])?;
        ip(&["-n", &machines.hub, "link", "set", "switch", "up"])?;
        for number in 0..count {
            machines.names.push(format!("{network}-{number}"));
            machines.plug_in(number)?;
        }
        Ok(machines)
    }

    fn plug_in(&self, number: u8) -> Result<(), Failure> {
        let (hub, machine) = (self.hub.as_str(), self.namespace(number)?);
        let port = format!("port{number}");
        ip(&["netns", "add", machine])?;
        ip(&["-n", hub, "link", "add", &port, "type", "veth", "peer", "name", "eth0", "netns", machine])?;
        ip(&["-n", hub, "link", "set", &port, "master", "switch", "up"])?;
        ip(&["-n", machine, "link", "set", "lo", "up"])?;
        ip(&["-n", machine, "addr", "add", &format!("{}/24", Self::address(number)), "dev", "eth0"])?;
        ip(&["-n", machine, "link", "set", "eth0", "up"])
    }

    /// How many machines there are.
    pub fn count(&self) -> u8 {
        self.names.len() as u8
    }

    /// The address of a machine.
    pub fn address(number: u8) -> Ipv4Addr {
        Ipv4Addr::new(10, 77, 0, number.saturating_add(1))
    }

    /// The name of a machine's namespace.
    ///
    /// # Errors
    ///
    /// When there is no such machine.
    pub fn namespace(&self, number: u8) -> Result<&str, Failure> {
        let name = self.names.get(usize::from(number)).map(String::as_str);
        name.ok_or_else(|| format!("there is no machine {number}").into())
    }

    /// The program and the arguments that run something on a machine.
    ///
    /// # Errors
    ///
    /// As [`Machines::namespace`].
    pub fn runner(&self, number: u8) -> Result<Vec<String>, Failure> {
        Ok(["ip", "netns", "exec", self.namespace(number)?].map(str::to_owned).to_vec())
    }

    /// Whatever `from` sends to `to` is lost from now on.
    ///
    /// # Errors
    ///
    /// When `ip` fails.
    pub fn cut(&self, from: u8, to: u8) -> Result<(), Failure> {
        let to = Self::address(to).to_string();
        let neighbour = ["neigh", "replace", &to, "lladdr", NOWHERE, "dev", "eth0", "nud", "permanent"];
        ip(&[&["-n", self.namespace(from)?], &neighbour[..]].concat())
    }

    /// Ends [`Machines::cut`]; nothing happens if the link is whole.
    ///
    /// # Errors
    ///
    /// As [`Machines::cut`].
    pub fn mend(&self, from: u8, to: u8) -> Result<(), Failure> {
        let to = Self::address(to).to_string();
        let shown = ip_says(&["-n", self.namespace(from)?, "neigh", "show", &to, "nud", "permanent"])?;
        if shown.stdout.is_empty() {
            return Ok(());
        }
        ip(&["-n", self.namespace(from)?, "neigh", "del", &to, "dev", "eth0"])
    }

    /// Cuts the link between two machines, in both directions.
    ///
    /// # Errors
    ///
    /// As [`Machines::cut`].
    pub fn part(&self, one: u8, other: u8) -> Result<(), Failure> {
        self.cut(one, other)?;
        self.cut(other, one)
    }

    /// Cuts a machine off from all others, in both directions.
    ///
    /// # Errors
    ///
    /// As [`Machines::cut`].
    pub fn isolate(&self, number: u8) -> Result<(), Failure> {
        for other in (0..self.count()).filter(|other| *other != number) {
            self.part(number, other)?;
        }
        Ok(())
    }

    /// Mends all links.
    ///
    /// # Errors
    ///
    /// As [`Machines::cut`].
    pub fn mend_all(&self) -> Result<(), Failure> {
        for from in 0..self.count() {
            for to in (0..self.count()).filter(|to| *to != from) {
                self.mend(from, to)?;
            }
        }
        Ok(())
    }
}

impl Drop for Machines {
    fn drop(&mut self) {
        for name in self.names.iter().chain([&self.hub]) {
            // What is left is taken away by the next one who makes a network.
            let _ = ip(&["netns", "del", name]);
        }
    }
}

/// Takes away the networks of processes that were killed.
fn take_away_forgotten() {
    let Ok(folder) = std::fs::read_dir("/run/netns") else { return };
    for name in folder.flatten().filter_map(|entry| entry.file_name().into_string().ok()) {
        let owner = name.strip_prefix(PREFIX).and_then(|rest| rest.split('-').nth(1));
        let is_forgotten = |owner: &str| !std::path::Path::new("/proc").join(owner).exists();
        if owner.is_some_and(is_forgotten) {
            let _ = ip(&["netns", "del", &name]);
        }
    }
}

fn ip(arguments: &[&str]) -> Result<(), Failure> {
    ip_says(arguments).map(drop)
}

fn ip_says(arguments: &[&str]) -> Result<Output, Failure> {
    let failed = |why: String| Failure::from(format!("ip {}: {}", arguments.join(" "), why.trim()));
    let output = Command::new("ip").args(arguments).output().map_err(|error| failed(error.to_string()))?;
    if output.status.success() {
        return Ok(output);
    }
    Err(failed(String::from_utf8_lossy(&output.stderr).into_owned()))
}

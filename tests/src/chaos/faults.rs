//! What goes wrong: one thing after the other, sometimes two at once, each with its end.

use std::time::Duration;

use tabularaft_benches::Failure;
use tabularaft_benches::namespaces::Machines;

use super::fleet::{CORE, Fleet};
use crate::sim::random::Random;

/// The node that comes and goes.
const GUEST: usize = CORE;

/// Something that is done to the nodes and undone a while later.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    /// SIGKILL; undone by a start.
    Kill(usize),
    /// SIGKILL of two at once, so that there may be no majority for a while.
    KillTwo(usize, usize),
    /// SIGSTOP; undone by SIGCONT.
    Pause(usize),
    /// Cut off from all others.
    Isolate(usize),
    /// What the first sends to the second is lost.
    OneWay(usize, usize),
    /// Two nodes do not reach each other; others reach both.
    Apart(usize, usize),
    /// Stopped in order and started again.
    Restart(usize),
    /// Leaves the cluster; undone by a join.
    Leave(usize),
    /// Killed and taken out of the cluster; undone by a start, and for a core node by a join.
    Remove(usize),
    /// The guest joins, or leaves if it is a member.
    ComeOrGo,
}

/// Chooses by chance and does it.
pub(super) struct Faults {
    random: Random,
}

impl Faults {
    pub(super) fn new(seed: u64, round: u64) -> Self {
        Self { random: Random::new(seed, &format!("faults of round {round}")) }
    }

    /// Lets things go wrong once: a fault, perhaps a second one while it lasts, and the end of both.
    pub(super) async fn happen(&mut self, fleet: &mut Fleet) -> Result<(), String> {
        let first = self.choose(fleet, None).await;
        let first = self.begin(fleet, first).await;
        let second = match self.random.once_in(3) {
            true => self.choose(fleet, first).await,
            false => None,
        };
        self.last(200, 5_000).await;
        let second = self.begin(fleet, second).await;
        if second.is_some() {
            self.last(200, 3_000).await;
        }
        for fault in [second, first].into_iter().flatten() {
            end(fleet, fault).await?;
            self.last(0, 1_000).await;
        }
        self.last(200, 3_000).await;
        Ok(())
    }

    async fn last(&mut self, least_ms: u64, most_ms: u64) {
        tokio::time::sleep(Duration::from_millis(self.random.between(least_ms, most_ms))).await;
    }

    /// A fault of which the cluster can recover by itself, besides the one that lasts already.
    async fn choose(&mut self, fleet: &Fleet, besides: Option<Fault>) -> Option<Fault> {
        let leader = fleet.leader().await;
        let free: Vec<usize> = fleet
            .working()
            .into_iter()
            .filter(|number| !besides.is_some_and(|fault| fault.hits(*number)))
            .collect();
        let any = *self.random.pick(&free)?;
        // Leaders are hit as often as all others together.
        let one = leader.filter(|leader| free.contains(leader) && self.random.once_in(2)).unwrap_or(any);
        let others: Vec<usize> = free.iter().copied().filter(|number| *number != one).collect();
        let other = *self.random.pick(&others)?;
        let fault = match self.random.below(20) {
            0..=4 => Fault::Kill(one),
            5 => Fault::KillTwo(one, other),
            6..=8 => Fault::Pause(one),
            9 | 10 => Fault::Isolate(one),
            11 | 12 => Fault::OneWay(one, other),
            13 => Fault::Apart(one, other),
            14 => Fault::Restart(one),
            15 => Fault::Leave(one),
            16 => Fault::Remove(one),
            _ => Fault::ComeOrGo,
        };
        let cuts = matches!(fault, Fault::Isolate(_) | Fault::OneWay(..) | Fault::Apart(..));
        match fault {
            _ if cuts && fleet.machines.is_none() => Some(Fault::Pause(one)),
            // Who leaves or is removed while others are away could take the last majority with it.
            Fault::Leave(_) | Fault::Remove(_) | Fault::KillTwo(..) | Fault::ComeOrGo
                if besides.is_some() =>
            {
                Some(Fault::Restart(one))
            }
            fault => Some(fault),
        }
    }

    /// Does it. What cannot be done at the moment is noted and left.
    async fn begin(&mut self, fleet: &mut Fleet, fault: Option<Fault>) -> Option<Fault> {
        let fault = fault?;
        if fault.ends_processes() && !fleet.can_spare(&fault.hit()).await {
            return None;
        }
        fleet.faults += 1;
        fleet.note(&format!("{fault:?}"));
        match begin(fleet, fault).await {
            Ok(()) => Some(fault),
            Err(why) => {
                fleet.note(&format!("{fault:?} failed: {why}"));
                fault.is_half_done().then_some(fault)
            }
        }
    }
}

impl Fault {
    fn hit(self) -> Vec<usize> {
        match self {
            Self::KillTwo(one, other) | Self::OneWay(one, other) | Self::Apart(one, other) => {
                vec![one, other]
            }
            Self::Kill(one)
            | Self::Pause(one)
            | Self::Isolate(one)
            | Self::Restart(one)
            | Self::Leave(one)
            | Self::Remove(one) => vec![one],
            Self::ComeOrGo => vec![GUEST],
        }
    }

    fn hits(self, number: usize) -> bool {
        self.hit().contains(&number)
    }

    /// Whether ram tables on a node are gone by it.
    fn ends_processes(self) -> bool {
        !matches!(
            self,
            Self::Pause(_) | Self::Isolate(_) | Self::OneWay(..) | Self::Apart(..) | Self::ComeOrGo
        )
    }

    /// Whether something may have been done though it failed.
    fn is_half_done(self) -> bool {
        matches!(self, Self::Restart(_) | Self::KillTwo(..) | Self::Remove(_))
    }
}

async fn begin(fleet: &mut Fleet, fault: Fault) -> Result<(), String> {
    match fault {
        Fault::Kill(one) => fleet.kill(one).await,
        Fault::KillTwo(one, other) => {
            fleet.kill(one).await?;
            fleet.kill(other).await
        }
        Fault::Pause(one) => fleet.pause(one),
        Fault::Isolate(one) => on_machines(fleet, |machines| machines.isolate(one as u8)),
        Fault::OneWay(one, other) => on_machines(fleet, |machines| machines.cut(one as u8, other as u8)),
        Fault::Apart(one, other) => on_machines(fleet, |machines| machines.part(one as u8, other as u8)),
        Fault::Restart(one) => fleet.restart(one).await,
        Fault::Leave(one) => fleet.leave(one).await,
        Fault::Remove(one) => {
            fleet.kill(one).await?;
            fleet.remove(one).await
        }
        Fault::ComeOrGo if fleet.members().contains(&GUEST) => fleet.leave(GUEST).await,
        Fault::ComeOrGo => fleet.join(GUEST).await,
    }
}

async fn end(fleet: &mut Fleet, fault: Fault) -> Result<(), String> {
    match fault {
        Fault::Pause(one) => fleet.resume(one)?,
        Fault::Isolate(_) | Fault::OneWay(..) | Fault::Apart(..) => on_machines(fleet, Machines::mend_all)?,
        Fault::Kill(_) | Fault::KillTwo(..) | Fault::Restart(_) | Fault::Leave(_) | Fault::Remove(_) => {}
        Fault::ComeOrGo => return Ok(()),
    }
    for one in fault.hit() {
        if fleet.link(one).is_err() {
            fleet.launch(one).await?;
        }
        if one < CORE && !fleet.members().contains(&one) {
            // Under other faults it may fail; it is tried again when everything is healed.
            if let Err(why) = fleet.join(one).await {
                fleet.note(&format!("node {one} does not join yet: {why}"));
            }
        }
    }
    fleet.note(&format!("{fault:?} is over"));
    Ok(())
}

fn on_machines(fleet: &Fleet, act: impl FnOnce(&Machines) -> Result<(), Failure>) -> Result<(), String> {
    let machines = fleet.machines.as_ref().ok_or("there are no machines")?;
    act(machines).map_err(|error| error.to_string())
}

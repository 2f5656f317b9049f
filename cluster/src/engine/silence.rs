//! Which members the leader has not heard of for so long that it takes them to be down.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use tabularaft_schema::NodeId;

/// A leader that has not looked for so long was stopped itself, and must hear of the others anew before it judges them.
const OWN_ABSENCE: Duration = Duration::from_secs(5);

/// A pure core: what the leader hears goes in, members that are silent come out.
#[derive(Debug, Default)]
pub(super) struct Silence {
    watch: Option<Watch>,
}

/// An unbroken time in which this node has led and looked.
#[derive(Debug, Clone, Copy)]
struct Watch {
    term: u64,
    since: Instant,
    looked: Instant,
}

impl Silence {
    /// This node does not lead, or no majority follows it: it knows nothing of the others.
    pub(super) fn not_leading(&mut self) {
        self.watch = None;
    }

    /// This node leads in `term`, and has heard of the other members at these times (`None`: never in this term). Those
    /// that it has not heard of for `grace`; nobody, while it has not led and looked for so long itself.
    pub(super) fn observe(
        &mut self,
        now: Instant,
        term: u64,
        heard: &BTreeMap<NodeId, Option<Instant>>,
        grace: Duration,
    ) -> BTreeSet<NodeId> {
        let unbroken = |watch: &Watch| watch.term == term && now.duration_since(watch.looked) < OWN_ABSENCE;
        let since = self.watch.filter(unbroken).map_or(now, |watch| watch.since);
        self.watch = Some(Watch { term, since, looked: now });
        let silent = |at: &Option<Instant>| {
            let last = at.map_or(since, |at| at.max(since));
            now.duration_since(last) >= grace
        };
        heard.iter().filter(|(_, at)| silent(at)).map(|(node, _)| *node).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::door;

    const GRACE: Duration = Duration::from_secs(60);

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    /// A leader that has looked each second from `from` to `to` and heard of node 2 never, of node 3 always.
    fn looked(silence: &mut Silence, began: Instant, from: u64, to: u64, term: u64) -> BTreeSet<NodeId> {
        let mut silent = BTreeSet::new();
        for second in from..=to {
            let now = began + seconds(second);
            let heard = BTreeMap::from([(2, None), (3, Some(now))]);
            silent = silence.observe(now, term, &heard, GRACE);
        }
        silent
    }

    #[test]
    fn a_member_is_silent_once_the_leader_has_not_heard_of_it_for_the_grace_period() {
        let (mut silence, began) = (Silence::default(), door::now());
        assert!(looked(&mut silence, began, 0, 59, 1).is_empty());
        assert_eq!(looked(&mut silence, began, 60, 60, 1), BTreeSet::from([2]));
        let now = began + seconds(61);
        let back = BTreeMap::from([(2, Some(now)), (3, Some(now))]);
        assert!(silence.observe(now, 1, &back, GRACE).is_empty());
    }

    #[test]
    fn a_new_leader_waits_for_the_whole_period_itself() {
        let (mut silence, began) = (Silence::default(), door::now());
        looked(&mut silence, began, 0, 100, 1);
        assert!(looked(&mut silence, began, 101, 160, 2).is_empty(), "another term");
        silence.not_leading();
        assert!(looked(&mut silence, began, 161, 220, 2).is_empty(), "it did not lead meanwhile");
        assert_eq!(looked(&mut silence, began, 221, 221, 2), BTreeSet::from([2]));
    }

    #[test]
    fn a_leader_that_was_stopped_itself_takes_nobody_for_silent() {
        let (mut silence, began) = (Silence::default(), door::now());
        let heard = BTreeMap::from([(2, Some(began))]);
        silence.observe(began, 1, &heard, GRACE);
        assert!(silence.observe(began + seconds(500), 1, &heard, GRACE).is_empty());
    }
}

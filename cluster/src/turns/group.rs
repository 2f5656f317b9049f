//! Who shares which lock: the core, without any waiting.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bytes::Bytes;

use crate::write::{LockId, Place};

/// How many take turns at one lock, so that other nodes get theirs.
const TURNS_MAX: usize = 32;

/// What records hold; `None`: there is none.
pub(super) type Contents = BTreeMap<Place, Option<Bytes>>;

/// The groups of one node. `W` wakes a member.
#[derive(Debug)]
pub(super) struct Groups<W> {
    groups: BTreeMap<u64, Group<W>>,
    next: u64,
}

#[derive(Debug)]
struct Group<W> {
    places: BTreeSet<Place>,
    /// Those who have not had their turn.
    members: VecDeque<Member<W>>,
    /// How many may still join.
    room: usize,
    lock: Option<LockId>,
    contents: Contents,
    /// The member whose turn it is gives the lock back with its request.
    at_last: bool,
    /// Those who want some of the places too: the next group.
    followers: Vec<Member<W>>,
}

#[derive(Debug)]
struct Member<W> {
    places: BTreeSet<Place>,
    wake: W,
}

/// What is to be done next.
#[derive(Debug)]
pub(super) enum Step<W> {
    /// Ask the leader for these places.
    Ask { group: u64, places: Vec<Place> },
    /// It is this member's turn.
    Run { group: u64, wake: W, lock: LockId, contents: Contents, is_last: bool },
    /// Give the lock back.
    Unlock(LockId),
}

impl<W> Default for Groups<W> {
    fn default() -> Self {
        Self { groups: BTreeMap::new(), next: 0 }
    }
}

impl<W> Groups<W> {
    /// Somebody wants these places.
    pub(super) fn join(&mut self, places: BTreeSet<Place>, wake: W) -> Option<Step<W>> {
        let member = Member { places, wake };
        let met = self.groups.values_mut().find(|group| !group.places.is_disjoint(&member.places));
        match met {
            Some(group) if group.room > 0 && !group.at_last && group.places.is_superset(&member.places) => {
                group.room -= 1;
                group.members.push_back(member);
                None
            }
            Some(group) => {
                group.followers.push(member);
                None
            }
            None => Some(self.open(vec![member])),
        }
    }

    /// Whether somebody has a turn at one of these places, or waits for one.
    pub(super) fn concern(&self, places: &BTreeSet<Place>) -> bool {
        self.groups.values().any(|group| !group.places.is_disjoint(places))
    }

    fn open(&mut self, mut members: Vec<Member<W>>) -> Step<W> {
        let followers = members.split_off(members.len().min(TURNS_MAX));
        let places: BTreeSet<Place> = members.iter().flat_map(|member| &member.places).cloned().collect();
        self.next += 1;
        let group = Group {
            places: places.clone(),
            room: TURNS_MAX - members.len(),
            members: members.into(),
            lock: None,
            contents: Contents::new(),
            at_last: false,
            followers,
        };
        self.groups.insert(self.next, group);
        Step::Ask { group: self.next, places: places.into_iter().collect() }
    }

    /// The leader has granted a group's places.
    pub(super) fn granted(&mut self, group: u64, lock: LockId, contents: Contents) -> Vec<Step<W>> {
        if let Some(group) = self.groups.get_mut(&group) {
            (group.lock, group.contents) = (Some(lock), contents);
        }
        self.next_turn(group)
    }

    /// The leader cannot grant them. Returns everybody who waits, to go without.
    pub(super) fn unavailable(&mut self, group: u64) -> Vec<W> {
        let Some(group) = self.groups.remove(&group) else { return Vec::new() };
        group.members.into_iter().chain(group.followers).map(|member| member.wake).collect()
    }

    /// There are no turns any more. Returns everybody who waits, to go without.
    pub(super) fn close(&mut self) -> Vec<W> {
        let groups: Vec<u64> = self.groups.keys().copied().collect();
        groups.into_iter().flat_map(|group| self.unavailable(group)).collect()
    }

    /// A turn is over. `left`: what a submitted request leaves of the records that it changes; `None`: nothing was
    /// submitted.
    pub(super) fn ended(&mut self, group: u64, left: Option<Contents>) -> Vec<Step<W>> {
        let Some(entry) = self.groups.get_mut(&group) else { return Vec::new() };
        if entry.at_last && left.is_some() {
            entry.lock = None;
        }
        entry.contents.extend(left.into_iter().flatten());
        self.next_turn(group)
    }

    fn next_turn(&mut self, number: u64) -> Vec<Step<W>> {
        let Some(group) = self.groups.get_mut(&number) else { return Vec::new() };
        if let Some(lock) = group.lock
            && let Some(member) = group.members.pop_front()
        {
            let Member { places, wake } = member;
            let content = |place| group.contents.get(&place).cloned().map(|content| (place, content));
            let contents = places.into_iter().filter_map(content).collect();
            group.at_last = group.members.is_empty();
            return vec![Step::Run { group: number, wake, lock, contents, is_last: group.at_last }];
        }
        let Some(group) = self.groups.remove(&number) else { return Vec::new() };
        let unlock = group.lock.map(Step::Unlock);
        let ask = (!group.followers.is_empty()).then(|| self.open(group.followers));
        unlock.into_iter().chain(ask).collect()
    }
}

#[cfg(test)]
mod tests {
    use tabularaft_schema::TableId;

    use super::*;

    const LOCK: LockId = LockId { term: 1, number: 7 };

    fn place(key: &str) -> Place {
        (TableId(1), Bytes::copy_from_slice(key.as_bytes()))
    }

    fn places(keys: &str) -> BTreeSet<Place> {
        keys.split(' ').map(place).collect()
    }

    fn contents(keys: &str, content: &'static str) -> Contents {
        places(keys).into_iter().map(|place| (place, Some(Bytes::from_static(content.as_bytes())))).collect()
    }

    /// Who runs, on what, and whether as the last one.
    fn run(steps: Vec<Step<&'static str>>) -> (&'static str, Contents, bool) {
        match steps.into_iter().next().unwrap() {
            Step::Run { wake, contents, is_last, .. } => (wake, contents, is_last),
            step => panic!("{step:?}"),
        }
    }

    fn asked(step: Option<Step<&'static str>>) -> (u64, BTreeSet<Place>) {
        match step.unwrap() {
            Step::Ask { group, places } => (group, places.into_iter().collect()),
            step => panic!("{step:?}"),
        }
    }

    #[test]
    fn members_run_one_after_the_other_each_on_what_the_one_before_it_leaves() {
        let mut groups = Groups::default();
        let (group, all) = asked(groups.join(places("a b"), "first"));
        assert_eq!(all, places("a b"));
        assert!(groups.join(places("a"), "second").is_none());
        assert_eq!(
            run(groups.granted(group, LOCK, contents("a b", "0"))),
            ("first", contents("a b", "0"), false)
        );
        assert!(groups.join(places("b"), "third").is_none());
        assert_eq!(run(groups.ended(group, Some(contents("a", "1")))), ("second", contents("a", "1"), false));
        assert_eq!(run(groups.ended(group, None)), ("third", contents("b", "0"), true));
        assert!(groups.ended(group, Some(contents("b", "2"))).is_empty(), "its request gives the lock back");
        assert!(groups.groups.is_empty());
    }

    #[test]
    fn who_comes_too_late_or_wants_more_is_in_the_next_group() {
        let mut groups = Groups::default();
        let (group, _) = asked(groups.join(places("a"), "first"));
        assert!(groups.join(places("a b"), "wants more").is_none());
        assert!(run(groups.granted(group, LOCK, contents("a", "0"))).2);
        assert!(groups.join(places("a"), "too late").is_none());
        let (other, _) = asked(groups.join(places("z"), "elsewhere"));
        let mut steps = groups.ended(group, Some(Contents::new())).into_iter();
        let (next, all) = asked(steps.next());
        assert_eq!(all, places("a b"));
        assert!(steps.next().is_none() && next != other);
        assert_eq!(run(groups.granted(next, LOCK, contents("a b", "1"))).0, "wants more");
        assert_eq!(run(groups.ended(next, None)).0, "too late");
    }

    #[test]
    fn a_lock_is_given_back_when_the_last_one_submits_nothing() {
        let mut groups = Groups::default();
        let (group, _) = asked(groups.join(places("a"), "only"));
        assert!(run(groups.granted(group, LOCK, contents("a", "0"))).2);
        assert!(matches!(groups.ended(group, None)[..], [Step::Unlock(LOCK)]));
    }

    #[test]
    fn everybody_goes_without_when_the_leader_cannot_grant() {
        let mut groups = Groups::default();
        let (group, _) = asked(groups.join(places("a"), "first"));
        groups.join(places("a"), "second");
        groups.join(places("a b"), "follower");
        assert_eq!(groups.unavailable(group), ["first", "second", "follower"]);
        assert!(groups.granted(group, LOCK, Contents::new()).is_empty());
    }

    #[test]
    fn a_group_ends_after_so_many_turns_and_the_rest_asks_again() {
        let mut groups = Groups::default();
        let (group, _) = asked(groups.join(places("a"), "member"));
        (1..TURNS_MAX + 5).for_each(|_| drop(groups.join(places("a"), "member")));
        let mut steps = groups.granted(group, LOCK, contents("a", "0"));
        let mut turns = 0;
        while let Some(Step::Run { .. }) = steps.first() {
            turns += 1;
            steps = groups.ended(group, Some(Contents::new()));
        }
        assert_eq!(turns, TURNS_MAX);
        asked(steps.into_iter().next());
        assert_eq!(groups.groups.values().next().unwrap().members.len(), 5);
    }
}

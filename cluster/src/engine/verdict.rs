//! How a node that may have forgotten something may come back, by what its peers say: a pure core of `suspect`.
//!
//! A majority is counted as Raft counts it. While the voters change, a majority is needed of the old ones and of the new ones,
//! and a suspect may be one that is needed:
//!
//! ```text
//! voters {2, 3} and {2, 3, 4}, 3 is suspect: 2 and 4 are two of three, and yet elect nobody -> start together
//! ```
//!
//! The voters are those of the log that reaches furthest. A suspect's own log may be older than what they are now.

use std::collections::BTreeMap;

use tabularaft_schema::NodeId;
use tabularaft_store::Position;

use crate::wire::{Electorate, Presence};

/// What a suspect node may do, as far as its peers tell.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// A majority without a memory gap has a leader: come back under a new id, through this member.
    ComeBack(String),
    /// All voters are here, and those without a gap are no majority: start again together. The furthest log among the
    /// others reaches up to `others_last`.
    StartTogether {
        others_last: Option<Position>,
    },
    Wait,
}

/// What a suspect has heard.
#[derive(Default)]
pub(super) struct Heard {
    /// Who answered, by the id that it was known by, with its address: voters, and whoever they say leads.
    pub(super) present: BTreeMap<NodeId, (String, Presence)>,
    /// What they know of the voters, and what the suspect itself knows.
    pub(super) electorates: Vec<Electorate>,
}

/// Who answers for a voter under another id has come back after a crash of its own, before this node heard of it: the
/// voter is gone for good, with all that it may have acknowledged.
pub(super) fn as_voter(voter: NodeId, answered: Presence) -> Presence {
    match answered.node == voter {
        true => answered,
        false => Presence { crashed: true, last: None, ..answered },
    }
}

pub(super) fn verdict(own: NodeId, heard: &Heard) -> Verdict {
    let mut all = heard.present.values();
    if let Some((address, _)) = all.find(|(_, presence)| presence.leads && !presence.suspect) {
        return Verdict::ComeBack(address.clone());
    }
    let knowing = heard.electorates.iter().filter(|electorate| !electorate.sets.is_empty());
    let furthest = knowing.max_by_key(|electorate| electorate.last);
    let sets = furthest.map(|electorate| electorate.sets.as_slice()).unwrap_or_default();
    let is_gone = |voter| heard.electorates.iter().any(|electorate| electorate.gone.contains(&voter));
    let presence = |voter| heard.present.get(&voter).map(|(_, presence)| presence);
    let is_here = |voter| voter == own || presence(voter).is_some() || is_gone(voter);
    let is_sound = |voter| voter != own && presence(voter).map_or(!is_gone(voter), |voter| !voter.crashed);
    let has_majority =
        |set: &BTreeMap<NodeId, String>| set.keys().filter(|id| is_sound(**id)).count() > set.len() / 2;
    let voters = || sets.iter().flat_map(|set| set.keys().copied());
    if !voters().all(is_here) || (!sets.is_empty() && sets.iter().all(has_majority)) {
        return Verdict::Wait;
    }
    let others_last = voters().filter_map(|voter| presence(voter)?.last).max();
    Verdict::StartTogether { others_last }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const SUSPECT: NodeId = 1;

    /// A voter: (its id, its machine crashed, it leads a majority, how far its log reaches).
    type Voter = (NodeId, bool, bool, u64);

    fn heard(sets: &[&[NodeId]], others: &[Voter]) -> Heard {
        let present = others.iter().map(|(id, crashed, leads, last)| {
            let presence = Presence {
                node: *id,
                suspect: *crashed,
                crashed: *crashed,
                leader: leads.then(|| (*id, format!("p{id}"))),
                leads: *leads,
                last: Some(Position::new(1, *last)),
            };
            (*id, (format!("p{id}"), presence))
        });
        Heard { present: present.collect(), electorates: vec![electorate(sets, 7)] }
    }

    fn electorate(sets: &[&[NodeId]], last: u64) -> Electorate {
        let set = |ids: &&[NodeId]| ids.iter().map(|id| (*id, format!("p{id}"))).collect();
        let (last, sets) = (Some(Position::new(1, last)), sets.iter().map(set).collect());
        Electorate { last, sets, gone: BTreeSet::new() }
    }

    fn start_together(others_last: u64) -> Verdict {
        Verdict::StartTogether { others_last: Some(Position::new(1, others_last)) }
    }

    #[test]
    fn a_crashed_node_comes_back_through_the_member_that_leads() {
        let heard = heard(&[&[1, 2, 3]], &[(2, false, false, 7), (3, false, true, 7)]);
        assert_eq!(verdict(SUSPECT, &heard), Verdict::ComeBack("p3".to_owned()));
    }

    #[test]
    fn a_crashed_node_waits_while_a_healthy_majority_has_no_leader_yet() {
        let heard = heard(&[&[1, 2, 3]], &[(2, false, false, 7), (3, false, false, 7)]);
        assert_eq!(verdict(SUSPECT, &heard), Verdict::Wait);
    }

    #[test]
    fn crashed_voters_start_together_once_all_of_them_are_present() {
        let voters: &[&[NodeId]] = &[&[1, 2, 3]];
        assert_eq!(verdict(SUSPECT, &heard(voters, &[(2, true, false, 7)])), Verdict::Wait);
        let both = heard(voters, &[(2, true, false, 7), (3, true, false, 8)]);
        assert_eq!(verdict(SUSPECT, &both), start_together(8));
        let one = heard(voters, &[(2, true, false, 7), (3, false, false, 8)]);
        assert_eq!(verdict(SUSPECT, &one), start_together(8));
        let alone = heard(&[&[1]], &[]);
        assert_eq!(verdict(SUSPECT, &alone), Verdict::StartTogether { others_last: None });
        assert_eq!(verdict(SUSPECT, &heard(&[], &[])), Verdict::StartTogether { others_last: None });
    }

    #[test]
    fn while_the_voters_change_a_majority_of_the_old_and_of_the_new_ones_is_needed() {
        let others = [(2, false, false, 8), (4, false, false, 8)];
        assert_eq!(verdict(SUSPECT, &heard(&[&[1, 2, 4]], &others)), Verdict::Wait);
        assert_eq!(verdict(SUSPECT, &heard(&[&[1, 2], &[1, 2, 4]], &others)), start_together(8));
        assert_eq!(verdict(SUSPECT, &heard(&[&[1, 2], &[1, 2, 4]], &others[..1])), Verdict::Wait);
        let others = [(2, false, false, 8), (3, false, false, 8), (4, false, false, 8)];
        assert_eq!(verdict(SUSPECT, &heard(&[&[1, 2, 3], &[1, 2, 3, 4]], &others)), Verdict::Wait);
    }

    #[test]
    fn the_voters_are_those_of_the_log_that_reaches_furthest() {
        let others = [(2, false, false, 9), (3, false, false, 9), (4, false, false, 9)];
        let mut heard = heard(&[&[1, 2]], &others[..1]);
        assert_eq!(verdict(SUSPECT, &heard), start_together(9));
        heard.electorates.push(electorate(&[&[1, 2, 3, 4]], 9));
        assert_eq!(verdict(SUSPECT, &heard), Verdict::Wait, "nobody knows of two of them");
        heard.present = self::heard(&[], &others).present;
        assert_eq!(verdict(SUSPECT, &heard), Verdict::Wait, "three of four can go on");
        heard.electorates.extend([electorate(&[&[1, 2]], 8), electorate(&[], 10)]);
        assert_eq!(verdict(SUSPECT, &heard), Verdict::Wait, "that is no news");
    }

    #[test]
    fn a_node_comes_back_through_a_leader_that_was_no_voter_yet_when_it_crashed() {
        let heard = heard(&[&[1, 2, 3]], &[(2, true, false, 7), (3, false, false, 8), (9, false, true, 9)]);
        assert_eq!(verdict(SUSPECT, &heard), Verdict::ComeBack("p9".to_owned()));
    }

    #[test]
    fn a_voter_that_lives_on_under_another_id_is_not_waited_for() {
        let mut heard = heard(&[&[1, 2, 3]], &[(2, false, false, 7), (3, false, false, 8)]);
        assert_eq!(verdict(SUSPECT, &heard), Verdict::Wait);
        let (address, answered) = heard.present.remove(&2).unwrap();
        assert_eq!(as_voter(2, answered.clone()), answered);
        heard.present.insert(2, (address, as_voter(2, Presence { node: 5, ..answered })));
        assert_eq!(verdict(SUSPECT, &heard), start_together(8));
    }

    #[test]
    fn a_voter_whose_id_is_lost_is_not_waited_for_unless_it_answers_after_all() {
        let voters: &[&[NodeId]] = &[&[1, 2, 3], &[1, 2, 3, 4]];
        let mut heard = heard(voters, &[(2, false, false, 8), (3, false, false, 8)]);
        assert_eq!(verdict(SUSPECT, &heard), Verdict::Wait);
        let lost = Electorate { gone: BTreeSet::from([4]), ..electorate(voters, 8) };
        heard.electorates.push(lost);
        assert_eq!(verdict(SUSPECT, &heard), start_together(8));
        heard.present.extend(self::heard(&[], &[(4, false, false, 8)]).present);
        assert_eq!(verdict(SUSPECT, &heard), Verdict::Wait);
    }

    #[test]
    fn a_suspect_does_not_come_back_through_another_suspect() {
        assert_eq!(verdict(SUSPECT, &heard(&[&[1, 2, 3]], &[(2, true, true, 7)])), Verdict::Wait);
    }
}

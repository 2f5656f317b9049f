//! When which versions were written: how old a record is, without a time in each row.
//!
//! Versions grow with every write. Now and then, while a table has a time to live, the leader logs the time: every
//! version up to the last one then was written before it. So a record is at least as old as the first of these marks
//! that covers its version, and never taken for older than it is.

use serde::{Deserialize, Serialize};

/// How many marks are kept. Beyond that every second one of the older half goes: what is old is known less exactly.
const MARKS_MAX: usize = 1_024;

/// Everything up to a version was written at or before a time.
///
/// Persistent: the order of the fields is the format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClockMark {
    /// The version.
    pub version: u64,
    /// The time in milliseconds since 1970, by the clock of the leader then, but never less than that of the mark before.
    pub unix_ms: u64,
}

/// The marks, oldest first: versions and times ascend.
///
/// Persistent: the order of the fields is the format.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct VersionClock {
    marks: Vec<ClockMark>,
}

impl VersionClock {
    pub(crate) fn is_empty(&self) -> bool {
        self.marks.is_empty()
    }

    pub(crate) fn last(&self) -> Option<ClockMark> {
        self.marks.last().copied()
    }

    /// All versions up to `version` were written by now. Marks before `forget_ms` are needed no longer, but for the
    /// last of them, which covers everything that is older.
    pub(crate) fn mark(&mut self, version: u64, unix_ms: u64, forget_ms: u64) {
        let unix_ms = self.last().map_or(unix_ms, |last| last.unix_ms.max(unix_ms));
        match self.marks.last_mut() {
            // What was covered by then is as old as it was.
            Some(last) if last.version >= version => {}
            _ => self.marks.push(ClockMark { version, unix_ms }),
        }
        let needless = self.marks.partition_point(|mark| mark.unix_ms <= forget_ms).saturating_sub(1);
        self.marks.drain(..needless);
        if self.marks.len() > MARKS_MAX {
            let mut place = 0;
            self.marks.retain(|_| {
                place += 1;
                place > MARKS_MAX / 2 || place % 2 == 0
            });
        }
    }

    /// The greatest version that is certain to have been written at or before a time.
    pub(crate) fn written_by(&self, unix_ms: u64) -> Option<u64> {
        let covered = self.marks.partition_point(|mark| mark.unix_ms <= unix_ms);
        covered.checked_sub(1).and_then(|at| self.marks.get(at)).map(|mark| mark.version)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_version_is_as_old_as_the_first_mark_that_covers_it() {
        let mut clock = VersionClock::default();
        assert_eq!(clock.written_by(u64::MAX), None);
        clock.mark(10, 1_000, 0);
        clock.mark(20, 2_000, 0);
        assert_eq!(clock.written_by(999), None);
        assert_eq!(clock.written_by(1_000), Some(10));
        assert_eq!(clock.written_by(1_999), Some(10));
        assert_eq!(clock.written_by(2_000), Some(20));
    }

    #[test]
    fn a_clock_that_goes_backwards_makes_nothing_older_and_nothing_is_marked_twice() {
        let mut clock = VersionClock::default();
        clock.mark(10, 5_000, 0);
        clock.mark(20, 1_000, 0);
        assert_eq!(clock.last(), Some(ClockMark { version: 20, unix_ms: 5_000 }));
        clock.mark(20, 9_000, 0);
        assert_eq!(clock.last(), Some(ClockMark { version: 20, unix_ms: 5_000 }));
    }

    #[test]
    fn what_every_time_to_live_has_passed_is_one_mark() {
        let mut clock = VersionClock::default();
        (1..=10).for_each(|number| clock.mark(number, number * 100, 0));
        clock.mark(11, 1_100, 500);
        assert_eq!(clock.marks.first(), Some(&ClockMark { version: 5, unix_ms: 500 }));
        assert_eq!(clock.written_by(500), Some(5));
    }

    proptest! {
        #[test]
        fn no_version_is_ever_taken_for_older_than_it_is(
            steps in proptest::collection::vec((0_u64..5, 0_u64..50, any::<bool>()), 1..3_000),
        ) {
            let (mut clock, mut version, mut now) = (VersionClock::default(), 0, 0);
            let mut written = Vec::new();
            for (versions, ms, marks) in steps {
                now += ms;
                for _ in 0..versions {
                    version += 1;
                    written.push(now);
                }
                if marks {
                    clock.mark(version, now, 0);
                }
            }
            prop_assert!(clock.marks.len() <= MARKS_MAX);
            for at in (0..=now).step_by(97) {
                if let Some(upto) = clock.written_by(at)
                    && upto > 0
                {
                    prop_assert!(written[upto as usize - 1] <= at);
                }
            }
        }
    }
}

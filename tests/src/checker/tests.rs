//! The checker accepts what can be, and finds what cannot.

use super::*;

/// A transaction of `process` from `invoked` to `completed`: `a x 1` appends, `r x 1 2` reads.
fn txn(process: u64, invoked: u64, completed: u64, mops: &[&str]) -> Txn {
    let mops = mops.iter().map(|mop| {
        let words: Vec<&str> = mop.split(' ').collect();
        let values = words[2..].iter().map(|value| value.parse().unwrap()).collect::<Vec<u64>>();
        match words[0] {
            "a" => Mop::Append(words[1].to_owned(), values[0]),
            _ => Mop::Read(words[1].to_owned(), Some(values)),
        }
    });
    Txn { process, mops: mops.collect(), outcome: Outcome::Ok, invoked, completed: Some(completed) }
}

fn unknown(txn: Txn) -> Txn {
    Txn { outcome: Outcome::Info, completed: None, ..txn }
}

fn failed(txn: Txn) -> Txn {
    Txn { outcome: Outcome::Fail, completed: None, ..txn }
}

/// The kinds of the edges of the cycle that is found.
fn cycle(txns: &[Txn]) -> Vec<&'static str> {
    match check(txns).unwrap_err() {
        Anomaly::Cycle(steps) => {
            let mut kinds: Vec<_> = steps.iter().map(|step| step.edge).collect();
            kinds.sort_unstable();
            kinds
        }
        other => panic!("{other}"),
    }
}

#[test]
fn a_serial_history_is_accepted() {
    let history = [
        txn(0, 0, 1, &["r x", "a x 1", "r x 1"]),
        txn(1, 2, 3, &["a x 2", "a y 1"]),
        txn(0, 4, 5, &["r y 1", "r x 1 2"]),
        txn(1, 6, 7, &["r x 1 2", "r y 1"]),
    ];
    assert_eq!(check(&history), Ok(()));
}

#[test]
fn concurrent_transactions_may_have_happened_in_any_order() {
    let history =
        [txn(0, 0, 10, &["a x 1"]), txn(1, 0, 10, &["r x", "a y 1"]), txn(2, 0, 10, &["r x 1", "r y 1"])];
    assert_eq!(check(&history), Ok(()));
    let at_the_same_time = [txn(0, 0, 5, &["a x 1"]), txn(1, 5, 9, &["r x"]), txn(2, 9, 12, &["r x 1"])];
    assert_eq!(check(&at_the_same_time), Ok(()));
}

#[test]
fn what_is_not_known_to_have_happened_may_have_happened_later_or_never() {
    let append = || unknown(txn(0, 0, 1, &["a x 1"]));
    assert_eq!(check(&[append(), txn(1, 5, 6, &["r x"]), txn(1, 8, 9, &["r x 1"])]), Ok(()));
    assert_eq!(check(&[append(), txn(1, 5, 6, &["r x"])]), Ok(()));
    assert_eq!(cycle(&[append(), txn(1, 5, 6, &["r x 1"]), txn(1, 8, 9, &["r x"])]), ["rw", "time", "wr"]);
}

#[test]
fn a_lost_update_is_found() {
    let history = [
        txn(0, 0, 1, &["a x 1"]),
        txn(1, 2, 9, &["r x 1", "a x 2"]),
        txn(2, 2, 9, &["r x 1", "a x 3"]),
        txn(0, 10, 11, &["r x 1 2 3"]),
    ];
    assert_eq!(cycle(&history), ["rw", "ww"]);
}

#[test]
fn write_skew_is_found() {
    let history = [
        txn(0, 0, 9, &["r x", "a y 1"]),
        txn(1, 0, 9, &["r y", "a x 1"]),
        txn(2, 10, 11, &["r x 1", "r y 1"]),
    ];
    assert_eq!(cycle(&history), ["rw", "rw"]);
}

#[test]
fn circular_information_flow_is_found() {
    let history = [txn(0, 0, 9, &["a x 1", "r y 1"]), txn(1, 0, 9, &["a y 1", "r x 1"])];
    assert_eq!(cycle(&history), ["wr", "wr"]);
}

#[test]
fn a_stale_read_is_found() {
    assert_eq!(
        cycle(&[txn(0, 0, 1, &["a x 1"]), txn(1, 2, 3, &["r x"]), txn(2, 4, 5, &["r x 1"])]),
        ["rw", "time"]
    );
}

#[test]
fn a_fractured_read_is_found() {
    let history =
        [txn(0, 0, 9, &["a x 1", "a y 1"]), txn(1, 0, 9, &["r x 1", "r y"]), txn(2, 10, 11, &["r y 1"])];
    assert_eq!(cycle(&history), ["rw", "wr"]);
}

#[test]
fn a_lost_append_is_found() {
    let history = [txn(0, 0, 1, &["a x 1"]), txn(1, 0, 1, &["a x 2"]), txn(2, 5, 6, &["r x 1"])];
    assert_eq!(cycle(&history), ["rw", "time"]);
}

#[test]
fn an_aborted_read_is_found() {
    let history = [failed(txn(0, 0, 1, &["a x 1"])), txn(1, 5, 6, &["r x 1"])];
    assert_eq!(check(&history), Err(Anomaly::AbortedRead { key: "x".to_owned(), value: 1 }));
}

#[test]
fn an_intermediate_read_is_found() {
    let history = [txn(0, 0, 9, &["a x 1", "a x 2"]), txn(1, 0, 9, &["r x 1"]), txn(1, 10, 11, &["r x 1 2"])];
    assert_eq!(check(&history), Err(Anomaly::IntermediateRead { key: "x".to_owned(), value: 1 }));
}

#[test]
fn an_append_that_happened_twice_is_found() {
    let history = [txn(0, 0, 1, &["a x 1"]), txn(1, 5, 6, &["r x 1 1"])];
    assert!(matches!(check(&history), Err(Anomaly::Duplicate { value: 1, .. })));
}

#[test]
fn lists_that_do_not_fit_together_are_found() {
    let writes = [txn(0, 0, 9, &["a x 1"]), txn(1, 0, 9, &["a x 2"])];
    let reads = [txn(2, 0, 9, &["r x 1 2"]), txn(3, 0, 9, &["r x 2"])];
    let history: Vec<_> = writes.into_iter().chain(reads).collect();
    assert!(matches!(check(&history), Err(Anomaly::IncompatibleOrders { .. })));
}

#[test]
fn a_transaction_that_does_not_see_its_own_append_is_found() {
    for mops in [&["a x 1", "r x"][..], &["r x", "a x 1", "r x 1", "r x"], &["r x", "r x 2"]] {
        let history = [txn(1, 0, 1, &["a x 2"]), txn(0, 0, 1, mops)];
        assert!(matches!(check(&history), Err(Anomaly::Internal { .. })), "{mops:?}");
    }
}

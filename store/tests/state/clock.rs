//! The version clock in the state.

use tabularaft_schema::{CopyMode, TableKind};
use tabularaft_store::{ClockMark, Effect};

use crate::harness::*;

#[test]
fn the_clock_covers_what_was_written_before_it_and_comes_back_after_a_restart_and_in_an_image() {
    let dir = tempfile::tempdir().unwrap();
    let store = on_disc(dir.path());
    let mut log = Log::new();
    let id = log.create("t", TableKind::Set, CopyMode::Disc);
    log.fill(id, 5);
    log.append(vec![Effect::Clock { unix_ms: 1_000, forget_ms: 0 }]);
    log.put(id, "later", "x");
    log.feed(&store);
    let mark = Some(ClockMark { version: 5, unix_ms: 1_000 });
    assert_eq!(store.view().last_clock_mark(), mark);
    assert_eq!((store.view().written_by(999), store.view().written_by(1_000)), (None, Some(5)));
    let image = store.view().image();
    store.close().unwrap();
    drop(store);
    let store = on_disc(dir.path());
    assert_eq!(store.view().last_clock_mark(), mark);

    let other = diskless();
    let staging = other.begin_install(&image).unwrap();
    other.install(staging).unwrap();
    assert_eq!(other.view().last_clock_mark(), mark);
}
